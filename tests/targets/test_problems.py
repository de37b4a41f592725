"""What a target cannot do is said: code, severity, place, the user's words, and a remedy that works."""

from __future__ import annotations

import pytest

from policyc.targets.registry import NAMES
from policyc.vocabulary.codes import CODES
from tests.targets.source import problems

CLOSED = "default exit\nallow msr 0x800..0x8ff\n"


def only(name, text):
    (found,) = problems(name, text)
    assert found.code in CODES
    assert len(found.notes) <= 2
    assert len(found.helps) <= 2
    return found


def errors(name, text):
    return [each.code for each in problems(name, text) if each.severity == "error"]


def remedy(found, number=0):
    return found.helps[number].rpartition(": ")[2]


def marked(found):
    return found.primary.span.line, found.primary.span.column, found.primary.span.text


@pytest.mark.parametrize("name", ["vmx", "svm"])
def test_an_allow_without_a_bit_is_an_error_and_its_remedy_compiles(name) -> None:
    found = only(name, "default exit\nallow msr 0x4b564d00 read\n")
    assert (found.code, found.severity) == ("T501", "error")
    assert marked(found) == (2, 11, "0x4b564d00")
    assert "`allow msr 0x4b564d00` cannot hold" in found.message
    assert remedy(found) == "intercept msr 0x4b564d00 read -> passthrough"
    assert errors(name, f"default exit\n{remedy(found)}\n") == []


def test_an_allow_that_half_has_bits_offers_the_half() -> None:
    found = only("vmx", "default exit\nallow msr 0x1f00..0x20ff write\n")
    assert "0x2000..0x20ff exit always" in found.message
    assert found.primary.text == "256 of 512 MSRs have no bit"
    assert remedy(found, 1) == "allow msr 0x1f00..0x1fff write"
    assert errors("vmx", f"default exit\n{remedy(found, 1)}\n") == []


def test_the_third_window_is_amds_alone() -> None:
    text = "default exit\nallow msr 0xc0010015 read\n"
    assert errors("vmx", text) == ["T501"]
    assert problems("svm", text) == []


def test_an_intercept_without_a_bit_is_an_info() -> None:
    found = only("vmx", "default passthrough\nintercept msr 0x40000000..0x400000ff -> inject(gp)\n")
    assert (found.code, found.severity) == ("T501", "info")
    assert marked(found) == (2, 15, "0x40000000..0x400000ff")
    assert "only chooses what the handler does" in found.message
    assert "default msr outside" in found.helps[0]


def test_one_diagnostic_for_a_rule_and_not_one_for_each_msr_direction_or_variant() -> None:
    text = "default exit\nallow msr { 0x2000, 0x3000..0x4000, 0x5000 }\nintercept msr 0x10 on vcpu 1\nprofile a {\n}\nprofile b {\n}\n"
    found = only("vmx", text)
    assert "{ 0x2000, 0x3000..0x4000, 0x5000 } exit always" in found.message


def test_an_allow_that_is_overruled_promises_nothing() -> None:
    text = "default exit\nallow msr 0x2000\noverride intercept msr 0x2000\n"
    assert errors("vmx", text) == []


def test_an_allow_that_only_stands_in_a_profile_counts() -> None:
    found = only("vmx", "default exit\nprofile debug {\nallow msr 0x2000\n}\n")
    assert marked(found)[0] == 3


def test_a_conditional_allow_over_a_trap_exits_anyway_and_is_fine() -> None:
    assert problems("vmx", "default exit\nallow msr 0x2000 write when value == 1\n") == []
    assert errors("vmx", "default passthrough\nallow msr 0x2000 write when value == 1\n") == ["T501"]


@pytest.mark.parametrize("name", ["vmx", "svm"])
@pytest.mark.parametrize("verb", ["allow", "intercept"])
def test_a_range_that_ends_at_the_last_port_is_explained(name, verb) -> None:
    found = only(name, f"default passthrough\n{verb} io 0xfff8..0xffff\n")
    assert (found.code, found.severity) == ("T505", "info")
    assert marked(found)[2] == "0xfff8..0xffff"
    assert "past 0xffff" in found.message
    assert problems(name, f"default passthrough\n{verb} io 0xfff8..0xfffe\n") == []
    assert problems(name, f"default passthrough\n{verb} io 0xffff except 0xffff\n") == []


def test_kvm_cannot_trap_an_x2apic_msr_by_rule() -> None:
    found = only("kvm", "default passthrough\nintercept msr 0x7ff..0x808 write\n")
    assert (found.code, found.severity) == ("T502", "error")
    assert marked(found) == (2, 15, "0x7ff..0x808")
    assert "0x800..0x808 would reach the guest" in found.message
    assert remedy(found) == "allow msr 0x800..0x8ff"
    assert errors("kvm", f"default passthrough\nintercept msr 0x7ff..0x808 write\n{remedy(found)}\n") == []


def test_kvm_cannot_trap_an_x2apic_msr_by_default() -> None:
    found = only("kvm", "default exit\n")
    assert found.code == "T502"
    assert "`default exit`" in found.message
    assert marked(found)[:2] == (1, 1)
    assert errors("kvm", f"default exit\n{remedy(found)}\n") == []


def test_the_remedy_against_an_override_is_an_override() -> None:
    text = "default passthrough\noverride intercept msr 0x808 write\n"
    found = only("kvm", text)
    assert remedy(found) == "override allow msr 0x800..0x8ff"
    assert errors("kvm", text + remedy(found) + "\n") == []


