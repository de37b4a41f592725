"""Policies made by hand: `make(intercept(...), allow(...))`, for tests of what comes after the resolver.

The source text of each statement is written too, so that spans point at words a person would have written.
"""

from __future__ import annotations

from typing import NamedTuple

from policyc.semantics.policy import (
    EXIT,
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    PASSTHROUGH,
    Action,
    Actions,
    Assertion,
    Condition,
    Default,
    Defaults,
    ModuleInfo,
    Never,
    Policy,
    Profile,
    Rule,
    Test,
    TestCase,
    VcpuClass,
)
from policyc.vocabulary.access import IN_MASK, IO, IO_MASK, MSR, MSR_MASK, MSR_READ, MSR_WRITE, OUT_MASK, VCPU_LAST
from policyc.vocabulary.intervals import Intervals, normal, subtract, union
from policyc.vocabulary.span import Source, Span

READ, WRITE = 1 << MSR_READ, 1 << MSR_WRITE
ACCESS = {"read": READ, "write": WRITE, "rw": MSR_MASK, "in": IN_MASK, "out": OUT_MASK, "inout": IO_MASK}
KILL: Actions = (Action("kill"),)
DROP: Actions = (Action("drop"),)
GP: Actions = (Action("inject", (("vector", 13),)),)
COUNT: Actions = (Action("count"), Action("passthrough"))


def const(value: int) -> Actions:
    return (Action("const", (("value", value),)),)


class Draft(NamedTuple):
    """A rule before it has its number and its place in a text."""

    verb: str
    space: str
    ranges: Intervals
    columns: int
    actions: Actions
    conditions: tuple[Condition, ...] = ()
    vcpus: Intervals | None = None
    layer: int = LAYER_MAIN
    profile: str | None = None
    module: int = 0
    label: str | None = None


def rule(
    verb: str,
    space: str,
    ranges: int | tuple[int, int] | Intervals,
    access: str | int | None = None,
    actions: Actions | None = None,
    *,
    when: tuple[Condition, ...] = (),
    vcpus: Intervals | None = None,
    override: bool = False,
    profile: str | None = None,
    module: int = 0,
    label: str | None = None,
) -> Draft:
    """module 0 is the main file. access: a word of the language or a mask of columns."""
    if isinstance(ranges, int):
        ranges = ((ranges, ranges),)
    elif isinstance(ranges[0], int):
        ranges = (ranges,)  # type: ignore[assignment]
    if access is None:
        access = "rw" if space == MSR else "inout"
    columns = ACCESS[access] if isinstance(access, str) else access
    if actions is None:
        actions = PASSTHROUGH if verb == "allow" else EXIT
    layer = LAYER_IMPORT if module else LAYER_MAIN
    if profile is not None:
        layer = LAYER_PROFILE
    if override:
        layer = LAYER_OVERRIDE
    return Draft(verb, space, ranges, columns, actions, when, vcpus, layer, profile, module, label)  # type: ignore[arg-type]


def condition(text: str) -> Condition:
    """``value & 0xf == 3``, ``cpl == 0``."""
    words = text.split()
    mask = (1 << 64) - 1
    if words[1] == "&":
        mask = int(words[2], 0)
        del words[1:3]
    return Condition(words[0], mask, words[1], int(words[2], 0))


def defaults(msr: Actions | None = None, io: Actions | None = None, outside: Actions = EXIT) -> Defaults:
    """None: pass through without an exit."""
    return Defaults(
        Default(msr is not None, msr or PASSTHROUGH, None),
        Default(io is not None, io or PASSTHROUGH, None),
        outside,
        None,
    )


def profile(
    name: str, parents: tuple[str, ...] = (), lineage: tuple[str, ...] = (), own: Defaults | None = None
) -> Profile:
    span = Span(Source("vm.pol", ""), 0, 0)
    return Profile(name, parents, lineage or (*parents, name), own or defaults(), (), span)


def _words(draft: Draft) -> tuple[str, str]:
    items = [f"0x{lo:x}" if lo == hi else f"0x{lo:x}..0x{hi:x}" for lo, hi in draft.ranges]
    where = items[0] if len(items) == 1 else "{ " + ", ".join(items) + " }"
    head = (f"{draft.label}: " if draft.label else "") + ("override " if draft.layer == LAYER_OVERRIDE else "")
    words = next((f" {word}" for word, mask in ACCESS.items() if mask == draft.columns), " mask")
    conditions = " and ".join(
        f"{each.subject} & 0x{each.mask:x} {each.op} 0x{each.operand:x}" for each in draft.conditions
    )
    when = f" when {conditions}" if conditions else ""
    actions = "" if draft.actions in (EXIT, PASSTHROUGH) else f" -> {', '.join(each.name for each in draft.actions)}"
    return f"{head}{draft.verb} {draft.space} ", f"{where}\0{words}{when}{actions}\n"


