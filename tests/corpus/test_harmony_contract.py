"""harmony's contract names 1043 MSRs and says for each what a read and what a write does; the example does just that."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.pipeline import Compilation, compile_policy
from policyc.semantics.policy import DEFAULT_RULE, Action, Variant
from policyc.vocabulary.access import MSR_READ, MSR_WRITE
from tests.corpus.lists import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "hypervisors" / "harmony.pol"
GP = Action("inject", (("vector", 13),))
X2APIC = range(0x800, 0x900)
"""The contract denies these and relies on CPUID to hide them, because KVM never filters them."""


@pytest.fixture(scope="module")
def compilation() -> Compilation:
    return compile_policy(str(EXAMPLE))


def action(compilation: Compilation, msr: int, column: int) -> Action:
    decisions = compilation.maps[Variant()]
    number = next(run.chain[0] for run in decisions.columns[column] if run.lo <= msr <= run.hi)
    default = decisions.defaults.msr.actions
    return (default if number == DEFAULT_RULE else compilation.policy.rules[number].actions)[-1]


def numbers(entries: list[str]) -> list[int]:
    spans = [each.partition("..") for each in entries]
    return [msr for lo, _, hi in spans for msr in range(int(lo, 0), int(hi or lo, 0) + 1)]


def test_denied_msrs_fault_in_both_directions(compilation: Compilation) -> None:
    denied = [msr for msr in numbers(load("harmony_contract").raw["denied"]) if msr not in X2APIC]
    assert len(denied) + len(X2APIC) == 991
    for msr in denied:
        assert action(compilation, msr, MSR_READ) == action(compilation, msr, MSR_WRITE) == GP, hex(msr)


def test_state_that_only_the_guest_determines_passes(compilation: Compilation) -> None:
    stateful = [int(each, 0) for each in load("harmony_contract").expected["exceptional_indices"]]
    assert len(stateful) == 41
    for msr in stateful:
        for column in (MSR_READ, MSR_WRITE):
            assert action(compilation, msr, column) == Action("passthrough"), hex(msr)


@pytest.mark.parametrize("row", load("harmony_contract").raw["dispositions"])
def test_every_other_row_has_its_disposition(row: str, compilation: Compilation) -> None:
    msr, read, value, write = row.split()
    assert action(compilation, int(msr, 0), MSR_READ) == {
        "allow-fixed": Action("const", (("value", int(value, 0) if value != "-" else 0),)),
        "emulate-vtime": Action("forward", (("handler", "vclock"),)),
    }.get(read)
    assert action(compilation, int(msr, 0), MSR_WRITE) == {
        "deny-gp": GP,
        "deny-ignore-write": Action("drop"),
        "emulate-vtime": Action("forward", (("handler", "vclock"),)),
    }.get(write)
