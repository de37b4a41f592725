"""What names mean in one file: its sets and constants, its imports, the database. Text becomes numbers here."""

from __future__ import annotations

from policyc.semantics.addresses import LAST, Names, count, hint_decimal, in_space, reversed_range, unknown_name
from policyc.semantics.limits import Patience
from policyc.syntax import tree
from policyc.vocabulary import intervals
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import INFO, Diagnostic, Label, error
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.near import nearest

U64 = (1 << 64) - 1
MAX_DEPTH = 64
"""Sets inside sets, operators inside operators."""


MOST_NAMES = 2000
"""Definitions of a file up to which a misspelt name is compared with each."""


class Scope:
    """The names of one file. modules: import alias to the scope of the imported file.

    Every set and constant is resolved at most once; a bad one is reported where it is defined and then poisons its
    users in silence, so that no mistake is told twice.
    """

    def __init__(self, database: Names) -> None:
        self.database = database
        self.lets: dict[str, tree.LetSet | tree.LetConst] = {}
        self.modules: dict[str, Scope | None] = {}
        self.stem = ""
        self._sets: dict[str, Intervals | None] = {}
        self._numbers: dict[str, int | None] = {}
        self._busy: list[tree.LetSet | tree.LetConst] = []
        self._broken: set[str] = set()

    # numbers

    def number(
        self, expr: tree.Expr, problems: list[Diagnostic], space: str | None = None, depth: int = 0
    ) -> int | None:
        """The value of an expression, 0..2^64-1; None after reporting why there is none.

        space: ``msr`` or ``io`` where an address is meant: then names of the database, and of sets with one member,
        count as numbers.
        """
        if depth > MAX_DEPTH:
            problems.append(
                error("E004", f"operators nest more than {MAX_DEPTH} deep", expr.span, helps=("use `let const`",))
            )
            return None
        if isinstance(expr, tree.Number):
            return expr.value
        if isinstance(expr, tree.Unary):
            value = self.number(expr.operand, problems, space, depth + 1)
            return None if value is None else ~value & U64
        if isinstance(expr, tree.Binary):
            return self._binary(expr, problems, space)
        if isinstance(expr, tree.Name):
            let = self.lets.get(expr.text)
            if isinstance(let, tree.LetConst):
                return self._const(let, problems)
        elif isinstance(expr, tree.Member):
            scope, name = self._member(expr, problems)
            if scope is None:
                return None
            let = scope.lets[name]
            if isinstance(let, tree.LetConst):
                return scope._const(let, problems)
        if space is None:
            self._no_number(expr, problems)
            return None
        found = self._named(expr, space, problems)
        if found is None:
            return None
        if intervals.size(found) != 1:
            many = f"{intervals.size(found):,} {'MSRs' if space == MSR else 'ports'}"
            problems.append(
                error(
                    "E043",
                    f"`{expr.span.text}` is {many}, and one number is needed here",
                    expr.span,
                    helps=("name one of them",),
                )
            )
            return None
        return found[0][0]

    def _binary(self, expr: tree.Binary, problems: list[Diagnostic], space: str | None) -> int | None:
        """Chains of operators are long to the left: they are walked, not recursed into."""
        chain = [expr]
        while isinstance(chain[-1].left, tree.Binary):
            chain.append(chain[-1].left)
        value = self.number(chain[-1].left, problems, space, 1)
        for each in reversed(chain):
            right = self.number(each.right, problems, space, 1)
            if value is None or right is None:
                return None
            if each.op == "<<" and right > 63:
                said = f"a shift by {right} leaves nothing of 64 bits"
                problems.append(error("E012", said, each.right.span, helps=("shift by 0..63",)))
                return None
            value = {"|": value | right, "&": value & right, "+": value + right, "<<": value << (right & 63)}[each.op]
            if value > U64:
                problems.append(
                    error(
                        "E012",
                        f"`{each.span.text}` is {value:#x}, which does not fit 64 bits",
                        each.span,
                        helps=("the largest number is 0xffff_ffff_ffff_ffff",),
                    )
                )
                return None
        return value

    def _no_number(self, expr: tree.Expr, problems: list[Diagnostic]) -> None:
        text = expr.span.text
        if isinstance(expr, tree.Name) and expr.text not in self.lets:
            consts = [name for name in self._others() if isinstance(self.lets[name], tree.LetConst)]
            close = nearest(expr.text, consts)
            helps = (f"did you mean `{close[0]}`?",) if close else (f"define it: let const {expr.text} = 0x...",)
            problems.append(error("E033", f"there is no constant `{text}`", expr.span, helps=helps))
        else:
            helps = ("write the number, or a name made with `let const`",)
            problems.append(
                error("E043", f"`{text}` is not a constant", expr.span, "a number is needed here", helps=helps)
            )

    def _const(self, let: tree.LetConst, problems: list[Diagnostic]) -> int | None:
        name = let.name.text
        if name not in self._numbers or let in self._busy:
            if not self._enter(let, problems):
                return None
            self._numbers[name] = self.number(let.value, problems)
            self._busy.pop()
        return self._numbers[name]

    def _enter(self, let: tree.LetSet | tree.LetConst, problems: list[Diagnostic]) -> bool:
        """Begin to resolve a definition; a definition that leads back to itself is E042, with its chain."""
        if let in self._busy:
            chain = self._busy[self._busy.index(let) :]
            if all(each.name.text not in self._broken for each in chain):
                names = " -> ".join(each.name.text for each in (*chain, let))
                others = tuple(Label(each.name.span, "through this") for each in chain[1:3])
                problems.append(
                    error(
                        "E042",
                        f"`{let.name.text}` is defined by itself: {names}",
                        let.name.span,
                        secondary=others,
                        helps=("write one of them with numbers",),
                    )
                )
                self._broken.update(each.name.text for each in chain)
            return False
        if len(self._busy) >= MAX_DEPTH:
            problems.append(error("E004", f"definitions nest more than {MAX_DEPTH} deep", let.name.span))
            return False
        self._busy.append(let)
        return True

    # sets

    def items(
        self, space: str, items: tree.Items, excepts: tree.Items | None, problems: list[Diagnostic]
    ) -> Intervals | None:
        """The addresses of ``items except excepts``; None after reporting why there are none."""
        inside = self._items(space, items, problems)
        outside = () if excepts is None else self._items(space, excepts, problems)
        if inside is None or outside is None:
            return None
        return intervals.subtract(inside, outside)

    def _items(self, space: str, items: tree.Items, problems: list[Diagnostic]) -> Intervals | None:
        found: list[tuple[int, int]] = []
        good = True
        for item in items.items:
            part = self._item(space, item, problems)
            if part is None:
                good = False
            else:
                found += part
        return intervals.normal(found) if good else None

    def _item(self, space: str, item: tree.Item, problems: list[Diagnostic]) -> Intervals | None:
        if isinstance(item, tree.Single):
            return self._single(space, item.value, problems)
        if isinstance(item, tree.Range):
            return self._range(space, item, problems)
        base = self.number(item.base, problems, space)
        size = self.number(item.size, problems)
        if base is None or size is None:
            return None
        hint_decimal(self.database, space, item.base, problems)
        return self._length(space, item, base, size, problems)

    def _single(self, space: str, expr: tree.Expr, problems: list[Diagnostic]) -> Intervals | None:
        if isinstance(expr, tree.Name | tree.Member | tree.Element):
            if (isinstance(expr, tree.Name) and isinstance(self.lets.get(expr.text), tree.LetConst)) or (
                isinstance(expr, tree.Member) and self._is_const(expr)
            ):
                value = self.number(expr, problems)
            else:
                return self._named(expr, space, problems)
        else:
            value = self.number(expr, problems, space)
        if value is None or not in_space(space, value, expr.span, problems):
            return None
        hint_decimal(self.database, space, expr, problems)
        return ((value, value),)

    def _is_const(self, expr: tree.Member) -> bool:
        scope = self.modules.get(expr.module.text)
        return scope is not None and isinstance(scope.lets.get(expr.name.text), tree.LetConst)

    def _range(self, space: str, item: tree.Range, problems: list[Diagnostic]) -> Intervals | None:
        before = len(problems)
        lo = self.number(item.lo, problems, space)
        hi = self.number(item.hi, problems, space)
        if lo is None or hi is None:
            return None
        if lo > hi and max(lo, hi) <= LAST[space]:
            problems.append(reversed_range(item, lo, hi, space))
            return None
        if not in_space(space, lo, item.lo.span, problems) or not in_space(space, hi, item.hi.span, problems, lo):
            return None
        if len(problems) == before:
            hint_decimal(self.database, space, item.lo, problems)
            if isinstance(item.lo, tree.Name) and isinstance(item.hi, tree.Name) and lo != hi:
                said = f"`{item.span.text}` is {lo:#x}..{hi:#x}, {count(space, hi - lo + 1)}"
                problems.append(error("Y712", said, item.span, severity=INFO))
        return ((lo, hi),)

    def _length(
        self, space: str, item: tree.Length, base: int, size: int, problems: list[Diagnostic]
    ) -> Intervals | None:
        if not in_space(space, base, item.base.span, problems):
            return None
        if size == 0:
            problems.append(error("E024", "a length of 0 covers nothing", item.size.span, helps=("delete the item",)))
            return None
        last = base + size - 1
        if last > LAST[space]:
            end = f"{'ports' if space == IO else 'MSR indexes'} end at {LAST[space]:#x}"
            problems.append(
                error(
                    "E024",
                    f"{base:#x} len {size:#x} ends at {last:#x}",
                    item.span,
                    end,
                    helps=(f"write {base:#x}..{LAST[space]:#x}",),
                )
            )
            return None
        return ((base, last),)

    # names

    def _named(self, expr: tree.Expr, space: str, problems: list[Diagnostic]) -> Intervals | None:
        """The addresses of a set, of a module's set, or of a name or family of the database."""
        if isinstance(expr, tree.Member):
            scope, name = self._member(expr, problems)
            return None if scope is None else scope._set(space, name, expr, problems)
        if isinstance(expr, tree.Element):
            return self._elements(expr, space, problems)
        if not isinstance(expr, tree.Name):
            value = self.number(expr, problems, space)
            return None if value is None or not in_space(space, value, expr.span, problems) else ((value, value),)
        if expr.text in self.lets:
            return self._set(space, expr.text, expr, problems)
        found = self.database.msr(expr.text) if space == MSR else self.database.port(expr.text)
        if found is None:
            problems.append(unknown_name(self.database, space, expr, self._others(), list(self.modules)))
        return found

    def _set(self, space: str, name: str, user: tree.Expr, problems: list[Diagnostic]) -> Intervals | None:
        let = self.lets[name]
        if isinstance(let, tree.LetConst):
            value = self._const(let, problems)
            return None if value is None or not in_space(space, value, user.span, problems) else ((value, value),)
        if let.space.text != space:
            have, want = ("MSRs", "ports") if space == IO else ("ports", "MSRs")
            problems.append(
                error(
                    "E041",
                    f"`{user.span.text}` is a set of {have}, and {want} are meant here",
                    user.span,
                    secondary=(Label(let.name.span, "defined here"),),
                    helps=("a set holds MSRs or ports, never both",),
                )
            )
            return None
        if name not in self._sets or let in self._busy:
            if not self._enter(let, problems):
                return None
            self._sets[name] = self.items(space, let.items, let.excepts, problems)
            self._busy.pop()
        return self._sets[name]

    def _member(self, expr: tree.Member, problems: list[Diagnostic]) -> tuple[Scope | None, str]:
        """The scope that defines ``module.name``, None after reporting that there is none."""
        module, name = expr.module.text, expr.name.text
        if module not in self.modules:
            close = nearest(module, self.modules)
            remedy = f"did you mean `{close[0]}`?" if close else f'import it: import "std/{module}.pol" as {module}'
            problems.append(error("E033", f"no module is imported as `{module}`", expr.module.span, helps=(remedy,)))
            return None, name
        scope = self.modules[module]
        if scope is None:
            return None, name
        if name not in scope.lets:
            close = nearest(name, scope.lets)
            known = ", ".join(sorted(scope.lets)[:8])
            remedy = (
                f"did you mean `{module}.{close[0]}`?"
                if close
                else f"it has {known}"
                if known
                else "it defines no name"
            )
            said = f"the module `{module}` has no `{name}`"
            problems.append(error("E034", said, expr.name.span, helps=(remedy,)))
            return None, name
        return scope, name

    def _elements(self, expr: tree.Element, space: str, problems: list[Diagnostic]) -> Intervals | None:
        """``NAME[2]`` or ``NAME[0..7]``: members of a family of the database."""
        name = expr.name.text
        family = self.database.msr_family(name) if space == MSR else self.database.port_family(name)
        if family is None:
            known = (self.database.msr(name) if space == MSR else self.database.port(name)) is not None
            if not known or name in self.lets:
                problems.append(unknown_name(self.database, space, expr.name, self._others(), list(self.modules)))
            else:
                problems.append(
                    error("E043", f"`{name}` is one register, not a family", expr.span, helps=(f"write {name}",))
                )
            return None
        lo = self.number(expr.lo, problems)
        hi = lo if expr.hi is None else self.number(expr.hi, problems)
        if lo is None or hi is None:
            return None
        if lo > hi:
            problems.append(
                error("E021", f"members start at {lo} but end at {hi}", expr.span, "empty: the low end must come first")
            )
            return None
        if hi >= family:
            said = f"`{name}` has {family} members"
            problems.append(
                error(
                    "E034", f"{said}, and {hi} is not one of them", expr.span, helps=(f"write {name}[0..{family - 1}]",)
                )
            )
            return None
        member = self.database.msr_member if space == MSR else self.database.port_member
        numbers = [member(name, each) for each in range(lo, hi + 1)]
        return intervals.normal((each, each) for each in numbers if each is not None)

    def _others(self) -> list[str]:
        """What this file defines, without what is being defined: nothing is meant by its own definition."""
        if len(self.lets) > MOST_NAMES:
            return []
        return [name for name, let in self.lets.items() if let not in self._busy]

    def check_all(self, problems: list[Diagnostic], patience: Patience) -> None:
        """Resolve every definition, so that a mistake in an unused one is told too."""
        for name, let in self.lets.items():
            if patience.spent():
                return
            if isinstance(let, tree.LetConst):
                self._const(let, problems)
            else:
                self._set(let.space.text, name, let.name, problems)
