"""The actions of the language: their arguments, and on which accesses they make sense.

To add an action: its name in policyc.vocabulary.actions, its place in STRICTNESS, one entry in SIGNATURES here, and
its case in the handler's template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policyc.semantics.policy import EXIT, VECTORS, Action, Actions
from policyc.syntax import tree
from policyc.vocabulary.access import (
    COLUMN_NAMES,
    COLUMN_WIDTHS,
    COLUMNS,
    IO_MASK,
    MSR_MASK,
    MSR_READ,
    MSR_WRITE,
    OUT_MASK,
)
from policyc.vocabulary.actions import ACTION_WORDS, NON_TERMINAL
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import NamedTuple

U64 = (1 << 64) - 1
WRITES = 1 << MSR_WRITE | OUT_MASK
LOG_RATE_LAST = 0xFFFF_FFFF

Evaluate = Callable[[tree.Expr, list[Diagnostic]], int | None]
"""The value of a constant expression; None after it has reported why there is none."""


class Parameter(NamedTuple):
    """kind: ``number``, ``vector`` or ``handler``. default: None where it must be given."""

    name: str
    kind: str
    default: int | None = None


SIGNATURES: dict[str, tuple[Parameter, ...]] = {
    "log": (Parameter("rate", "number", 0),),
    "const": (Parameter("value", "number"),),
    "mask": (Parameter("and", "number", U64), Parameter("or", "number", 0)),
    "shadow": (Parameter("init", "number", 0),),
    "inject": (Parameter("vector", "vector"),),
    "forward": (Parameter("handler", "handler"),),
}
"""Actions with arguments; a single parameter may be given without its name."""

_C_WORDS = frozenset(
    """
    alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char char16_t char32_t char8_t class
    co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default
    delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long main
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch
    template
    this thread_local throw true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t
    while xor xor_eq
    """.split()
)
"""Of C11, C23 and C++20; ``main`` is the linker's."""


def usable_in_c(name: str) -> bool:
    """Whether a name can be a function's in C11 and C++20: not reserved, at most 63 characters (C11 5.2.4.1)."""
    return name.isidentifier() and name.isascii() and name not in _C_WORDS and name[0] != "_" and len(name) <= 63


def read_actions(
    written: Sequence[tree.Action], evaluate: Evaluate, problems: list[Diagnostic], *, final: Actions = EXIT
) -> Actions | None:
    """The chain, with ``final`` added where no terminal action ends it; None where something in it is wrong, which is
    reported here or, as a constant that cannot be evaluated, where it is defined."""
    before = len(problems)
    lost = False
    chain: list[Action] = []
    terminal: tree.Action | None = None
    for each in written:
        action = read_action(each, evaluate, problems)
        name = each.name.text
        if terminal is not None:
            problems.append(_after_terminal(terminal, each))
            break
        if name in ACTION_WORDS and name not in NON_TERMINAL:
            terminal = each
        elif any(done.name == name for done in chain):
            problems.append(error("E064", f"`{name}` is given twice", each.span, helps=("once is enough",)))
            break
        if action is None:
            lost = True
        else:
            chain.append(action)
    if lost or len(problems) > before:
        return None
    return tuple(chain) if terminal is not None else (*chain, *final)


def _after_terminal(terminal: tree.Action, each: tree.Action) -> Diagnostic:
    said = Label(terminal.span, "this one ends the chain")
    if each.name.text in NON_TERMINAL:
        return error(
            "E065",
            f"`{each.name.text}` can never run: `{terminal.name.text}` before it is final",
            each.span,
            secondary=(said,),
            helps=(f"write -> {each.span.text}, {terminal.span.text}",),
        )
    return error(
        "E064",
        f"`{terminal.name.text}` and `{each.name.text}` cannot both be the last action",
        each.span,
        secondary=(said,),
        helps=("keep one of the two",),
    )


def read_action(written: tree.Action, evaluate: Evaluate, problems: list[Diagnostic]) -> Action | None:
    """One action with its arguments made canonical; None after reporting E038, E066, E067 or a bad number."""
    name = written.name.text
    if name not in ACTION_WORDS:
        close = nearest(name, ACTION_WORDS)
        helps = (f"did you mean `{close[0]}`?",) if close else (f"actions are {', '.join(ACTION_WORDS)}",)
        fixes = (Fix(f"write `{close[0]}`", (Edit(written.name.span, close[0]),)),) if close else ()
        problems.append(error("E038", f"there is no action `{name}`", written.name.span, helps=helps, fixes=fixes))
        return None
    parameters = SIGNATURES.get(name, ())
    if not parameters:
        if written.arguments:
            problems.append(error("E067", f"`{name}` has no arguments", written.span, helps=(f"write {name}",)))
            return None
        return Action(name)
    given = _bind(written, parameters, problems)
    if given is None:
        return None
    values: list[tuple[str, int | str]] = []
    for parameter in parameters:
        expr = given.get(parameter.name)
        value: int | str | None = parameter.default
        if expr is not None:
            value = _argument(name, parameter, expr, evaluate, problems)
        if value is None:
            return None
        values.append((parameter.name, value))
    return Action(name, tuple(sorted(values)))


