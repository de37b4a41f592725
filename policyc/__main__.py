"""``python -m policyc`` and the ``policyc`` script. Nothing is imported before it is needed: `--version` is instant."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; the exit code."""
    try:
        from policyc.cli import frame

        frame.prepare_streams()
        return frame.run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
