"""The layout as lines of C: each array of the tables, one line an entry, with where the policy says so beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

from policyc.emitters import ctext
from policyc.emitters.layout import PAGE, Asked, Cells, ClassTables, Layout, Reset, Table
from policyc.semantics.policy import Actions, Condition, Policy, VcpuClass
from policyc.vocabulary.access import COLUMN_NAMES, COLUMNS, IO, MSR
from policyc.vocabulary.span import Span

COMMENT_COLUMN = 40
"""Where comments beside entries begin, if the entry leaves room."""
NULL = "NULL"
Entry = TypeVar("Entry")
REST = "rest"
_COMPARISONS = {"==": "EQ", "!=": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}


class Array(NamedTuple):
    """One array of the C file. comment: its lines. type: of an entry. name: without ``static const``."""

    comment: tuple[str, ...]
    type: str
    name: str
    lines: tuple[str, ...]


def arrays(policy: Policy, laid: Layout, prefix: str, handlers: dict[str, str]) -> tuple[Array, ...]:
    """All arrays, each after those that it refers to. An array without entries is left out: C has none.

    handlers: functions that ``forward`` names, and the space that each serves.
    """
    places = Places(policy)
    deciders = tuple([_decider(number, each, places) for number, each in enumerate(laid.asked)])
    made = [
        _array("Conditions of rules.", "struct policyc_condition", f"{prefix}_conditions", laid.conditions, _condition),
        _array(
            "What is done: value, set, handlers, rate, action, vector, before.",
            "struct policyc_actions",
            f"{prefix}_actions",
            enumerate(laid.actions),
            lambda each: _actions(*each, handlers),
        ),
        _array(
            "Rules: line, file, conditions, the first of them, actions, slot.",
            "struct policyc_rule",
            f"{prefix}_rules",
            laid.asked,
            lambda each: _rule(each, places),
        ),
        Array(
            _comment("Rules to be asked in turn; one without a condition ends a chain."),
            "uint32_t",
            f"{prefix}_links",
            _links(laid, deciders),
        ),
    ]
    made.append(
        Array(
            _comment("Of 256 addresses each: how many runs it is past the first one's, and the kind."),
            "struct policyc_step",
            f"{prefix}_steps",
            tuple(line for number, steps in enumerate(laid.steps) for line in _steps(number, steps)),
        )
    )
    for table in laid.tables:
        made += _table(laid, table, prefix, deciders)
    for space, cells in ((MSR, laid.msr_cells), (IO, laid.port_cells)):
        said = "Shadowed MSRs, and their words." if space == MSR else "Shadowed ports, and their bytes."
        made.append(_array(said, "struct policyc_cells", f"{prefix}_{space}_cells", cells, _cells))
    for number, resets in enumerate(laid.resets):
        said = "What a reset gives: value, first cell, last cell, unit."
        made.append(_array(said, "struct policyc_reset", f"{prefix}_resets_{number}", resets, _reset))
    made.append(
        Array(_comment("Classes of vCPUs."), "struct policyc_vcpus", f"{prefix}_vcpus", _vcpus(policy.vcpu_classes))
    )
    for profile in laid.profiles:
        lines: list[str] = []
        resetting: list[str] = []
        for each, tables in zip(policy.vcpu_classes, profile.classes, strict=True):
            lines += _class(each.name, tables, laid, prefix)
            resetting.append(_class_resets(each.name, tables, laid, prefix))
        said = f"By vCPU class: {'no profile' if profile.name is None else f'profile {profile.name}'}."
        made.append(Array(_comment(said), "struct policyc_class", classes_name(prefix, profile.name), tuple(lines)))
        name = resets_name(prefix, profile.name)
        made.append(Array(_comment(f"{said} Its resets."), "struct policyc_resets", name, tuple(resetting)))
    return tuple(array for array in made if array.lines)


def profile_name(prefix: str, name: str | None) -> str:
    """The C object of a profile."""
    return f"{prefix}_base" if name is None else f"{prefix}_profile_{ctext.identifier(name)}"


def classes_name(prefix: str, name: str | None) -> str:
    return profile_name(f"{prefix}_classes", name)


def resets_name(prefix: str, name: str | None) -> str:
    return profile_name(f"{prefix}_resets", name)


class Places:
    """Where spans are, as ``vm.pol:12``; and the numbers of files and lines."""

    def __init__(self, policy: Policy) -> None:
        self.files = {id(module.source): number for number, module in enumerate(policy.modules)}
        self.names = [ctext.shortened(ctext.comment(module.path.rsplit("/", 1)[-1]), 24) for module in policy.modules]

    def file(self, span: Span | None) -> int:
        return 0 if span is None else self.files.get(id(span.source), 0)

    def text(self, span: Span | None) -> str:
        """Empty where nobody wrote it."""
        if span is None or not self.names:
            return ""
        return f"{self.names[self.file(span)]}:{span.line}"


def beside(code: str, comment: str) -> str:
    """A line of a table: a tab, the entry, a comment that ends before column 80."""
    tabs, most = _room(len(code))
    text = ctext.shortened(ctext.comment(comment), most)
    return f"\t{code}{tabs}/* {text} */" if text else f"\t{code}"


@cache
def _room(length: int) -> tuple[str, int]:
    """The tabs behind an entry of that many characters, and how many a comment behind them may have."""
    at = ctext.TAB + length
    stop = max(COMMENT_COLUMN, (at // ctext.TAB + 1) * ctext.TAB)
    return "\t" * -((at - stop) // ctext.TAB), ctext.COLUMNS - stop - 6


def _comment(text: str) -> tuple[str, ...]:
    lines = ctext.wrapped(text, 0)
    return (f"/* {lines[0]} */",) if len(lines) == 1 else ("/*", *(f" * {line}" for line in lines), " */")


def _array(
    comment: str, type_: str, name: str, entries: Iterable[Entry], write: Callable[[Entry], Iterable[str]]
) -> Array:
    return Array(_comment(comment), type_, name, tuple(line for each in entries for line in write(each)))


def wide(number: int) -> str:
    return f"UINT64_C({number:#x})"


def _condition(each: Condition) -> Iterable[str]:
    yield f"\t{{ {wide(each.mask)},"
    yield f"\t  {wide(each.operand)}, POLICYC_{_COMPARISONS[each.op]}, {'true' if each.subject == 'cpl' else 'false'} }},"


def spelt(actions: Actions) -> str:
    """A chain of actions as a policy writes it."""
    return ", ".join(
        each.name + (f"({', '.join(_argument(key, value) for key, value in each.arguments)})" if each.arguments else "")
        for each in actions
    )


def _argument(key: str, value: int | str) -> str:
    return f"{key}={value:#x}" if isinstance(value, int) and key in ("and", "or", "value", "init") else f"{key}={value}"


def _actions(number: int, actions: Actions, handlers: dict[str, str]) -> Iterable[str]:
    """handlers: name to space."""
    last = actions[-1]
    value, bits, vector = 0, 0, 0
    if last.name == "const":
        value = last.number("value")
    elif last.name == "mask":
        value, bits = last.number("and"), last.number("or")
    elif last.name == "inject":
        vector = last.number("vector")
    functions = {MSR: NULL, IO: NULL}
    if last.name == "forward":
        functions[handlers[last.handler()]] = last.handler()
    rate = next((each.number("rate") for each in actions if each.name == "log"), 0)
    before = ", ".join([f"POLICYC_BEFORE_{each.name.upper()}" for each in actions[:-1]] + ["0"] * (4 - len(actions)))
    yield f"\t/* {number}: {ctext.shortened(ctext.comment(spelt(actions)), 60)} */"
    yield f"\t{{ {wide(value)}, {wide(bits)},"
    yield f"\t  {functions[MSR]}, {functions[IO]},"
    yield f"\t  {rate}u, POLICYC_ACT_{last.name.upper()}, {vector},"
    yield f"\t  {{ {before} }} }},"


def _rule(each: Asked, places: Places) -> Iterable[str]:
    if each.rule is not None and each.rule.doc:
        yield "\t/*"
        for line in each.rule.doc:
            yield from (f"\t * {part}" for part in ctext.wrapped(line, 1))
        yield "\t */"
    numbers = (
        0 if each.span is None else each.span.line,
        places.file(each.span),
        len(each.conditions),
        each.condition,
        each.actions,
        each.slot,
    )
    entry = f"{{ {', '.join(map(str, numbers))} }},"
    yield beside(entry, " ".join(part for part in (places.text(each.span), each.title) if part))


def _links(laid: Layout, deciders: Sequence[str]) -> tuple[str, ...]:
    lines = []
    for chain, first in laid.chains.items():
        for at, link in enumerate(chain, first):
            turn = "" if at == first else "else "
            lines.append(beside(f"{link},", f"{at}: {turn}{deciders[link]}"))
    return tuple(lines)


def _table(laid: Layout, table: Table, prefix: str, deciders: Sequence[str]) -> tuple[Array, Array]:
    used = [profile for profile in laid.profiles for each in profile.classes if table.number in each.columns]
    columns = {column for p in used for c in p.classes for column in COLUMNS if c.columns[column] == table.number}
    said = ", ".join(COLUMN_NAMES[column] for column in sorted(columns))
    name = f"{prefix}_table_{table.number}"
    digits = 8 if table.space == MSR else 4
    rows = []
    for run, first in zip(table.runs, table.links, strict=True):
        text = " ".join([deciders[link] for link in laid.links[first : first + len(run.chain)]])
        end = f"{run.hi:#0{digits + 2}x}"
        rows.append(beside(f"{{ {end}, {first} }},", f"{run.lo:#0{digits + 2}x}..{end} {text}"))
    return (
        Array(_comment(f"For {said}."), "struct policyc_run", f"{name}_runs", tuple(rows)),
        Array(
            _comment("The run where each 256 addresses begin, and their steps."),
            "struct policyc_page",
            f"{name}_pages",
            _packed(f"{{ {run}, {number * PAGE} }}," for run, number in table.pages),
        ),
    )


def _steps(number: int, steps: bytes) -> tuple[str, ...]:
    return (
        f"\t/* {number * PAGE} */",
        *_packed(f"{{{run}, {kind}}}," for run, kind in zip(steps[::2], steps[1::2], strict=True)),
    )


def _packed(entries: Iterable[str]) -> tuple[str, ...]:
    """As many entries on a line as fit."""
    lines: list[str] = []
    line = ""
    for each in entries:
        if len(line) + len(each) + 1 > ctext.COLUMNS - ctext.TAB:
            lines.append(f"\t{line}")
            line = each
        else:
            line = f"{line} {each}" if line else each
    return (*lines, f"\t{line}") if line else ()


def _decider(number: int, each: Asked, places: Places) -> str:
    return "default" if each.rule is None else places.text(each.span) or f"rule {number}"


def _cells(each: Cells) -> Iterable[str]:
    yield f"\t{{ {each.lo:#x}, {each.hi:#x}, {each.cell} }},"


def _reset(each: Reset) -> Iterable[str]:
    yield f"\t{{ {wide(each.value)}, {each.first}, {each.last}, {each.unit} }},"


def _vcpus(classes: tuple[VcpuClass, ...]) -> tuple[str, ...]:
    rest = next((number for number, each in enumerate(classes) if each.name == REST), 0)
    rows = sorted((hi, number) for number, each in enumerate(classes) for _, hi in each.vcpus)
    if rows and rows[-1][1] == rest:
        rows.pop()
    lines = [beside(f"{{ {hi}, {number} }},", classes[number].name) for hi, number in rows]
    return (*lines, beside(f"{{ UINT32_MAX, {rest} }},", classes[rest].name))


def _class(name: str, tables: ClassTables, laid: Layout, prefix: str) -> Iterable[str]:
    yield f"\t/* {ctext.shortened(name, 60)} */"
    yield "\t{"
    yield "\t\t{"
    for column, number in zip(COLUMNS, tables.columns, strict=True):
        table = f"{prefix}_table_{number}"
        yield f"\t\t\t/* {COLUMN_NAMES[column].replace('width ', '')}: runs, pages, steps, the last run */"
        yield f"\t\t\t{{ {table}_runs,"
        yield f"\t\t\t  {table}_pages,"
        yield f"\t\t\t  {prefix}_steps, {len(laid.tables[number].runs) - 1} }},"
    yield "\t\t}"
    yield "\t},"


def _class_resets(name: str, tables: ClassTables, laid: Layout, prefix: str) -> str:
    count = len(laid.resets[tables.resets])
    return beside(f"{{ {f'{prefix}_resets_{tables.resets}' if count else NULL}, {count} }},", name)
