"""Commands that take many policies: which ones a command line means, and the same work on each of them.

A command line names files, folders (the ``*.pol`` files below them) and ``-``.
"""

from __future__ import annotations

import os

from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from policyc.proof.exhaustive import Progress as Step

MOST = 20_000
"""Policies of one run."""


class Found(NamedTuple):
    """paths: in the order of the command line, each once. walked: those that were found below a folder."""

    paths: tuple[str, ...]
    walked: frozenset[str]


def find(words: list[str]) -> Found:
    """Raises UnreadableError for a folder without policies, and for more than MOST of them."""
    paths: dict[str, bool] = {}
    for word in words:
        if word == "-" or not os.path.isdir(word):
            paths[word] = False
            continue
        below = _below(word)
        if not below:
            raise UnreadableError(f"there is no policy (*.pol) below {word}")
        for each in below:
            paths.setdefault(each, True)
        if len(paths) > MOST:
            raise UnreadableError(f"there are more than {MOST:,} policies below {word}")
    return Found(tuple(paths), frozenset(path for path, walked in paths.items() if walked))


def _below(folder: str) -> list[str]:
    """Policies below a folder, sorted; hidden folders and links to folders are not followed."""
    out = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for each in sorted(files):
            if each.endswith(".pol") and not each.startswith("."):
                path = os.path.join(where, each)
                out.append(os.path.relpath(path) if folder == "." else path)
        if len(out) > MOST:
            break
    return out


class Done(NamedTuple):
    """What came of the work on policies. answers: to those that could be read, in order. unreadable: why others could
    not. died: of those whose process ended without an answer, which and how."""

    answers: list[Any]
    unreadable: list[str]
    died: list[str]

    def complain(self) -> None:
        from policyc.cli.frame import complain

        for each in (*self.unreadable, *self.died):
            complain(each)

    def status(self, otherwise: int) -> int:
        """The exit code. otherwise: where every policy got its answer."""
        from policyc.cli.frame import BUG, USAGE

        return BUG if self.died else USAGE if self.unreadable else otherwise


class Died(Exception):
    """The process that worked on a policy ended without an answer. The message says how."""


def share(
    doing: str,
    paths: Sequence[str],
    work: Callable[[str, Step | None], object],
    jobs: int | None = None,
    ready: Callable[[], object] = tuple,
) -> Done:
    """work(path, step) for every path, by several processes where that is quicker, and in one order whoever did it.

    doing: the word for it on a terminal's line of progress. step: tells that line how far one policy is; None in
    processes beside others. jobs: as of ``--jobs``. ready: loads what all processes would have to load otherwise.
    """
    from policyc.cli.console import Progress

    count = 1
    if len(paths) > 1:
        from policyc.cli.workers import Crew, processes

        count = processes(paths, jobs)
    if count == 1:
        with Progress(f"{doing} {paths[0] if len(paths) == 1 else 'policies'}") as progress:
            return _gathered(paths, _alone(paths, work, progress.step))
    ready()
    with Crew(lambda path: _answer(work, path, None), paths, count) as crew, Progress(f"{doing} policies") as progress:
        return _gathered(paths, crew.answers(lambda done: progress.step(paths[done - 1], done - 1, len(paths))))


def _alone(paths: Sequence[str], work: Callable[[str, Step], object], step: Step) -> Iterator[object]:
    for at, path in enumerate(paths):
        if len(paths) > 1:
            step(path, at, len(paths))
        yield _answer(work, path, step)


def _answer(work: Callable[[str, Any], object], path: str, step: Step | None) -> object:
    try:
        return work(path, step)
    except UnreadableError as reason:
        return reason


def _gathered(paths: Sequence[str], answers: Iterable[object]) -> Done:
    done = Done([], [], [])
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, UnreadableError):
            done.unreadable.append(str(answer))
        elif isinstance(answer, Died):
            done.died.append(f"{path} was left out: {answer}")
        else:
            done.answers.append(answer)
    return done