def test_the_neighbours_of_the_x2apic_msrs_are_filtered() -> None:
    assert problems("kvm", "default passthrough\nintercept msr { 0x7ff, 0x900 }\n") == []


def test_kvm_cannot_open_a_port() -> None:
    found = only("kvm", "default passthrough\nallow io 0x60..0x64 in width 1\n")
    assert (found.code, found.severity) == ("T503", "error")
    assert marked(found) == (2, 10, "0x60..0x64")
    assert remedy(found) == "intercept io 0x60..0x64 in width 1 -> passthrough"
    assert errors("kvm", f"default passthrough\n{remedy(found)}\n") == []


def test_kvm_takes_a_default_of_passthrough_for_ports() -> None:
    assert problems("kvm", "default passthrough\nintercept io 0x60\n") == []


def test_seventeen_ranges_are_too_many_and_the_packing_is_printed() -> None:
    text = "default passthrough\n" + "".join(f"intercept msr 0x{0x1000000 * each:x}\n" for each in range(1, 18))
    found = only("kvm", text)
    assert (found.code, found.severity) == ("T504", "error")
    assert "need 17 KVM filter ranges" in found.message
    assert marked(found) == (18, 15, "0x11000000")
    assert found.notes[0].startswith("the best packing: 0x1000000 rw, 0x2000000 rw, ")
    assert "0x10000000 rw; then 0x11000000" in found.notes[0]
    assert errors("kvm", text.replace("intercept msr 0x11000000\n", "")) == []


def test_a_block_too_wide_for_all_ranges_is_reported_without_counting_it_out() -> None:
    found = only("kvm", "default passthrough\nintercept msr 0x1000..0xfffffffe\n")
    assert "more than 64 KVM filter ranges" in found.message


def test_too_many_ranges_under_a_profile_name_it() -> None:
    rules = "".join(f"intercept msr 0x{0x1000000 * each:x}\n" for each in range(1, 18))
    assert "in profile run" in only("kvm", f"default passthrough\nprofile run {{\n{rules}}}\n").message


def test_one_filter_serves_all_vcpus() -> None:
    found = only("kvm", "default passthrough\nintercept msr 0x10 write on vcpu { 0, 2..3 }\n")
    assert (found.code, found.severity) == ("T514", "error")
    assert marked(found) == (2, 15, "0x10")
    assert "on vcpu { 0, 2..3 }" in found.message


def test_vcpus_may_differ_in_what_is_done_at_the_exit() -> None:
    text = "default passthrough\nintercept msr 0x10 write\noverride intercept msr 0x10 write on vcpu 0 -> kill\n"
    assert problems("kvm", text) == []


def test_vcpus_may_differ_in_ports_for_kvm_filters_none() -> None:
    assert problems("kvm", "default passthrough\nintercept io 0x60 on vcpu 0\n") == []


def test_an_override_on_every_vcpu_settles_what_vcpus_would_differ_in() -> None:
    text = "default passthrough\nintercept msr 0x10 on vcpu 0\noverride intercept msr 0x10\n"
    assert problems("kvm", text) == []


@pytest.mark.parametrize("access", ["write", "rw"])
def test_no_range_reaches_the_last_msr(access) -> None:
    found = only("kvm", f"default passthrough\nintercept msr 0xfffffff0..0xffffffff {access}\n")
    assert (found.code, found.severity) == ("T515", "error")
    assert marked(found)[2] == "0xfffffff0..0xffffffff"
    assert problems("kvm", f"default passthrough\nintercept msr 0xfffffff0..0xfffffffe {access}\n") == []


def test_a_rule_for_the_whole_space_is_the_filters_default() -> None:
    text = "default passthrough\nintercept msr 0x0..0xffffffff except 0x800..0x8ff\nallow msr 0x10\n"
    assert problems("kvm", text) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_card_examples_are_no_problem(name) -> None:
    text = "default passthrough\nintercept msr 0xc0000080 write\nintercept io 0x3f8..0x3ff\n"
    assert problems(name, text) == []


def test_a_hundred_rules_that_fail_are_a_hundred_diagnostics_in_source_order() -> None:
    text = CLOSED + "".join(f"allow io 0x{each:x}\n" for each in range(0x100, 0x200, 2))
    found = problems("kvm", text)
    assert [each.primary.span.line for each in found] == list(range(3, 131))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("vmx", "default exit\nallow msr {\n    0x10,  # time\n    0x2000,\n}\n", "`allow msr { 0x10, 0x2000 }`"),
        ("vmx", "intercept msr {\n    0x2000,\n    0x10,\n}\n", "`intercept msr { 0x2000, 0x10 }`"),
        ("vmx", "intercept io {\n    0xffff,\n    0x80,\n}\n", "`intercept io { 0xffff, 0x80 }`"),
        ("kvm", "intercept msr {\n    0x10,\n    0x830,\n}\n", "`intercept msr { 0x10, 0x830 }`"),
    ],
)
def test_a_rule_of_many_lines_is_told_in_one(name, text, words) -> None:
    said = [each.message for each in problems(name, text)]
    assert any(words in each for each in said), said
    assert not any("\n" in each for each in said)


def test_of_a_long_rule_the_beginning_is_told() -> None:
    text = (
        "default passthrough\nintercept io { " + ", ".join(f"{port:#x}" for port in range(0xF001, 0x10000, 2)) + " }\n"
    )
    (found,) = [each for each in problems("vmx", text) if each.code == "T505"]
    assert found.message.startswith("`intercept io { 0xf001, 0xf003, ")
    assert len(found.message) < 150
