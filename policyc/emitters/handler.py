"""``exit_handler.c`` and ``exit_handler.h``: what a hypervisor calls on an exit.

The code is ordinary C, kept in templates/exit_handler/ and copied as it stands; here the policy's tables become rows
of text, which a template arranges. docs/handler.md is the hypervisor author's view.
"""

from __future__ import annotations

from collections.abc import Mapping

from policyc.analyses.obligations import Registers
from policyc.emitters import _templates, functions, header, layout, parts, rows
from policyc.emitters.duties import msrs_owed
from policyc.emitters.instant import Context, function_name
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.targets.base import Image
from policyc.vocabulary.diagnostic import PolicyError


def emit(
    policy: Policy,
    maps: Mapping[Variant, DecisionMap],
    targets: tuple[str, ...],
    registers: Registers | None = None,
) -> tuple[Image, ...]:
    """The two files, for the variants of ``maps`` and the entry points of ``targets``.

    registers: the database; with it the header lists the MSRs that the hypervisor must keep apart. Deterministic,
    ASCII only. Raises PolicyError for what policyc.emitters.functions finds.
    """
    wrong = functions.problems(policy)
    if wrong:
        raise PolicyError(wrong)
    laid = layout.lay_out(policy, maps)
    owed = () if registers is None else msrs_owed(policy, maps, targets, registers)
    head = header.describe(policy, laid, targets, owed)
    arrays = rows.arrays(policy, laid, head.prefix, header.handlers(laid))
    source = render("exit_handler.c.jinja", {"h": head, "arrays": arrays, "code": parts.code(targets)})
    declarations = render("exit_handler.h.jinja", {"h": head, "types": parts.part("types.h")})
    return Image("exit_handler.c", source.encode("ascii")), Image("exit_handler.h", declarations.encode("ascii"))


def render(name: str, variables: Mapping[str, object]) -> str:
    """A template of templates/exit_handler/ with its variables filled in. KeyError for a variable that is not given."""
    function = getattr(_templates, function_name(name))
    return "".join(function(Context(variables)))
