"""The C functions that ``forward`` names: whether they can be written beside the exit handler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policyc.emitters import ctext, parts
from policyc.semantics.actions import usable_in_c
from policyc.semantics.policy import Actions, Policy
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.span import Span

_OF_C = (
    r"u?int\w*_t|U?INT\w*_(MIN|MAX|C)|(size|ptrdiff|max_align|nullptr)_t|(SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_\w*"
    r"|NULL|offsetof|linux|unix|i386|mem(cpy|set|move|cmp)"
)
"""Names of the freestanding headers, macros that compilers predefine, and what they may call on their own. Compiled where a policy has a function."""


def problems(policy: Policy) -> list[Diagnostic]:
    """E066 for a function whose name is taken or none of C's, E071 for one that serves MSRs and ports; each name once."""
    ours = ("policyc_", f"{ctext.prefix(policy.name).lower()}_")
    first: dict[str, tuple[str, Span | None]] = {}
    found: dict[str, Diagnostic] = {}
    forwarded = list(_forwarded(policy))
    own = parts.defined() if forwarded else frozenset()
    for name, space, span in forwarded:
        before, there = first.setdefault(name, (space, span))
        if name in found:
            continue
        taken = name in own or re.fullmatch(_OF_C, name) or name.lower().startswith(ours)
        if taken or not usable_in_c(name):
            said = f"the exit handler cannot call a function `{ctext.comment(name)}`: C or the handler itself has that name"
            found[name] = error("E066", said, span, helps=("choose another name for the function",))
        elif before != space:
            said = f"the handler `{name}` serves MSRs and ports, which have different signatures"
            labels = () if there is None or there == span else (Label(there, "here"),)
            found[name] = error("E071", said, span, secondary=labels, helps=("use two names",))
    return list(found.values())


def _forwarded(policy: Policy) -> Iterator[tuple[str, str, Span | None]]:
    """Name, space and place of every ``forward``, those of defaults last."""
    chains: list[tuple[Actions, str, Span | None]] = [(each.actions, each.space, each.span) for each in policy.rules]
    for defaults in (policy.defaults, *(profile.defaults for profile in policy.profiles)):
        chains.append((defaults.msr.actions, MSR, defaults.msr.span))
        chains.append((defaults.io.actions, IO, defaults.io.span))
        chains.append((defaults.outside, MSR, defaults.outside_span))
    for actions, space, span in chains:
        if actions[-1].name == "forward":
            yield actions[-1].handler(), space, span
