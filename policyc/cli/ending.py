"""How a command that runs a guest is asked to end: SIGTERM and SIGHUP do what Ctrl-C does.

Left to themselves they would end the process at once, without the report, and with its guest's emulator still running.
"""

from __future__ import annotations

TYPE_CHECKING = False  # See policyc.cli.parser.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from policyc.cli.parser import Arguments


def as_ctrl_c_does(run: Callable[[Arguments], int]) -> Callable[[Arguments], int]:
    """Decorate a command's ``run``, which is on the main thread. A signal that is ignored stays so (nohup)."""

    def ended(args: Arguments) -> int:
        import signal

        before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
        taken = [each for each, handler in before.items() if handler == signal.SIG_DFL]
        for each in taken:
            signal.signal(each, _interrupt)
        try:
            return run(args)
        finally:
            for each in taken:
                signal.signal(each, signal.SIG_DFL)

    return ended


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
