"""Work on many files by several processes: answers in the order of the files, whatever dies on the way.

A process is forked for each processor, so that it finds everything imported; it gets the number of a piece of work over a
pipe and answers over another. Nothing is shared, so a file that kills its process (it needs more memory than there is)
costs that file's answer alone, and Ctrl-C ends all.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from policyc.cli.many import Died
from policyc.vocabulary.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

FEW, MUCH = 8, 1 << 18
"""Files, and bytes in all of them, below which more processes would only cost: a fork and its end take some 10 ms."""
_SIZE = 8
"""Bytes of a number on a pipe: of a piece of work, or of the bytes of an answer."""


def processes(paths: Sequence[str], wanted: int | None) -> int:
    """How many are of use for these files. wanted: None lets policyc choose."""
    able = hasattr(os, "fork") and "-" not in paths
    if not able or len(paths) < 2:
        return 1
    if wanted is not None:
        return min(wanted, len(paths))
    if len(paths) < FEW and sum(map(_bytes, paths)) < MUCH:
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, len(paths))


def _bytes(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


class _Worker:
    """One forked process. at: what it works on, None if nothing."""

    def __init__(self, work: Callable[[Any], object], items: Sequence[object], others: Sequence[_Worker]) -> None:
        self.at: int | None = None
        asked, self.ask, told, tell = _pipes()
        try:
            self.pid = os.fork()
        except OSError:
            for each in (asked, self.ask, told, tell):
                os.close(each)
            raise
        if not self.pid:
            theirs = [end for each in others for end in (each.ask, each.told.fileno())]
            _live(work, items, (asked, tell), [self.ask, told, *theirs])
        os.close(asked)
        os.close(tell)
        self.told: BinaryIO = os.fdopen(told, "rb")

    def give(self, at: int) -> None:
        self.at = at
        try:
            os.write(self.ask, at.to_bytes(_SIZE, "little"))
        except BrokenPipeError:
            return  # It is dead; reading its answer tells how.

    def take(self) -> Any:
        """The answer, alone in a tuple; None where the work raised something; Died."""
        head = self.told.read(_SIZE)
        size = int.from_bytes(head, "little")
        data = self.told.read(size) if len(head) == _SIZE else b""
        self.at = None
        if len(head) < _SIZE or len(data) < size:
            return Died(self.ending())
        return pickle.loads(data)

    def ending(self) -> str:
        """How the process came to its end, which it has."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return f"the process that worked on it was ended by {_signal(number)}"
        return f"the process that worked on it ended with {os.waitstatus_to_exitcode(status)}"

    def close(self) -> None:
        os.close(self.ask)
        self.told.close()

    def end(self) -> None:
        self.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


class Crew:
    """``count`` processes, or as many as the system allows, that do work(item) for every item. They live as long as the
    block of its ``with``."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any], count: int) -> None:
        self.work = work
        self.items = items
        self.count = count
        self.found: dict[int, Any] = {}
        self.next = 0
        self.done = 0
        self.workers: list[_Worker] = []

    def __enter__(self) -> Crew:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # What waits in them would be written by every process.
        try:
            for _ in range(self.count):
                self.hire()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.end()

    def end(self) -> None:
        while self.workers:
            self.workers.pop().end()

    def answers(self, step: Callable[[int], None]) -> Iterator[Any]:
        """In the order of the items, each as soon as it and those before it are there. step: called with the number of
        those done.

        What work raises in a process it raises here, when its turn comes: it is done again, in this process.
        """
        for at, item in enumerate(self.items):
            while at not in self.found and self.workers:
                self.wait(step)
            answer = self.found.pop(at, None)
            if answer is None:
                yield self.work(item)
            else:
                yield answer if isinstance(answer, Died) else answer[0]

    def wait(self, step: Callable[[int], None]) -> None:
        """Until one process or more have an answer."""
        from select import select

        busy = {worker.told: worker for worker in self.workers if worker.at is not None}
        for ready in select(list(busy), [], [])[0]:
            worker = busy[ready]
            at, self.done = worker.at, self.done + 1
            assert at is not None
            answer = worker.take()
            self.found[at] = answer
            if isinstance(answer, Died):
                self.workers.remove(worker)
                worker.close()
                self.hire()
            else:
                self.give(worker)
            step(self.done)

    def hire(self) -> None:
        """One more process, with work. Ctrl-C waits until the process is known and knows what it is."""
        if self.next >= len(self.items):
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.workers.append(_Worker(self.work, self.items, self.workers))
        except OSError:
            return  # No more processes are to be had: those that there are do it, or this one.
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.give(self.workers[-1])

    def give(self, worker: _Worker) -> None:
        if self.next < len(self.items):
            worker.give(self.next)
            self.next += 1


def _pipes() -> tuple[int, int, int, int]:
    """Two of them: the end to read from and the end to write to of each."""
    first = os.pipe()
    try:
        return *first, *os.pipe()
    except OSError:
        for each in first:
            os.close(each)
        raise


def _live(work: Callable[[Any], object], items: Sequence[object], pipes: tuple[int, int], others: list[int]) -> None:
    """The life of a process: it never returns to what its parent was doing.

    pipes: to read numbers from, and to write answers to. others: ends that must close with the parent, not with this.
    """
    status = 1
    asked, tell = pipes
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent gets it too, and ends its processes.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for each in others:
            os.close(each)
        while len(asked_for := os.read(asked, _SIZE)) == _SIZE:
            try:
                data = pickle.dumps((work(items[int.from_bytes(asked_for, "little")]),), pickle.HIGHEST_PROTOCOL)
            except Exception:
                data = pickle.dumps(None)
            _write(tell, len(data).to_bytes(_SIZE, "little") + data)
        status = 0
    finally:
        os._exit(status)


def _write(where: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(where, view) :]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
