"""Carrying fixes out: tried in memory, compared with what was before, and written whole or not at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from policyc.cli import policies
from policyc.cli.rewriting import show, write
from policyc.lint.fixes import apply, chosen, waivers
from policyc.lint.settings import matches
from policyc.review import review, verdict
from policyc.vocabulary.diagnostic import Fix, PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from policyc.cli.parser import Arguments
    from policyc.database.names import Database
    from policyc.review import Reviewed

ROUNDS = 10
"""Times that the rules run again over what fixes have made; each round finds less."""
ONE_BY_ONE = 200
"""Fixes that are tried alone where all together do not hold."""

STDIN = "<stdin>"

Texts = dict[str, str]


class _Images:
    """What policies compile to, with some of their files replaced."""

    def __init__(
        self, reviews: Sequence[Reviewed], database_files: tuple[str, ...], typed: Mapping[str, bytes]
    ) -> None:
        self.reviews = [each for each in reviews if each.compiles]
        self.files = database_files
        self.typed = typed
        self.before = {each.path: self._of(each.path, {}) for each in self.reviews}

    def _of(self, path: str, buffers: Mapping[str, bytes]) -> Any:
        from functools import partial

        from policyc.pipeline import check_policy, front

        reader = partial(front, buffers={**self.typed, **buffers})
        return check_policy(path, reader=reader, database_files=self.files).images

    def hold(self, texts: Texts, *, same: bool) -> bool:
        """Whether every policy that has one of the texts still compiles; same: to the very same images."""
        buffers = encoded(texts)
        for each in self.reviews:
            if not any(file.name in texts for file in each.files):
                continue
            try:
                images = self._of(each.path, buffers)
            except PolicyError:
                return False
            if same and images != self.before[each.path]:
                return False
        return True


def run(
    args: Arguments,
    reviews: Sequence[Reviewed],
    today: str,
    database_files: tuple[str, ...],
    typed: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Apply what the command line asks for; the files that changed, under the names by which the pipeline asks for them.

    typed: what stands on standard input, as ``-``; its new text goes to standard output.
    """
    images = _Images(reviews, database_files, typed)
    if args.add_waivers:
        texts = _waived(args, reviews, today)
        if not images.hold(texts, same=True):
            raise AssertionError("a waiver changed what a policy means")
    else:
        texts = _fixed(args, reviews, today, policies.database(args, database_files), images, typed)
    if args.diff:
        show(texts, _originals(reviews))
    else:
        digests = {file.name: file.source.digest for each in reviews for file in each.files}
        write({name: text for name, text in texts.items() if name != STDIN}, digests)
        if typed:
            sys.stdout.write(texts.get(STDIN, typed["-"].decode("utf-8", "replace")))
    return encoded(texts)


def _originals(reviews: Sequence[Reviewed]) -> Texts:
    return {file.name: file.source.text for each in reviews for file in each.files}


def _waived(args: Arguments, reviews: Sequence[Reviewed], today: str) -> Texts:
    from policyc.cli.rulechoice import LEVELS, failing
    from policyc.syntax.parser import parse

    level = args.fail_on if args.fail_on in LEVELS else "warning"
    found = [each for each in verdict(reviews, today).left if each.severity in failing(level)]
    forbidden = [pattern for each in reviews for pattern in each.settings.forbid_waivers]
    trees = {file.name: parse(file.source)[0] for each in reviews for file in each.files}
    return apply(waivers(found, trees, _reasons(args.reason), forbidden))


def _reasons(given: Sequence[tuple[str, str]]) -> Callable[[str], str]:
    """The reason for a code: that of the narrowest pattern which means it; without one, a note to write it."""
    from policyc.lint.settings import ALL
    from policyc.lint.waivers import TODO

    def narrow(pattern: str) -> int:
        return 0 if pattern == ALL else len(pattern)

    def reason(code: str) -> str:
        fitting = [each for each in given if matches(each[0], code)]
        return max(fitting, key=lambda each: narrow(each[0]))[1] if fitting else f"{TODO}: say why"

    return reason


def _fixed(
    args: Arguments,
    reviews: Sequence[Reviewed],
    today: str,
    database: Database,
    images: _Images,
    typed: Mapping[str, bytes],
) -> Texts:
    """The texts after all rounds. Every step has compiled, and without unsafe fixes to the same images."""
    editable = [file.name for each in reviews for file in each.files]
    texts: Texts = {}
    now = list(reviews)
    for _ in range(ROUNDS):
        fixes = chosen(verdict(now, today).left, unsafe=args.unsafe_fixes, editable=editable)
        step = _holding(fixes, texts, images, same=not args.unsafe_fixes)
        if not step:
            break
        texts.update(step)
        buffers = {**typed, **encoded(texts)}
        now = [review(each.path, each.settings, database=database, buffers=buffers) for each in reviews]
    return texts


def _holding(fixes: list[Fix], texts: Texts, images: _Images, *, same: bool) -> Texts:
    """What the fixes make of their files: all of them, or those that hold one after the other."""
    if not fixes:
        return {}
    step = apply(fixes)
    if images.hold({**texts, **step}, same=same):
        return step
    kept: list[Fix] = []
    for fix in fixes[:ONE_BY_ONE]:
        if images.hold({**texts, **apply([*kept, fix])}, same=same):
            kept.append(fix)
    return apply(kept)


def encoded(texts: Texts) -> dict[str, bytes]:
    """The texts as files have them, under the names by which the pipeline asks for them."""
    return {"-" if name == STDIN else name: text.encode("utf-8") for name, text in texts.items()}
