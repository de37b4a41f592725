"""One line of a test block: ``out 0x64 width 1 value 0xfe => kill``."""

from __future__ import annotations

from policyc.semantics.actions import read_actions
from policyc.semantics.addresses import in_space
from policyc.semantics.policy import TestCase
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary.access import IO, MSR, VCPU_LAST, WIDTHS
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.near import nearest


def test_case(node: tree.Case, scope: Scope, profiles: set[str], problems: list[Diagnostic]) -> TestCase | None:
    """The resolved case; None after reporting what is wrong. Without ``width`` a port access has one byte."""
    before = len(problems)
    kind = node.op.text
    space = IO if kind in ("in", "out") else MSR
    address = scope.number(node.address, problems, space)
    if address is not None:
        in_space(space, address, node.address.span, problems)
    width = 8 if space == MSR else 1
    if node.width is not None:
        width = _width(node.width, space, scope, problems)
    value = _number(node.value, scope, problems)
    if node.value is not None and kind in ("rdmsr", "in"):
        problems.append(error("E067", f"`{kind}` carries no value", node.value.span, helps=("leave `value` out",)))
    elif node.value is not None and value >> 8 * width:
        said = f"{value:#x} does not fit an access of {8 * width} bits"
        helps = ("say `width 2` or `width 4`",) if width < 4 else ()
        problems.append(error("E063", said, node.value.span, helps=helps))
    cpl = _number(node.cpl, scope, problems)
    if node.cpl is not None and cpl > 3:
        problems.append(error("E063", f"there is no privilege level {cpl}", node.cpl.span, helps=("levels are 0..3",)))
    vcpu = None if node.vcpu is None else _number(node.vcpu, scope, problems)
    if node.vcpu is not None and vcpu is not None and vcpu > VCPU_LAST:
        said = f"vCPU {vcpu} is above {VCPU_LAST}, the last one"
        problems.append(error("E025", said, node.vcpu.span, helps=(f"vCPUs are 0..{VCPU_LAST}",)))
    if node.profile is not None and node.profile.text not in profiles:
        close = nearest(node.profile.text, profiles)
        helps = (f"did you mean `{close[0]}`?",) if close else ()
        problems.append(error("E035", f"there is no profile `{node.profile.text}`", node.profile.span, helps=helps))
    outcome = read_actions(node.outcome, scope.number, problems, final=())
    if len(problems) > before or address is None or outcome is None:
        return None
    profile = None if node.profile is None else node.profile.text
    return TestCase(kind, address, width, value, cpl, vcpu, profile, outcome, node.span)


def _number(expr: tree.Expr | None, scope: Scope, problems: list[Diagnostic]) -> int:
    return 0 if expr is None else scope.number(expr, problems) or 0


def _width(expr: tree.Expr, space: str, scope: Scope, problems: list[Diagnostic]) -> int:
    if space == MSR:
        problems.append(error("E053", "MSR accesses have no width", expr.span, helps=("leave `width` out",)))
        return 8
    width = scope.number(expr, problems)
    if width is not None and width not in WIDTHS:
        said = f"an IN or OUT has 1, 2 or 4 bytes, not {width}"
        problems.append(error("E052", said, expr.span, helps=("say `width 1`, `width 2` or `width 4`",)))
    return width if width in WIDTHS else 1
