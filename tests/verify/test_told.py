"""What is expected of a bundle comes from its manifest, through the evaluator, and is what its policy says."""

from __future__ import annotations

import pytest

from policyc.proof.evaluate import evaluate
from policyc.proof.rows import PORTS
from policyc.semantics.policy import Variant
from policyc.verify.probes import LARGEST_PAYLOAD, READS, Answer, Run, Sweep, answers, exits, payload, told_of_exit
from policyc.verify.subjects import subjects
from policyc.verify.told import access
from policyc.vocabulary.access import COLUMN_WIDTHS, IO_COLUMNS, Access
from policyc.vocabulary.diagnostic import UnreadableError
from tests.bundle.bundles import POLICY as OTHER
from tests.bundle.bundles import compiled
from tests.verify.subjects import POLICY, bundle


@pytest.mark.parametrize("target", ["vmx", "svm"])
@pytest.mark.parametrize("text", [POLICY, OTHER])
def test_the_manifest_tells_of_every_access_asked_what_the_evaluator_says_of_the_policy(text: str, target: str) -> None:
    made = compiled(text)
    checked = set()
    for subject in subjects(bundle(text), target):
        for name in subject.names:
            profile = name.split(",")[0].removeprefix("profile ") if name.startswith("profile") else None
            vcpus = name.partition("vCPUs ")[2] or "rest"
            kind = next(at for at, each in enumerate(made.policy.vcpu_classes) if each.name == vcpus)
            checked.add((profile, kind))
            for question in subject.asked:
                sweep = question.sweep
                step = max(1, sweep.length // 64)
                for at in range(0, sweep.length, step):
                    each = access(question.column, sweep.first + at)
                    verdict = evaluate(made.policy, Variant(profile, kind), each, target)
                    assert question.expected[at : at + 1] == b"%d" % verdict.exits, (name, each)
    assert checked == {(each.profile, each.vcpu_class) for each in made.maps}


def test_a_rule_is_named_by_its_line_and_label() -> None:
    told = subjects(bundle(), "vmx")[0].told
    assert told.rule(told.verdict(Access("in", 0x3F8, 1), "vmx")) == "vm.pol:4 (com1)"
    assert told.rule(told.verdict(Access("out", 0x4000, 1), "vmx")) == "vm.pol:5"
    assert told.rule(told.verdict(Access("in", 0x80, 1), "vmx")) == "the default"
    assert told.rule(told.verdict(Access("rdmsr", 0x40000000), "vmx")) == "the MSR has no bit"


@pytest.mark.parametrize("target", ["vmx", "svm"])
def test_every_msr_of_the_windows_and_in_of_every_width_at_every_port_is_asked_once(target: str) -> None:
    asked = subjects(bundle(), target)[0].asked
    made = [
        (each.sweep.kind, each.sweep.width, each.sweep.first + at) for each in asked for at in range(each.sweep.length)
    ]
    windows = 3 if target == "svm" else 2
    for kind in ("rdmsr", "wrmsr"):
        inside = {
            msr for each, _, msr in made if each == kind and msr & 0x1FFF == msr % 0x2000 and msr >> 13 in SIXTEEN
        }
        assert len([msr for each, _, msr in made if each == kind and msr in inside]) == len(inside)
        assert len(inside) >= windows * 0x2000
    for width in (1, 2, 4):
        assert sorted(port for each, size, port in made if each == "in" and size == width) == list(range(PORTS))
    assert {each.sweep.kind for each in asked} == {
        "rdmsr", "wrmsr", "in", "out", "in immediate", "out immediate", "ins", "outs",
    }  # fmt: skip


SIXTEEN = {first >> 13 for first in (0, 0xC0000000, 0xC0010000)}


def test_a_payload_is_never_larger_than_bochs_can_place() -> None:
    scattered = "default passthrough\n" + "".join(f"intercept io {port:#x}\n" for port in range(0, 0x10000, 24))
    for target in ("vmx", "svm"):
        subject = subjects(bundle("language 1\ntarget vmx, svm\n" + scattered), target)[0]
        sweeps = [each.sweep for each in subject.asked]
        assert len(payload(target, subject.msr, subject.io, sweeps)) < LARGEST_PAYLOAD


def test_answers_are_read_back_as_runs() -> None:
    line = "2.(1e,8,0)xg(0,d,7)2?3x"
    assert answers(Sweep("in", 1, 0, 9), line) == (
        Run(2, Answer(".")),
        Run(1, Answer("x", 0x1E, 8, 0)),
        Run(1, Answer("g")),
        Run(2, Answer("?", 0, 0xD, 7)),
        Run(3, Answer("x", 0, 0xD, 7)),
    )
    assert exits(answers(Sweep("in", 1, 0, 9), line)) == b"001000111"


@pytest.mark.parametrize("line", ["2.", "4.", "3!", "(1,2)3x", "", "3.\x00"])
def test_answers_that_are_no_answers_are_refused(line: str) -> None:
    with pytest.raises(UnreadableError):
        answers(Sweep("in", 1, 0, 3), line)


def test_what_an_exit_tells_has_each_bit_of_the_manuals() -> None:
    assert told_of_exit("vmx", Sweep("in", 4, 0x70), 0x70) == Answer("x", 30, 0b0_0000_1011)
    assert told_of_exit("vmx", Sweep("outs", 2, 0x70, repeat=True), 0x70) == Answer("x", 30, 0b0011_0001)
    assert told_of_exit("vmx", Sweep("out immediate", 1, 0x70), 0x70) == Answer("x", 30, 0b0100_0000)
    assert told_of_exit("vmx", Sweep("wrmsr", 8, 0x10), 0x10) == Answer("x", 32)
    assert told_of_exit("svm", Sweep("ins", 2, 0x70, repeat=True), 0x70) == Answer("x", 0x7B, 0x22D, 3)
    assert told_of_exit("svm", Sweep("rdmsr", 8, 0x10), 0x10) == Answer("x", 0x7C, 0, 0)
    assert "in" in READS


@pytest.mark.parametrize("column", IO_COLUMNS)
@pytest.mark.parametrize("target", ["vmx", "svm"])
def test_the_row_of_a_width_is_that_of_the_bits_for_either_direction(target: str, column: int) -> None:
    told = subjects(bundle(), target)[0].told
    ports = (*range(0x4100), *range(0x7FF0, 0x8010), *range(0xFFF0, 0x10000))
    exiting = [port for port in ports if told.verdict(access(column, port), target).exits]
    starts = told.io.starts(target, COLUMN_WIDTHS[column])
    assert [port for port in ports if starts >> port & 1] == exiting
