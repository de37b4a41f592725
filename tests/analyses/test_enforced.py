"""What the report draws of an access is what the evaluator, which shares no code with it, says becomes of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pytest

from policyc import pipeline
from policyc.analyses import enforced as subject
from policyc.database.names import load
from policyc.proof import evaluate as law
from policyc.semantics.decide import decide, decide_all
from policyc.semantics.policy import EXIT, PASSTHROUGH, Policy, Variant
from policyc.targets.registry import target
from policyc.targets.traps import traps_of
from policyc.vocabulary.access import COLUMN_WIDTHS, IO_COLUMNS, MSR_WRITE, OUT1, Access
from tests.analyses.random_pairs import some_policy

ROOT = Path(__file__).parents[2]
POLICIES = ("widths.pol", "profiles.pol", "hypervisors/xen_vmx.pol", "jailhouse/ivshmem_demo.pol")
KINDS = ("rdmsr", "wrmsr", "in", "in", "in", "out", "out", "out")
VALUES = (0, 1, 6, 0x8000_0000, 0xFFFF_FFFF)
REASONS = {
    "outside-window": subject.OUTSIDE,
    "past-last-port": subject.PAST,
    "shared-bit": subject.SHARED,
    "x2apic-unfiltered": subject.X2APIC,
}
DATABASE = load()

EVERY_ACTION = """\
language 1
default msr outside -> inject(gp)
target vmx, svm
import "std/pci.pol"
intercept msr 0x10 -> log, exit
intercept msr 0x11 write -> mask(and=0xff)
intercept msr 0x12 -> shadow(init=1)
intercept msr 0x13 read -> const(7)
intercept msr 0x2000 write -> count, passthrough
intercept io 0x60 -> drop
intercept io 0x64 -> kill
intercept io 0x70 in width 2 -> const(0x1234)
intercept io { 0xfffe, 0xffff } width 1 -> notify
intercept io pci.DATA out when value & 0x4 != 0 -> forward(data)
intercept io 0xcfd out when cpl == 3 -> kill
"""


@cache
def read(name: str) -> Policy:
    if name == "every action":
        return pipeline.front("all.pol", database=DATABASE, buffers={"all.pol": EVERY_ACTION.encode()}).policy
    return pipeline.front(str(ROOT / "examples" / name), database=DATABASE).policy


enforcer = cache(subject.Enforcer)


def runs(policy: Policy, variant: Variant, name: str) -> subject.Columns:
    decisions = decide(policy, variant)
    images = {each.name: each.data for each in target(name).images(traps_of(policy, decisions))}
    return enforcer(policy).columns(decisions, name, subject.exits(name, images))


def accesses(column: int, run: subject.Enforced) -> Iterator[Access]:
    """Accesses at both ends of a run, with values and levels that conditions may ask for."""
    several = len(run.outcome.ways) > 1
    for address in {run.lo, run.hi}:
        for value in VALUES if several and (column == MSR_WRITE or column >= OUT1) else (0,):
            for cpl in (0, 3) if several else (0,):
                width = COLUMN_WIDTHS[column]
                yield Access(KINDS[column], address, width, value & (1 << 8 * width) - 1, cpl)


CASES = [(policy, name) for policy in ("every action", *POLICIES) for name in ("vmx", "svm", "kvm")]
INEXPRESSIBLE = {("every action", "kvm"), ("hypervisors/xen_vmx.pol", "kvm")}


@pytest.mark.parametrize(("policy", "name"), [each for each in CASES if each not in INEXPRESSIBLE])
def test_every_run_holds_the_verdict_of_the_evaluator_at_its_ends(policy: str, name: str) -> None:
    read_ = read(policy)
    compared = 0
    for profile in [None, *(each.name for each in read_.profiles)]:
        for number in range(len(read_.vcpu_classes)):
            variant = Variant(profile, number)
            reading = law.read(read_, variant)
            for column, found in enumerate(runs(read_, variant, name)):
                for run in found:
                    for access in accesses(column, run):
                        near = reading.near("msr" if column <= 1 else "io", access.address, access.address + 3)
                        expected = law.judge(near, access, name)
                        reason = REASONS.get(expected.reason, expected.reason)
                        told = {(each.actions, each.rule, each.reason) for each in run.outcome.ways}
                        assert run.outcome.exits == expected.exits, (access, run)
                        assert (expected.actions, expected.rule, reason) in told, (access, run)
                        compared += 1
    assert compared > 20


@pytest.mark.parametrize("name", ["vmx", "svm"])
@pytest.mark.parametrize("policy", ["every action", "widths.pol", "profiles.pol"])
def test_a_port_by_itself_is_what_its_rules_say_and_its_bit_does(policy: str, name: str) -> None:
    """The evaluator's chain of the port, and its verdict on an access that touches no other: one of one byte."""
    read_ = read(policy)
    decisions = decide(read_, Variant())
    images = {each.name: each.data for each in target(name).images(traps_of(read_, decisions))}
    found = enforcer(read_).ports(decisions, name, subject.exits(name, images))
    reading = law.read(read_, Variant())
    for column, each in zip(IO_COLUMNS, found, strict=True):
        assert each[0].lo == 0
        assert each[-1].hi == 0xFFFF
        for run in each:
            for port in {run.lo, run.hi}:
                near = reading.near("io", port, port)
                chain = law.chain(near, column, port)
                rules = {None if number < 0 else number for number in chain}
                told = {way.rule for way in run.outcome.ways}
                assert told <= {*rules, None}
                assert run.outcome.exits == law.judge(near, Access("in", port, 1), name).exits
                if len(chain) == 1 and chain[0] >= 0 and read_.rules[chain[0]].traps:
                    assert run.outcome.ways == (subject.Way("", read_.rules[chain[0]].actions, chain[0], subject.RULE),)


