"""Verdicts against a table written by hand from the Intel SDM, the AMD APM and KVM's source."""

from __future__ import annotations

import pytest

from policyc.proof.evaluate import Bit, evaluate
from policyc.semantics.policy import (
    EXIT,
    LAYER_IMPORT,
    LAYER_OVERRIDE,
    PASSTHROUGH,
    Action,
    Defaults,
    Variant,
)
from policyc.vocabulary.access import Access
from tests.proof.build import DEFAULTS, PASS, TRAP, act, cpl, policy, profile, rule, value

READ, WRITE = 1, 2
IN1, IN2, IN4, OUT1, OUT2, OUT4 = 4, 8, 16, 32, 64, 128
IN, OUT = IN1 | IN2 | IN4, OUT1 | OUT2 | OUT4
KILL, DROP = act("kill"), act("drop")
CONST = act(Action("const", (("value", 7),)))


def verdict(subject, kind, address, width=None, target="vmx", variant=None, value=0, ring=0):
    width = width or (8 if "msr" in kind else 1)
    return evaluate(subject, variant or Variant(), Access(kind, address, width, value, ring), target)


def outcome(*args, **kwargs):
    found = verdict(*args, **kwargs)
    return found.exits, found.actions, found.rule, found.reason


@pytest.mark.parametrize(
    ("target", "kind", "msr", "place"),
    [
        ("vmx", "rdmsr", 0x0, ("msr.bin", 0, 0)),
        ("vmx", "rdmsr", 0x1FFF, ("msr.bin", 1023, 7)),
        ("vmx", "rdmsr", 0xC0000000, ("msr.bin", 1024, 0)),
        ("vmx", "rdmsr", 0xC0001FFF, ("msr.bin", 2047, 7)),
        ("vmx", "wrmsr", 0x10, ("msr.bin", 2050, 0)),
        ("vmx", "wrmsr", 0x1FFF, ("msr.bin", 3071, 7)),
        ("vmx", "wrmsr", 0xC0000080, ("msr.bin", 3088, 0)),
        ("vmx", "wrmsr", 0xC0001FFF, ("msr.bin", 4095, 7)),
        ("svm", "rdmsr", 0x0, ("msrpm.bin", 0, 0)),
        ("svm", "wrmsr", 0x0, ("msrpm.bin", 0, 1)),
        ("svm", "wrmsr", 0x1FFF, ("msrpm.bin", 2047, 7)),
        ("svm", "rdmsr", 0xC0000080, ("msrpm.bin", 2080, 0)),
        ("svm", "wrmsr", 0xC0000080, ("msrpm.bin", 2080, 1)),
        ("svm", "rdmsr", 0xC0010015, ("msrpm.bin", 4101, 2)),
        ("svm", "wrmsr", 0xC0011FFF, ("msrpm.bin", 6143, 7)),
    ],
)
def test_the_bit_of_an_msr_is_where_the_manual_puts_it(target, kind, msr, place) -> None:
    found = verdict(policy(rule("msr", (msr, msr))), kind, msr, target=target)
    assert found.bits == (Bit(*place, 1),)
    assert found[:4] == (True, EXIT, 0, "rule")
    assert verdict(policy(), kind, msr, target=target) == (False, PASSTHROUGH, None, "default", (Bit(*place, 0),))


@pytest.mark.parametrize(
    ("target", "msr"),
    [(t, m) for t in ("vmx", "svm") for m in (0x2000, 0x40000000, 0x4B564D00, 0xBFFFFFFF, 0xC0002000, 0xFFFFFFFF)]
    + [("vmx", 0xC0010000), ("vmx", 0xC0011FFF), ("svm", 0xC000FFFF), ("svm", 0xC0012000)],
)
def test_an_msr_outside_the_windows_always_exits_and_has_no_bit(target, msr) -> None:
    quiet = policy(defaults=Defaults(PASS, PASS, act("kill"), None))
    assert verdict(quiet, "wrmsr", msr, target=target) == (True, KILL, None, "outside-window", ())
    ruled = policy(rule("msr", (msr, msr), actions=DROP), defaults=Defaults(TRAP, PASS, EXIT, None))
    assert verdict(ruled, "rdmsr", msr, target=target) == (True, DROP, 0, "rule", ())


def test_default_exit_does_not_speak_for_msrs_outside_the_windows() -> None:
    subject = policy(defaults=Defaults(TRAP, PASS, KILL, None))
    assert outcome(subject, "rdmsr", 0x10) == (True, EXIT, None, "default")
    assert outcome(subject, "rdmsr", 0x2000) == (True, KILL, None, "outside-window")


