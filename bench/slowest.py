"""Searches for the text that is read slowest, for its length: ``python -m bench.slowest [--seconds 60] [--seed 1]``.

Pieces of policies are changed at random, repeated to a text of some length, and read. What costs more for each
character, in times of a plain rule, or more than twice as much for twice the text, is changed further. Processor time,
the best of three. Prints the slowest pieces; tests/syntax/test_slowest.py reads what it has found alike.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import NamedTuple

from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.vocabulary.diagnostic import PolicyError

LENGTH = 1 << 15
"""Characters of a text; it is also read at half this length."""
KEPT, LONGEST = 24, 40
"""Pieces that are changed further, and the words of one."""
PLAIN = ("intercept", " ", "io", " ", "0x3f8", " ", "in", "\n")
WORDS = (
    " ", "\n", "\t", "\f", "\r\n", "\\\n", "\\", "#", "##", "# policyc: ignore[S101] reason=\"x\"", "# policyc:", "{", "}", "(", ")", "[",
    "]", "..", ".", ",", ":", "->", "=>", "==", "=", "&", "|", "~", "<<", "+", '"', '"a"', "`", "`a`", "0x3f8", "0xG", "1", "007", "0x",
    "a", "A_B", "_", "x" * 40, "9" * 40, "é", "\u202e", "intercept", "allow", "deny", "override", "msr", "io", "in", "out", "read",
    "width", "when", "value", "cpl", "and", "on", "vcpu", "except", "let", "const", "default", "passthrough", "exit", "profile a {",
    'test "t" {', "assert", "not", "intercepted", "action", "never", "import", "as", "target", "language", "log", "mask(and=1,or=2)",
    "rdmsr", "len",
)  # fmt: skip


class Found(NamedTuple):
    """A piece: its words. cost: seconds for a character, in times of a plain rule's. growth: for twice the text."""

    cost: float
    growth: float
    words: tuple[str, ...]

    @property
    def badness(self) -> float:
        return self.cost * max(1.0, self.growth / 2) ** 2


def text(words: Sequence[str], length: int) -> bytes:
    """The piece, again and again, as UTF-8."""
    piece = "".join(words) or " "
    return (piece * (length // len(piece) + 1))[:length].encode()


def seconds(data: bytes) -> float:
    """What reading a text takes, wrong or right."""
    least = 1e9
    gc.disable()
    for _ in range(3):
        start = time.process_time()
        with suppress(PolicyError):
            parse(decode("x.pol", data))
        least = min(least, time.process_time() - start)
    gc.enable()
    return least


def weigh(words: tuple[str, ...], plain: float) -> Found:
    """plain: seconds of LENGTH characters of plain rules."""
    half, whole = seconds(text(words, LENGTH // 2)), seconds(text(words, LENGTH))
    return Found(whole / plain, whole / max(half, 1e-5), words)


def changed(words: tuple[str, ...], random: Random) -> tuple[str, ...]:
    out = list(words)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(out) + 1)
        way = random.randrange(4)
        if way == 0:
            out.insert(at, random.choice(WORDS))
        elif way == 1 and out:
            del out[at - 1 : at - 1 + random.randrange(1, 3)]
        elif way == 2 and out:
            out[at - 1] = random.choice(WORDS)
        else:
            lo = random.randrange(len(out) + 1)
            out[at:at] = out[lo : lo + random.randrange(1, 6)]
    return tuple(out[:LONGEST])


def search(limit: float, seed: int) -> list[Found]:
    """The worst pieces first."""
    random = Random(seed)
    plain = seconds(text(PLAIN, LENGTH))
    known = {
        words: weigh(words, plain) for words in (PLAIN, *((word, "\n") for word in WORDS), *((word,) for word in WORDS))
    }
    end = time.monotonic() + limit
    while time.monotonic() < end:
        best = sorted(known.values(), key=lambda each: -each.badness)[:KEPT]
        words = changed(random.choice(best).words, random)
        if words not in known:
            known[words] = weigh(words, plain)
    return sorted(known.values(), key=lambda each: -each.badness)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.slowest")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("times a plain rule's cost, for twice the text, piece")
    for each in search(args.seconds, args.seed)[:12]:
        print(f"{each.cost:6.1f} {each.growth:6.1f}  {''.join(each.words)!r}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
