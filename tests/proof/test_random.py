"""The compiler's own decisions pass the proof on random policies; the proof's chains are those of single addresses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.proof.evaluate import chain, read
from policyc.proof.expected import Evaluator
from policyc.proof.overlay import Family
from policyc.proof.prove import ProofError, prove
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import DEFAULT_RULE, Policy
from policyc.vocabulary.access import IO_COLUMNS, MSR_COLUMNS
from tests.growth import ratio, seconds
from tests.proof.build import act, all_images, decision_map, policy, profile, rule

sys.path.insert(0, str(Path(__file__).parents[1] / "semantics"))
from naive_chain import chain_of, drafts
from policies import defaults, make
from policies import profile as some_profile

PROFILES = (
    some_profile("base"),
    some_profile("child", ("base",), own=defaults(io=act("kill"))),
    some_profile("other", own=defaults(msr=act("exit"))),
)


def accepted(subject: Policy) -> None:
    maps = {variant: decide(subject, variant) for variant in variants(subject)}
    prove(subject, maps, all_images(subject, maps, ["vmx", "svm"]))


IMAGES: dict[str, dict[str, str]] = {
    "vmx": {"msr": "msr.bin", "io": "io.bin"},
    "svm": {"msr": "msrpm.bin", "io": "iopm.bin"},
    "kvm": {},
}
BASES = {"msr": (0, 0x1FFA, 0xC0001FFA, 0xFFFFFFF4), "io": (0, 0x7FFA, 0xFFF4)}
"""Where the twelve addresses of a random policy lie: at either end of the space, or across an edge of a window."""


@settings(deadline=None, max_examples=25)
@given(st.lists(drafts(), max_size=8), st.sampled_from(BASES["msr"]), st.sampled_from(BASES["io"]))
def test_what_decide_says_of_random_rules_is_proven(some, msr, io) -> None:
    base = {"msr": msr, "io": io}
    moved = [
        each._replace(ranges=tuple((lo + base[each.space], hi + base[each.space]) for lo, hi in each.ranges))
        for each in some
    ]
    accepted(make(*moved, profiles=PROFILES))


@settings(deadline=None, max_examples=40)
@given(st.lists(drafts(), min_size=2, max_size=8), st.sampled_from(BASES["msr"]), st.sampled_from(BASES["io"]))
def test_what_is_expected_of_a_profile_is_the_same_over_the_sheet_that_all_share(some, msr, io) -> None:
    base = {"msr": msr, "io": io}
    moved = [
        each._replace(ranges=tuple((lo + base[each.space], hi + base[each.space]) for lo, hi in each.ranges))
        for each in some
    ]
    subject = make(*moved, profiles=PROFILES)
    family, evaluator = Family(subject, frozenset(IMAGES)), Evaluator(subject, frozenset(IMAGES))
    for variant in variants(subject):
        defaults, sheets = family.sheets(variant)
        reading = read(subject, variant)
        assert defaults == reading.defaults
        for space, columns, over in zip(("msr", "io"), (MSR_COLUMNS, IO_COLUMNS), sheets, strict=True):
            alone = evaluator.sheet(reading, space)
            images = [(target, names[space]) for target, names in IMAGES.items() if space in names]
            assert [over.runs(each) for each in columns] == [alone.runs(each) for each in columns]
            assert [over.image(*each) for each in images] == [alone.image(*each) for each in images]
            if space == "msr":
                assert [over.denied(each) for each in columns] == [alone.denied(each) for each in columns]
            else:
                starts = [(target, width) for target, _ in images for width in (1, 2, 4)]
                assert [over.starts(*each) for each in starts] == [alone.starts(*each) for each in starts]


def test_rules_at_both_ends_of_each_space_are_proven() -> None:
    ends = [
        rule("msr", (0, 0)),
        rule("msr", (0xFFFFFFFF, 0xFFFFFFFF)),
        rule("io", (0, 0)),
        rule("io", (0xFFFF, 0xFFFF)),
    ]
    accepted(policy(*ends))
    accepted(policy(rule("msr", (0, 0xFFFFFFFF)), rule("io", (0, 0xFFFF))))


@settings(deadline=None, max_examples=60)
@given(st.lists(drafts(), max_size=8))
def test_the_evaluators_chain_is_that_of_the_law(some) -> None:
    subject = make(*some, profiles=PROFILES)
    for variant in variants(subject):
        reading = read(subject, variant)
        for column in range(8):
            for address in range(12):
                assert chain(reading, column, address) == chain_of(subject, variant, column, address)


@settings(deadline=None, max_examples=60)
@given(st.lists(drafts(), min_size=1, max_size=6), st.data())
def test_any_other_link_at_any_address_is_refused(some, data) -> None:
    subject = make(*some, profiles=PROFILES)
    all_of_them = variants(subject)
    maps = {variant: decide(subject, variant) for variant in all_of_them}
    images = {variant: {} for variant in all_of_them}
    prove(subject, maps, images)
    variant = data.draw(st.sampled_from(all_of_them))
    column = data.draw(st.integers(0, 7))
    runs = maps[variant].columns[column]
    at = data.draw(st.integers(0, len(runs) - 1))
    link = data.draw(st.integers(DEFAULT_RULE, len(subject.rules) - 1))
    if link == runs[at].chain[0]:
        return
    columns = list(maps[variant].columns)
    columns[column] = (*runs[:at], runs[at]._replace(chain=(link, *runs[at].chain[1:])), *runs[at + 1 :])
    maps[variant] = maps[variant]._replace(columns=tuple(columns))
    with pytest.raises(ProofError):
        prove(subject, maps, images)


def proving(subject: Policy) -> Callable[[], object]:
    """A proof of the VMX and SVM images."""
    maps = {variant: decision_map(subject, variant) for variant in variants(subject)}
    return partial(prove, subject, maps, all_images(subject, maps, ["vmx", "svm"]))


def typical(*more, **kwargs) -> Policy:
    msr = [rule("msr", (at * 97, at * 97 + at % 5), columns=1 + at % 3) for at in range(40)]
    io = [
        rule(
            "io",
            (at * 1009, at * 1009 + at % 9),
            actions=act(
                "kill",
            )
            if at % 3
            else act("drop"),
        )
        for at in range(40)
    ]
    return policy(*msr, *io, *more, **kwargs)


def test_a_typical_policy_is_proven_in_sixty_milliseconds() -> None:
    assert seconds(proving(typical()), 0.06) < 0.06


def test_profiles_that_are_alike_cost_next_to_nothing() -> None:
    names = [f"p{number}" for number in range(64)]
    alike = typical(profiles=tuple(profile(name) for name in names))
    assert ratio(proving(alike), proving(typical()), 16) < 16


def test_the_cost_grows_with_the_profiles_not_faster() -> None:
    def many(count: int) -> Callable[[], object]:
        rules = [rule("io", (at * 31, at * 31), profile=f"p{at}") for at in range(count)]
        return proving(typical(*rules, profiles=tuple(profile(f"p{at}") for at in range(count))))

    assert ratio(many(32), many(8), 8) < 8