def _bind(
    written: tree.Action, parameters: tuple[Parameter, ...], problems: list[Diagnostic]
) -> dict[str, tree.Expr] | None:
    name = written.name.text
    form = _form(name)
    given: dict[str, tree.Expr] = {}
    for argument in written.arguments:
        if argument.name is None and len(parameters) > 1:
            problems.append(
                error("E067", f"`{name}` needs its arguments named", argument.span, helps=(f"write {form}",))
            )
            return None
        key = parameters[0].name if argument.name is None else argument.name.text
        if key not in [each.name for each in parameters]:
            problems.append(error("E067", f"`{name}` has no argument `{key}`", argument.span, helps=(f"write {form}",)))
            return None
        if key in given:
            problems.append(error("E067", f"`{key}` is given twice", argument.span, helps=(f"write {form}",)))
            return None
        given[key] = argument.value
    missing = [each.name for each in parameters if each.default is None and each.name not in given]
    if missing or (name == "mask" and not given):
        what = f"`{name}` needs {'its ' + missing[0] if missing else '`and`, `or` or both'}"
        problems.append(error("E067", what, written.span, helps=(f"write {form}",)))
        return None
    return given


def _form(name: str) -> str:
    return {
        "log": "log or log(rate=10)", "const": "const(0x0)", "mask": "mask(and=~0x400, or=0x1)",
        "shadow": "shadow(init=0x0)", "inject": "inject(gp)", "forward": "forward(my_handler)",
    }[name]  # fmt: skip


def _argument(
    action: str, parameter: Parameter, expr: tree.Expr, evaluate: Evaluate, problems: list[Diagnostic]
) -> int | str | None:
    if parameter.kind == "number":
        value = evaluate(expr, problems)
        if value is not None and action == "log" and value > LOG_RATE_LAST:
            said = f"a rate of {value} does not fit 32 bits"
            problems.append(error("E063", said, expr.span, helps=("a rate is in events a second; 0 is no limit",)))
            return None
        return value
    text = expr.text if isinstance(expr, tree.Name) else None
    if parameter.kind == "vector":
        if text in VECTORS:
            return VECTORS[text]
        helps = (f"exceptions are {', '.join(VECTORS)}",)
        if text == "pf":
            helps = ("a page fault needs an address in CR2, which a rule cannot give: use forward(...)",)
        problems.append(error("E067", f"`{expr.span.text}` is not an exception to inject", expr.span, helps=helps))
        return None
    if text is None or not usable_in_c(text):
        problems.append(
            error(
                "E066",
                f"`{expr.span.text}` cannot be the name of a C function",
                expr.span,
                helps=("letters, digits and `_`, no `_` first, no word of C or C++",),
            )
        )
        return None
    return text


def mistakes(
    actions: Actions, written: Sequence[tree.Action], columns: int, count: int, unreadable: str | None
) -> list[Diagnostic]:
    """Why a chain does not suit accesses of these columns (E061, E062, E063).

    count: addresses of the rule. unreadable: an MSR among them that cannot be read, shown to the user; None if none.
    """
    if not written:
        return []
    action, span = actions[-1], written[-1].span
    if action.name == "const" and columns & WRITES:
        word = "read" if columns & MSR_MASK else "in"
        what = "`const` answers reads, and this rule also covers writes"
        return [error("E061", what, span, helps=(f"say `{word}`, and give the writes a rule of their own",))]
    if action.name == "mask" and unreadable is not None and columns & 1 << MSR_READ:
        what = f"{unreadable} cannot be read, so its value cannot be masked"
        return [error("E062", what, span, helps=("say `write`",))]
    if action.name == "shadow" and count > SHADOW_MOST:
        what = f"a shadow of {count:,} addresses is too large"
        label = f"at most {SHADOW_MOST:,} in one rule"
        return [error("E061", what, span, label, helps=("shadow the registers that the guest uses",))]
    return [each for name, value in action.arguments for each in _too_wide(action.name, name, value, columns, span)]


SHADOW_MOST = 65536


def _too_wide(action: str, name: str, value: int | str, columns: int, span: Span) -> list[Diagnostic]:
    if action not in ("const", "mask", "shadow") or not isinstance(value, int) or not columns & IO_MASK:
        return []
    narrow = min((column for column in COLUMNS if columns >> column & 1), key=lambda column: COLUMN_WIDTHS[column])
    bits = 8 * COLUMN_WIDTHS[narrow]
    above = value >> bits
    if above == 0 or (action == "mask" and name == "and" and above == U64 >> bits):
        return []
    wide = next((width for width in (1, 2, 4) if value >> 8 * width == 0), None)
    remedy = f"say `width {'4' if wide == 4 else '2, 4'}`" if wide else "ports carry at most 32 bits"
    return [
        error(
            "E063",
            f"{value:#x} does not fit an access of {bits} bits",
            span,
            f"this rule covers `{COLUMN_NAMES[narrow]}`",
            helps=(remedy,),
        )
    ]