def test_read_and_write_of_an_msr_have_bits_of_their_own() -> None:
    subject = policy(rule("msr", (0x3A, 0x3A), columns=WRITE))
    for target in ("vmx", "svm", "kvm"):
        assert outcome(subject, "wrmsr", 0x3A, target=target) == (True, EXIT, 0, "rule")
        assert outcome(subject, "rdmsr", 0x3A, target=target) == (False, PASSTHROUGH, None, "default")


def test_wide_access_exits_where_any_touched_port_is_set() -> None:
    # inl(0x4fff) with only 0x5000 set exits (bits of one dword lie in two bytes of the bitmap).
    subject = policy(rule("io", (0x5000, 0x5000)))
    found = verdict(subject, "in", 0x4FFF, 4)
    assert found == (
        True,
        EXIT,
        0,
        "rule",
        (
            Bit("io.bin", 0x9FF, 7, 0),
            Bit("io.bin", 0xA00, 0, 1),
            Bit("io.bin", 0xA00, 1, 0),
            Bit("io.bin", 0xA00, 2, 0),
        ),
    )
    assert verdict(subject, "in", 0x4FFF, 4, "svm").bits[1] == Bit("iopm.bin", 0xA00, 0, 1)
    for port, width, exits in ((0x4FFD, 4, True), (0x4FFC, 4, False), (0x4FFE, 2, False), (0x5001, 4, False)):
        for target in ("vmx", "svm"):
            assert verdict(subject, "out", port, width, target).exits is exits


@pytest.mark.parametrize("start", [0x7FFD, 0x7FFE, 0x7FFF])
def test_access_that_crosses_from_bitmap_a_to_b_consults_both_pages(start) -> None:
    subject = policy(rule("io", (0x8000, 0x8000)))
    found = verdict(subject, "in", start, 4)
    a = tuple(Bit("io.bin", 0xFFF, port & 7, 0) for port in range(start, 0x8000))
    b = tuple(Bit("io.bin", 0x1000, port & 7, int(port == 0x8000)) for port in range(0x8000, start + 4))
    assert found.exits
    assert found.bits == a + b
    assert not verdict(subject, "in", 0x7FFE, 2).exits
    assert verdict(policy(rule("io", (0x7FFF, 0x7FFF))), "in", start, 4).exits