def make(
    *drafts: Draft,
    profiles: tuple[Profile, ...] = (),
    asserts: tuple[Assertion, ...] = (),
    nevers: tuple[Never, ...] = (),
    tests: tuple[Test, ...] = (),
    own: Defaults | None = None,
    modules: tuple[str, ...] = (),
) -> Policy:
    """A policy of these rules, in this order. modules: names of the imported files, module 1 first."""
    names = ("vm.pol", *modules)
    written: list[list[str]] = [[] for _ in range(1 + max([len(modules), *(draft.module for draft in drafts)]))]
    lengths = [0] * len(written)
    places = []
    for draft in drafts:
        head, tail = _words(draft)
        where, rest = tail.split("\0")
        start = lengths[draft.module]
        written[draft.module].append(head + where + rest)
        lengths[draft.module] += len(head + where + rest)
        places.append((start, start + len(head), start + len(head + where), lengths[draft.module] - 1))
    texts = ["".join(parts) for parts in written]
    names = (*names, *(f"module{index}.pol" for index in range(len(names), len(texts))))
    sources = [Source(name, text) for name, text in zip(names, texts, strict=True)]
    rules = []
    for number, (draft, (start, at, end, stop)) in enumerate(zip(drafts, places, strict=True)):
        source = sources[draft.module]
        span, statement = Span(source, at, end), Span(source, start, stop)
        rules.append(
            Rule(
                number, draft.verb, draft.space, draft.ranges, draft.columns, draft.conditions, draft.vcpus, draft.actions,
                draft.layer, draft.profile, draft.module, draft.label, (), span, statement,
            )
        )  # fmt: skip
    infos = tuple(ModuleInfo(source.name, source.name, source) for source in sources)
    return Policy(
        "vm", 1, (), own or defaults(), tuple(rules), profiles, classes(drafts), asserts, nevers, tests, infos, "test"
    )


def classes(drafts: tuple[Draft, ...]) -> tuple[VcpuClass, ...]:
    """The atoms of all vCPU sets; ``rest`` first."""
    named = union(*(draft.vcpus for draft in drafts if draft.vcpus is not None))
    rest = VcpuClass("rest", subtract(((0, VCPU_LAST),), named))
    groups: dict[tuple[int, ...], list[int]] = {}
    for lo, hi in named:
        for vcpu in range(lo, hi + 1):
            mine = tuple(
                index
                for index, draft in enumerate(drafts)
                if draft.vcpus is not None and any(a <= vcpu <= b for a, b in draft.vcpus)
            )
            groups.setdefault(mine, []).append(vcpu)
    atoms = sorted(normal((vcpu, vcpu) for vcpu in members) for members in groups.values())
    return (rest, *(VcpuClass("_".join(f"{a}-{b}" for a, b in atom), atom) for atom in atoms))


def case(kind: str, address: int, outcome: Actions, width: int = 8, value: int = 0, **more: object) -> TestCase:
    profile_name, cpl, vcpu = more.get("profile"), more.get("cpl", 0), more.get("vcpu")
    text = f"{kind} 0x{address:x}"
    span = Span(Source("vm.pol", text), 0, len(text))
    return TestCase(kind, address, width, value, cpl, vcpu, profile_name, outcome, span)  # type: ignore[arg-type]


def assertion(
    text: str, ranges: Intervals, columns: int, expected: Actions | None = None, profile_name: str | None = None
) -> Assertion:
    """text: ``intercepted msr``, ``not intercepted io``, ``action io``."""
    words = text.split()
    negated = words[0] == "not"
    span = Span(Source("vm.pol", f"assert {text}"), 0, 7 + len(text))
    return Assertion(negated, words[-2], words[-1], ranges, columns, expected, profile_name, 0, span)


def never(space: str, ranges: Intervals, columns: int, profile_name: str | None = None) -> Never:
    text = f"never allow {space}"
    return Never(space, ranges, columns, profile_name, 0, Span(Source("vm.pol", text), 0, len(text)))


__all__ = ["IO", "MSR", "make", "rule"]