def test_runs_cover_each_column_once_and_neighbours_differ() -> None:
    for column, found in enumerate(runs(read("every action"), Variant(), "svm")):
        assert found[0].lo == 0
        assert found[-1].hi == (0xFFFF_FFFF if column <= 1 else 0xFFFF)
        for one, other in itertools.pairwise(found):
            assert other.lo == one.hi + 1
            assert other.outcome != one.outcome


@pytest.mark.parametrize("seed", range(60))
def test_what_variants_share_is_what_each_alone_has(seed: int) -> None:
    """Asked for all variants and targets one after the other, and each by one who knows nothing of the others."""
    policy = some_policy(Random(seed), 12)
    together = subject.Enforcer(policy)
    for variant, decisions in decide_all(policy).items():
        for name in ("vmx", "svm", "kvm"):
            images = {each.name: each.data for each in target(name).images(traps_of(policy, decisions))}
            exits = subject.exits(name, images)
            alone = subject.Enforcer(policy)
            assert together.columns(decisions, name, exits) == alone.columns(decisions, name, exits), (variant, name)
            assert together.ports(decisions, name, exits) == alone.ports(decisions, name, exits), (variant, name)


def test_a_variant_is_looked_at_where_it_differs_and_nowhere_else() -> None:
    lines = [f"intercept io {port:#x} -> log" for port in range(0, 4000, 2)]
    text = "\n".join(["language 1", *lines, "profile p {", "override intercept io 0x100 out -> kill", "}"])
    policy = pipeline.front("vm.pol", database=DATABASE, buffers={"vm.pol": text.encode()}).policy
    first, second = (runs(policy, Variant(name), "vmx") for name in (None, "p"))
    kept = {id(run) for run in first[OUT1]}
    assert [(run.lo, run.hi) for run in second[OUT1] if id(run) not in kept] == [(0x100, 0x100)]


def test_every_kind_of_outcome_can_be_seen() -> None:
    policies = ("every action", "widths.pol")
    seen = {run.outcome.kind for name in policies for found in runs(read(name), Variant(), "vmx") for run in found}
    assert seen == set(subject.KINDS_OF_OUTCOME)


def test_an_image_that_lets_pass_what_the_decisions_trap_is_told_of() -> None:
    """Bits of an empty bitmap: nothing exits but what has no bit."""
    policy = read("every action")
    exits = subject.exits("vmx", {"msr.bin": bytes(4096), "io.bin": bytes(8192)})
    found = subject.Enforcer(policy).columns(decide(policy, Variant()), "vmx", exits)
    (run,) = [each for each in found[0] if each.lo == 0x10]
    assert run.outcome == subject.Outcome(False, (subject.Way("", policy.rules[0].actions, 0, subject.UNENFORCED),))
    assert run.outcome.kind == subject.PASSES
    assert found[2][-1].outcome.kind == subject.PASSES


def test_an_msr_that_exits_without_a_decision_is_told_of() -> None:
    policy = read("widths.pol")
    exits = subject.exits("vmx", {"msr.bin": b"\1" + bytes(4095), "io.bin": bytes(8192)})
    first = subject.Enforcer(policy).columns(decide(policy, Variant()), "vmx", exits)[0][0]
    assert (first.lo, first.hi) == (0, 0)
    assert first.outcome == subject.Outcome(True, (subject.Way("", PASSTHROUGH, None, subject.EXTRA),))


def test_what_runs_past_the_last_port_exits() -> None:
    wide = runs(read("widths.pol"), Variant(), "vmx")[4]
    assert wide[-1] == subject.Enforced(
        0xFFFD, 0xFFFF, subject.Outcome(True, (subject.Way("", EXIT, None, subject.PAST),))
    )
