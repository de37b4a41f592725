"""Policies that nobody would write: rules of every kind, crowded where addresses are interesting."""

from __future__ import annotations

import random

from policyc.semantics.policy import STRICTNESS, Action, Actions, Condition, Policy
from policyc.vocabulary.access import IO, MSR, MSR_MASK
from policyc.vocabulary.intervals import normal
from tests.semantics.policies import Draft, defaults, make, profile, rule

PORTS = (0x0, 0x60, 0x3F8, 0x7FFC, 0x8000, 0xCF8, 0xFFF0)
MSRS = (0x0, 0x174, 0x800, 0x1FF0, 0x2000, 0x40000000, 0xBFFFFFF0, 0xC0000080, 0xC0001FF0, 0xC0010000, 0xFFFFFFF0)
VALUES = (0, 1, 0x41, 0xFF, 0x8000, 0x8000_0041, 0x8000_0000_8000_0041)


def policy(seed: int) -> Policy:
    """The same seed gives the same policy: 5 to 40 rules, up to two profiles, up to four classes of vCPUs."""
    chance = random.Random(seed)
    drafts = tuple(_rule(chance, number) for number in range(chance.randint(5, 40)))
    own = defaults(_default(chance), _default(chance), _actions(chance, IO, 0) if chance.random() < 0.7 else ())
    if not own.outside:
        own = own._replace(outside=(Action("exit"),))
    profiles = (
        profile("first", own=own),
        profile("second", ("first",), ("first", "second"), own=own),
    )
    return make(*drafts, profiles=profiles, own=own)._replace(name=f"random {seed}")


def _default(chance: random.Random) -> Actions | None:
    return None if chance.random() < 0.5 else _actions(chance, IO, 0)


def _rule(chance: random.Random, number: int) -> Draft:
    space = chance.choice((IO, IO, MSR))
    ranges = tuple(sorted(_range(chance, space) for _ in range(chance.choice((1, 1, 1, 2, 3)))))
    verb = "allow" if chance.random() < 0.2 else "intercept"
    columns = chance.choice((1, 2, 3)) if space == MSR else chance.choice((252, 252, *range(4, 256, 4)))
    return rule(
        verb,
        space,
        normal(ranges),
        columns & (MSR_MASK if space == MSR else 252),
        None if verb == "allow" else _actions(chance, space, number),
        when=tuple(_condition(chance) for _ in range(chance.choice((0, 0, 0, 1, 1, 2)))),
        vcpus=chance.choice((None, None, None, ((0, 0),), ((0, 3),), ((2, 2), (4095, 4095)))),
        override=chance.random() < 0.2,
        profile=chance.choice((None, None, None, "first", "second")),
        module=chance.choice((0, 0, 1)),
    )


def _range(chance: random.Random, space: str) -> tuple[int, int]:
    last = 0xFFFF if space == IO else 0xFFFFFFFF
    lo = min(last, chance.choice(PORTS if space == IO else MSRS) + chance.randrange(0, 16))
    return lo, min(last, lo + chance.choice((0, 0, 0, 1, 2, 3, 7, 15, 40)))


def _condition(chance: random.Random) -> Condition:
    op = chance.choice(("==", "!=", "<", "<=", ">", ">="))
    if chance.random() < 0.4:
        return Condition("cpl", chance.choice((3, 1, (1 << 64) - 1)), op, chance.randrange(0, 4))
    mask = chance.choice(((1 << 64) - 1, 0x80000000, 0xFF, 0x41, 1 << 63))
    return Condition("value", mask, op, chance.choice(VALUES) & mask)


def _actions(chance: random.Random, space: str, number: int) -> Actions:
    before = tuple(
        Action(name, (("rate", chance.choice((0, 5))),) if name == "log" else ())
        for name in chance.sample(("log", "count", "trace"), chance.choice((0, 0, 1, 2, 3)))
    )
    name = chance.choice([each for each in STRICTNESS if number or each not in ("const", "mask", "shadow", "forward")])
    arguments: tuple[tuple[str, int | str], ...] = {
        "const": (("value", chance.choice((0, 0x7F))),),
        "mask": (("and", chance.choice(((1 << 64) - 1, 0xFE))), ("or", chance.choice((0, 1)))),
        "shadow": (("init", chance.choice((0, 0x5A))),),
        "inject": (("vector", chance.choice((6, 13, 17))),),
        "forward": (("handler", f"{space}_handler_{number % 3}"),),
    }.get(name, ())
    return (*before, Action(name, arguments))
