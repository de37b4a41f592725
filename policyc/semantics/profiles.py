"""Profiles and what they extend."""

from __future__ import annotations

from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.typed import NamedTuple

MAX_PROFILES = 1024


class Lineage(NamedTuple):
    """names: the profile's ancestors and itself, each after all of its own ancestors."""

    profile: tree.Profile
    names: tuple[str, ...]


def lineages(written: list[tree.Profile], problems: list[Diagnostic]) -> list[Lineage]:
    """Every profile after all it extends; E035 (unknown), E042 (extends itself), E071 (twice), E004 (too many)."""
    known: dict[str, tree.Profile] = {}
    for each in written:
        before = known.setdefault(each.name.text, each)
        if before is not each:
            said = f"the profile `{each.name.text}` is defined twice"
            first = Label(before.name.span, "first defined here")
            problems.append(error("E071", said, each.name.span, secondary=(first,), helps=("give one another name",)))
    if len(known) > MAX_PROFILES:
        at = written[MAX_PROFILES].name.span
        problems.append(error("E004", f"a policy has at most {MAX_PROFILES} profiles", at))
        return []
    return _Walk(known, problems).all()


class _Walk:
    def __init__(self, known: dict[str, tree.Profile], problems: list[Diagnostic]) -> None:
        self.known = known
        self.problems = problems
        self.done: dict[str, Lineage] = {}
        self.trail: list[str] = []
        self.looped: set[str] = set()

    def all(self) -> list[Lineage]:
        for name in self.known:
            self.names(name)
        return list(self.done.values())

    def names(self, name: str) -> tuple[str, ...]:
        if name in self.done:
            return self.done[name].names
        profile = self.known[name]
        self.trail.append(name)
        found: dict[str, None] = {}
        for parent in profile.parents:
            for each in self.parent(parent):
                found[each] = None
        self.trail.pop()
        names = (*(each for each in found if each != name), name)
        self.done[name] = Lineage(profile, names)
        return names

    def parent(self, parent: tree.Name) -> tuple[str, ...]:
        if parent.text not in self.known:
            close = nearest(parent.text, [each for each in self.known if each not in self.trail])
            helps = (f"did you mean `{close[0]}`?",) if close else ("a profile extends profiles of the same file",)
            self.problems.append(error("E035", f"there is no profile `{parent.text}`", parent.span, helps=helps))
            return ()
        if parent.text in self.trail:
            chain = self.trail[self.trail.index(parent.text) :]
            if not self.looped & set(chain):
                said = f"the profile `{parent.text}` extends itself: {' -> '.join((*chain, parent.text))}"
                self.problems.append(error("E042", said, parent.span, helps=("leave one `extends` out",)))
                self.looped.update(chain)
            return ()
        return self.names(parent.text)
