"""``python -m policyc`` and the ``policyc`` script. Nothing is imported before it is needed: `--version` is instant."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line of this process; the exit code."""
    # Imports and policies leave nothing to collect: a look after each 700 new values is a 20th of a short command.
    gc.set_threshold(50_000)
    try:
        from policyc.cli import frame

        frame.prepare_streams()
        return frame.run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()  # The interpreter's end would look through everything twice, to free what the end frees anyway.


if __name__ == "__main__":
    sys.exit(main())