@pytest.mark.parametrize("start", [0xFFFD, 0xFFFE, 0xFFFF])
def test_access_past_the_last_port_exits_without_a_bit_on_vmx_and_by_three_more_on_svm(start) -> None:
    vmx = verdict(policy(), "in", start, 4)
    assert vmx[:4] == (True, EXIT, None, "past-last-port")
    assert vmx.bits == tuple(Bit("io.bin", 0x1FFF, port & 7, 0) for port in range(start, 0x10000))
    svm = verdict(policy(), "in", start, 4, "svm")
    assert svm[:4] == (True, EXIT, None, "past-last-port")
    assert svm.bits == tuple(
        Bit("iopm.bin", port // 8, port & 7, int(port > 0xFFFF)) for port in range(start, start + 4)
    )


def test_only_accesses_that_run_past_the_last_port_are_past_it() -> None:
    for target in ("vmx", "svm"):
        assert outcome(policy(), "in", 0xFFFC, 4, target) == (False, PASSTHROUGH, None, "default")
        assert outcome(policy(), "in", 0xFFFE, 2, target) == (False, PASSTHROUGH, None, "default")
        assert outcome(policy(), "in", 0xFFFF, 2, target) == (True, EXIT, None, "past-last-port")
    # Port 0 is not what follows port 0xffff.
    assert outcome(policy(rule("io", (0, 0), actions=KILL)), "in", 0xFFFF, 4) == (True, EXIT, None, "past-last-port")


def test_a_rule_decides_past_the_last_port_but_gives_no_value_for_bytes_that_are_not_there() -> None:
    assert outcome(policy(rule("io", (0xFFFF, 0xFFFF), actions=KILL)), "in", 0xFFFE, 4) == (True, KILL, 0, "rule")
    assert outcome(policy(rule("io", (0xFFF0, 0xFFFF), actions=CONST)), "in", 0xFFFE, 4) == (True, DROP, 0, "rule")


def test_one_bit_serves_both_directions_and_all_widths_so_the_handler_passes_the_rest_on() -> None:
    subject = policy(rule("io", (0x64, 0x64), columns=OUT1, actions=KILL))
    assert outcome(subject, "out", 0x64) == (True, KILL, 0, "rule")
    for kind, width in (("in", 1), ("in", 2), ("in", 4), ("out", 2), ("out", 4)):
        assert outcome(subject, kind, 0x64, width) == (True, PASSTHROUGH, None, "shared-bit")
    assert outcome(subject, "in", 0x61, 4, "svm") == (True, PASSTHROUGH, None, "shared-bit")
    assert outcome(subject, "in", 0x60, 4) == (False, PASSTHROUGH, None, "default")


def test_conditional_rule_traps_where_it_is_false_and_the_layer_below_decides() -> None:
    subject = policy(
        rule("msr", (0x1B, 0x1B), layer=LAYER_IMPORT, actions=DROP, columns=WRITE, when=[cpl("==", 3)]),
        rule("msr", (0x1B, 0x1B), when=[value("!=", 0, 0xF00), value("<", 0x800)], actions=KILL),
    )
    assert outcome(subject, "wrmsr", 0x1B, value=0x100) == (True, KILL, 1, "rule")
    assert outcome(subject, "wrmsr", 0x1B, value=0x800, ring=3) == (True, DROP, 0, "rule")
    assert outcome(subject, "wrmsr", 0x1B, value=0x800) == (True, PASSTHROUGH, None, "shared-bit")
    # A read carries no value in: the condition never holds, and yet the bit is set.
    assert outcome(subject, "rdmsr", 0x1B, value=0x100) == (True, PASSTHROUGH, None, "shared-bit")


def test_value_of_an_out_is_cut_to_its_width() -> None:
    subject = policy(rule("io", (0x10, 0x13), when=[value("==", 0x12)], actions=KILL))
    assert outcome(subject, "out", 0x10, 1, value=0x3412) == (True, KILL, 0, "rule")
    assert outcome(subject, "out", 0x10, 2, value=0x3412) == (True, PASSTHROUGH, None, "shared-bit")


def test_conditional_allow_does_not_keep_an_access_from_trapping() -> None:
    subject = policy(rule("msr", (0x10, 0x10)), rule("msr", (0x10, 0x11), verb="allow", when=[cpl("==", 0)]))
    assert outcome(subject, "rdmsr", 0x10) == (True, PASSTHROUGH, None, "shared-bit")
    assert outcome(subject, "rdmsr", 0x10, ring=3) == (True, EXIT, 0, "rule")
    assert outcome(subject, "rdmsr", 0x11, ring=3) == (False, PASSTHROUGH, None, "default")


def test_layers_win_in_their_order_and_allow_is_an_exception_in_its_own() -> None:
    one = (0x10, 0x10)
    rules = [
        rule("msr", one, layer=LAYER_IMPORT, actions=DROP),
        rule("msr", one, actions=KILL),
        rule("msr", one, profile="base", verb="allow"),
        rule("msr", one, profile="child", actions=CONST),
        rule("msr", one, layer=LAYER_OVERRIDE, actions=EXIT),
    ]
    both = (profile("base"), profile("child", "base"))
    in_base, in_child = Variant("base"), Variant("child")
    assert outcome(policy(*rules[:1], profiles=both), "rdmsr", 0x10) == (True, DROP, 0, "rule")
    assert outcome(policy(*rules[:4], profiles=both), "rdmsr", 0x10) == (True, KILL, 1, "rule")
    allowed = (False, PASSTHROUGH, 2, "rule")
    assert outcome(policy(*rules[:4], profiles=both), "rdmsr", 0x10, variant=in_base) == allowed
    assert outcome(policy(*rules[:4], profiles=both), "rdmsr", 0x10, variant=in_child) == (True, CONST, 3, "rule")
    assert outcome(policy(*rules, profiles=both), "rdmsr", 0x10, variant=in_child) == (True, EXIT, 4, "rule")
    same = policy(rule("msr", one, actions=KILL), rule("msr", one, verb="allow"))
    assert outcome(same, "rdmsr", 0x10) == (False, PASSTHROUGH, 1, "rule")


def test_rules_for_some_vcpus_bind_their_class_only() -> None:
    subject = policy(rule("io", (0x70, 0x71), vcpus=((0, 3),)), vcpus=(((0, 3),),))
    assert outcome(subject, "in", 0x70, variant=Variant(None, 0)) == (True, EXIT, 0, "rule")
    assert outcome(subject, "in", 0x70, variant=Variant(None, 1)) == (False, PASSTHROUGH, None, "default")


def test_a_profile_brings_its_own_defaults() -> None:
    subject = policy(profiles=(profile("tight", defaults=Defaults(PASS, TRAP, EXIT, None)),))
    assert outcome(subject, "in", 0x80, variant=Variant("tight")) == (True, EXIT, None, "default")
    assert outcome(subject, "in", 0x80) == (False, PASSTHROUGH, None, "default")


def test_the_strictest_byte_decides_and_of_equals_the_lowest() -> None:
    subject = policy(
        rule("io", (0x10, 0x10), actions=act("forward")),
        rule("io", (0x11, 0x11), actions=DROP),
        rule("io", (0x12, 0x12), actions=DROP),
        rule("io", (0x13, 0x13), actions=act("log", "mask")),
        rule("io", (0x14, 0x14), actions=act("log", "drop")),
        rule("io", (0x15, 0x15), actions=act("count", "drop")),
    )
    assert outcome(subject, "out", 0x10, 4) == (True, DROP, 1, "rule")
    assert outcome(subject, "out", 0x14, 2) == (True, act("log", "drop"), 4, "rule")


def test_a_wide_access_is_no_way_around_a_log_of_equal_strictness() -> None:
    counted = act("count", "passthrough")
    subject = policy(
        rule("io", (0x10, 0x11), verb="allow"),
        rule("io", (0x12, 0x12), actions=counted),
        rule("io", (0x13, 0x13), actions=act("log", "passthrough")),
        rule("io", (0x20, 0x20), actions=act("forward")),
        rule("io", (0x21, 0x21), actions=act("trace", "forward")),
        rule("io", (0x22, 0x22)),
    )
    assert outcome(subject, "out", 0x10, 2) == (False, PASSTHROUGH, 0, "rule")
    assert outcome(subject, "in", 0x11, 2) == (True, counted, 1, "rule")
    assert outcome(subject, "out", 0x10, 4) == (True, counted, 1, "rule")
    assert outcome(subject, "in", 0x20, 2) == (True, act("trace", "forward"), 4, "rule")
    assert outcome(subject, "in", 0x21, 2) == (True, EXIT, 5, "rule")


def test_a_value_that_no_rule_gives_for_every_byte_is_dropped() -> None:
    logged = act("log", CONST[0])
    subject = policy(rule("io", (0x10, 0x13), actions=logged), rule("io", (0x14, 0x17), actions=logged))
    assert outcome(subject, "in", 0x10, 4) == (True, logged, 0, "rule")
    assert outcome(subject, "in", 0x12, 4) == (True, act("log", "drop"), 0, "rule")
    assert outcome(subject, "in", 0x16, 4) == (True, act("log", "drop"), 1, "rule")
    assert outcome(subject, "in", 0x15, 2) == (True, logged, 1, "rule")


def test_kvm_filters_every_msr_but_x2apic_and_no_port() -> None:
    subject = policy(rule("msr", (0x0, 0xFFFFFFFF)), rule("io", (0x80, 0x80)))
    for msr in (0x7FF, 0x900, 0x2000, 0x40000000, 0xFFFFFFFF):
        assert verdict(subject, "rdmsr", msr, target="kvm") == (True, EXIT, 0, "rule", ())
    for msr in (0x800, 0x8FF):
        assert verdict(subject, "wrmsr", msr, target="kvm") == (False, PASSTHROUGH, None, "x2apic-unfiltered", ())
    assert verdict(policy(), "rdmsr", 0x4B564D00, target="kvm") == (False, PASSTHROUGH, None, "default", ())
    assert verdict(subject, "in", 0x80, target="kvm") == (True, EXIT, 1, "rule", ())
    assert verdict(subject, "in", 0x81, target="kvm") == (True, PASSTHROUGH, None, "shared-bit", ())
    assert verdict(subject, "in", 0xFFFF, 2, target="kvm") == (True, EXIT, None, "past-last-port", ())


def test_what_no_instruction_can_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.0xffff"):
        verdict(policy(), "in", 0x10000)
    with pytest.raises(ValueError, match=r"outside 0\.\.0xffffffff"):
        verdict(policy(), "rdmsr", 1 << 32)
    with pytest.raises(ValueError, match="no target"):
        verdict(policy(), "in", 0, target="sparc")
    with pytest.raises(ValueError, match="no profile"):
        verdict(policy(), "in", 0, variant=Variant("none"))
    with pytest.raises(ValueError, match="no vCPU class 1"):
        verdict(policy(), "in", 0, variant=Variant(None, 1))
    with pytest.raises(KeyError):
        verdict(policy(), "in", 0, 3)
    assert DEFAULTS.outside == EXIT
