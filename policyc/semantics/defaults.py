"""``default [msr|io] passthrough|exit [-> actions]`` and ``default msr outside -> actions``."""

from __future__ import annotations

from policyc.semantics.actions import read_actions
from policyc.semantics.policy import EXIT, PASSTHROUGH, Default
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic, Label, error

OUTSIDE = "outside"


class DefaultReader:
    """Reads the default statements of one file or profile."""

    def __init__(self, scope: Scope, problems: list[Diagnostic]) -> None:
        self.scope = scope
        self.problems = problems

    def read(self, statements: list[tree.Default]) -> dict[str, Default]:
        """By ``msr``, ``io`` and ``outside``: what is stated. E061 for an action that a default cannot have, E071."""
        found: dict[str, Default] = {}
        for each in statements:
            value = self.one(each)
            spaces = self.spaces(each)
            again = next((space for space in spaces if space in found), None)
            for space in spaces:
                if space == again:
                    before = found[space].span
                    first = () if before is None else (Label(before, "first stated here"),)
                    said = "the default is stated twice"
                    self.problems.append(error("E071", said, each.span, secondary=first, helps=("keep one of them",)))
                elif space not in found:
                    # A default that is wrong is stated nevertheless: Y702 would be a second report of one mistake.
                    found[space] = value or Default(False, PASSTHROUGH, each.span)
        return found

    def spaces(self, node: tree.Default) -> tuple[str, ...]:
        assert node.verdict is not None
        if node.verdict.text == OUTSIDE:
            if node.space is None or node.space.text != MSR:
                said = "only MSRs lie outside the bitmaps; every port has a bit"
                self.problems.append(error("E051", said, node.verdict.span, helps=("say `default msr outside`",)))
                return ()
            return (OUTSIDE,)
        return (MSR, IO) if node.space is None else (node.space.text,)

    def one(self, node: tree.Default) -> Default | None:
        assert node.verdict is not None
        word = node.verdict.text
        if word == OUTSIDE and node.actions is None:
            said = "`default msr outside` says nothing without an action"
            self.problems.append(error("E067", said, node.span, helps=("write default msr outside -> inject(gp)",)))
            return None
        if node.actions is None:
            return Default(word != "passthrough", PASSTHROUGH if word == "passthrough" else EXIT, node.span)
        if word == "passthrough":
            said = "a default of `passthrough` does not exit, so it has no action"
            self.problems.append(
                error("E061", said, node.actions[0].span, helps=("say `default exit -> ...`, or leave the action out",))
            )
            return None
        actions = read_actions(node.actions, self.scope.number, self.problems)
        if actions is None:
            return None
        if actions[-1].name in ("const", "shadow", "mask"):
            said = f"`{actions[-1].name}` is for registers that a rule names, not for a default"
            self.problems.append(error("E061", said, node.actions[-1].span, helps=("write a rule for them",)))
            return None
        return Default(True, actions, node.span)
