"""What the header says beside the types: names, entry points, obligations, an example of use."""

from __future__ import annotations

import textwrap

from policyc.emitters import ctext
from policyc.emitters.duties import duties
from policyc.emitters.layout import STATE_PENDING, Layout
from policyc.emitters.rows import NULL, classes_name, profile_name, resets_name
from policyc.semantics.policy import Policy
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.typed import NamedTuple

ALWAYS_CALLED = ("exit", "msr", "port", "inject")
"""Hooks that every policy can reach: an access past the last port, a port that shares its bit with another access."""
HOOK_OF_ACTION = {"log": "log", "trace": "trace", "notify": "notify", "kill": "kill"}


class Profile(NamedTuple):
    """The object of one profile, and the initialisers of its tables."""

    name: str
    classes: str
    resets: str
    conditions: str
    msr_cells: str
    port_cells: str
    msr_cell_count: int
    port_cell_count: int
    port_word: int
    msr_default: int
    outside: int
    past_last_port: int


class Counter(NamedTuple):
    name: str
    word: int


class Handler(NamedTuple):
    """A function to be written; space: the ``msr`` or ``port`` of the structure that it gets."""

    name: str
    space: str


class Head(NamedTuple):
    """What both templates know the policy by. upper: the prefix of macros. pad: what aligns continued parameters."""

    title: str
    prefix: str
    upper: str
    guard: str
    obligations: tuple[str, ...]
    example: tuple[str, ...]
    words: tuple[str, ...]
    state_words: int
    counters: tuple[Counter, ...]
    profiles: tuple[Profile, ...]
    files: tuple[str, ...]
    file_count: int
    handlers: tuple[Handler, ...]
    hooks: tuple[str, ...]
    targets: tuple[str, ...]


def describe(policy: Policy, laid: Layout, targets: tuple[str, ...], owed: tuple[str, ...]) -> Head:
    """Everything that the templates put into the header and around the tables. owed: MSRs to keep apart, in words."""
    prefix = ctext.prefix(policy.name)
    upper = prefix.upper()
    counters = _counters(laid, upper)
    profiles = tuple(
        Profile(
            profile_name(prefix, each.name),
            classes_name(prefix, each.name),
            resets_name(prefix, each.name),
            f"{prefix}_conditions" if laid.conditions else NULL,
            f"{prefix}_msr_cells" if laid.msr_cells else NULL,
            f"{prefix}_io_cells" if laid.port_cells else NULL,
            len(laid.msr_cells),
            len(laid.port_cells),
            laid.port_word,
            each.msr_default,
            each.outside,
            laid.past_last_port,
        )
        for each in laid.profiles
    )
    return Head(
        ctext.shortened(ctext.comment(policy.name), 40), prefix, upper, f"{upper}_EXIT_HANDLER_H",
        tuple(line for text in duties(targets, owed) for line in _listed(text)), _example(prefix, targets), _words(laid), laid.words, counters, profiles,
        tuple(ctext.string(module.path) for module in policy.modules) or ('""',), max(1, len(policy.modules)),
        tuple(Handler(name, "msr" if space == MSR else "port") for name, space in handlers(laid).items()),
        _hooks(laid, targets), targets,
    )  # fmt: skip


def handlers(laid: Layout) -> dict[str, str]:
    """The functions that ``forward`` names, sorted, and the space each serves."""
    found = {laid.actions[laid.asked[each].actions][-1].handler(): space for each, space in _forwarding(laid)}
    return dict(sorted(found.items()))


def _forwarding(laid: Layout) -> list[tuple[int, str]]:
    """Entries of laid.asked that forward, and the space they do it in."""
    spaces: dict[int, str] = {}
    for number, asked in enumerate(laid.asked):
        if asked.rule is not None:
            spaces[number] = asked.rule.space
    for profile in laid.profiles:
        spaces |= {profile.msr_default: MSR, profile.outside: MSR, profile.io_default: IO}
    return [
        (number, spaces[number])
        for number, asked in enumerate(laid.asked)
        if laid.actions[asked.actions][-1].name == "forward"
    ]


def _hooks(laid: Layout, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Hooks that the handler may call without asking whether they are there."""
    needed = list(ALWAYS_CALLED)
    if "vmx" in targets or "svm" in targets:
        needed.append("memory")
    for action in (action for chain in laid.actions for action in chain):
        if action.name in HOOK_OF_ACTION:
            needed.append(HOOK_OF_ACTION[action.name])
        if action.name == "log" and action.number("rate"):
            needed.append("seconds")
    return tuple(dict.fromkeys(needed))


def _counters(laid: Layout, upper: str) -> tuple[Counter, ...]:
    """A macro for each counter's word: after the rule's label, else its line."""
    found: list[Counter] = []
    taken: set[str] = set()
    for number, asked in enumerate(laid.asked):
        if not any(action.name == "count" for action in laid.actions[asked.actions]):
            continue
        told = asked.rule.label if asked.rule is not None else asked.title
        line = f"line_{asked.span.line}" if asked.span is not None else f"rule_{number}"
        name = f"{upper}_COUNT_{ctext.identifier(told or line).upper()}"
        if name in taken:
            name += f"_{number}"
        taken.add(name)
        found.append(Counter(name, asked.slot))
    return tuple(found)


def _words(laid: Layout) -> tuple[str, ...]:
    """Which words of the state hold what, in words."""
    rules = [each for each in laid.asked if each.slot]
    first_cell = laid.msr_cells[0].cell if laid.msr_cells else laid.port_word or laid.words
    parts = [f"Word {STATE_PENDING}: what a hook answered POLICYC_PENDING to last; 0: nothing."]
    if first_cell > STATE_PENDING + 1 and rules:
        parts.append(f"Words {STATE_PENDING + 1}..{first_cell - 1}: counters, and what log(rate) remembers.")
    if laid.msr_cells:
        last = (laid.port_word or laid.words) - 1
        parts.append(f"Words {laid.msr_cells[0].cell}..{last}: shadowed MSRs, in the order of their numbers.")
    if laid.port_cells:
        parts.append(f"Words {laid.port_word}..{laid.words - 1}: shadowed ports, a byte each, lowest first.")
    return tuple(f" * {line}" for part in parts for line in ctext.wrapped(part, 0))


def _listed(text: str) -> list[str]:
    """One item of a list inside a comment."""
    lines = textwrap.wrap(ctext.comment(text), ctext.COLUMNS - 5)
    return [f" * - {lines[0]}", *(f" *   {line}" for line in lines[1:])]


EXAMPLES = {
    "vmx": """
struct policyc_vmx_exit exit = {{
	.reason = vmread32(0x4402), .qualification = vmread64(0x6400),
	.instruction_length = vmread32(0x440c),
	.instruction_info = vmread32(0x440e),
}};
switch ({prefix}_vmx_exit(&vcpu->policy,
		vm->profile, &regs, &exit)) {{
""",
    "svm": """
struct policyc_svm_exit exit = {{
	.exit_code = vmcb->exit_code, .next_rip = vmcb->next_rip,
	.info1 = vmcb->exit_info_1, .info2 = vmcb->exit_info_2,
}};
switch ({prefix}_svm_exit(&vcpu->policy,
		vm->profile, &regs, &exit)) {{
""",
    "kvm": """
struct policyc_kvm_io io = {{
	.data = (uint8_t *)run + run->io.data_offset, .count = run->io.count,
	.port = run->io.port, .direction = run->io.direction,
	.size = run->io.size,
}};
switch ({prefix}_kvm_io(&vcpu->policy, vm->profile, &io)) {{
""",
}
ANSWERS = """
case POLICYC_DONE: case POLICYC_AGAIN: case POLICYC_FAULT:
	return resume(vcpu);
case POLICYC_PENDING: return to_user_space(vcpu);
case POLICYC_KILL: return stop(vm);
default: return other_exits(vcpu);
}}
"""


def _example(prefix: str, targets: tuple[str, ...]) -> tuple[str, ...]:
    """At most a screen of C, for the first target."""
    text = EXAMPLES[targets[0]].lstrip("\n") + ANSWERS.lstrip("\n") if targets else ""
    return tuple(f" *\t{line}".rstrip() for line in text.format(prefix=prefix).splitlines())
