"""Who keeps a guest's MSRs apart from the host's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.analyses.obligations import HOST, VMCB_FIELD, VMCS_FIELD, obligations, owned_msrs, vmcs_words
from policyc.architecture.switched import VMCS
from policyc.database.names import load
from policyc.semantics.policy import EXIT, PASSTHROUGH, Action, Defaults
from policyc.targets.registry import target
from tests.demand import need
from tests.proof.build import PASS, TRAP, all_maps, policy, rule, value

CLOSED = Defaults(TRAP, TRAP, EXIT, None)
STAR, KERNEL_GS, TSC_AUX, EFER, FS = 0xC0000081, 0xC0000102, 0xC0000103, 0xC0000080, 0xC0000100
DATABASE = load()


def owed(subject, name="vmx"):
    (decisions,) = all_maps(subject).values()
    return {each.lo: each for each in obligations(subject, decisions, name, DATABASE)}


def allowed(*msrs, columns=3):
    return policy(*(rule("msr", (each, each), verb="allow", columns=columns) for each in msrs), defaults=CLOSED)


def test_a_passed_through_star_is_the_hosts_work_on_intel_and_vmloads_on_amd() -> None:
    assert owed(allowed(STAR))[STAR][2:4] == ("IA32_STAR", HOST)
    assert owed(allowed(STAR), "svm")[STAR].means == VMCB_FIELD


def test_a_trapped_write_owes_nothing_and_a_read_neither() -> None:
    assert STAR not in owed(policy(defaults=CLOSED))
    assert STAR not in owed(allowed(STAR, columns=1))


def test_kernel_gs_base_is_owed_even_where_trapped_for_swapgs_changes_it() -> None:
    found = owed(policy(defaults=CLOSED))
    assert list(found) == [KERNEL_GS]
    assert "SWAPGS" in found[KERNEL_GS].how


def test_an_exit_whose_handler_writes_the_register_owes_as_much() -> None:
    for actions in ((Action("log"), Action("passthrough")), (Action("mask", (("and", 1), ("or", 0))),)):
        assert STAR in owed(policy(rule("msr", (STAR, STAR), actions=actions), defaults=CLOSED))
    for actions in (EXIT, (Action("drop"),), (Action("shadow", (("init", 0),)),)):
        assert STAR not in owed(policy(rule("msr", (STAR, STAR), actions=actions)))


def test_a_value_that_slips_past_a_condition_counts() -> None:
    when = rule("msr", (STAR, STAR), columns=2, when=[value("==", 0)], actions=(Action("kill"),))
    assert STAR in owed(policy(when))
    assert STAR not in owed(policy(when, defaults=CLOSED))


def test_fields_of_the_vmcs_are_named_with_their_controls() -> None:
    found = owed(allowed(EFER, FS))
    assert found[EFER].means == found[FS].means == VMCS_FIELD
    assert found[EFER].how == (
        "VMCS field 0x2806: loaded on entry with bit 15 of the VM-entry controls; on exit saved with bit 20 of the "
        "VM-exit controls, the host's loaded from field 0x2c02 with bit 21 of the VM-exit controls"
    )
    assert found[FS].how == (
        "VMCS field 0x680e: loaded on entry always; on exit saved always, the host's loaded from field 0x6c06 always"
    )


def test_every_vmcs_switched_entry_with_a_field_of_its_own_is_in_the_table() -> None:
    tagged = {lo for _, lo, _, _, _, _, tags in DATABASE.msrs_tagged("vmcs-switched") if "switch" not in tags}
    assert tagged == set(VMCS)


def test_an_open_policy_owes_each_vendors_own_and_joins_families() -> None:
    intel, amd = owed(policy()), owed(policy(), "svm")
    assert {STAR, TSC_AUX, 0x48, 0xDA0} <= set(intel) & set(amd)
    assert 0x570 in intel
    assert 0x570 not in amd  # Intel's processor trace
    assert intel[0xC1].hi > 0xC1
    assert intel[0xC1].name.startswith("IA32_PMC[0]..IA32_PMC[")


def test_kvm_keeps_its_guests_msrs_itself() -> None:
    assert owed(policy(), "kvm") == {}


def test_without_a_bit_the_handler_decides_and_not_the_default_for_msrs() -> None:
    outside = 0xC0010015
    subject = policy()
    (decisions,) = all_maps(subject).values()
    windows = target("vmx").msr_windows
    assert not any(lo <= outside <= hi for lo, hi in owned_msrs(subject, decisions, windows))
    subject = policy(defaults=Defaults(PASS, PASS, PASSTHROUGH, None))
    (decisions,) = all_maps(subject).values()
    assert owned_msrs(subject, decisions, windows) == ((0, 0xFFFFFFFF),)


FIELDS = {
    "IA32_DEBUGCTL": 0x1D9, "IA32_PAT": 0x277, "IA32_EFER": EFER, "IA32_PERF_GLOBAL_CTRL": 0x38F, "BNDCFGS": 0xD90,
    "IA32_RTIT_CTL": 0x570, "SYSENTER_CS": 0x174, "SYSENTER_ESP": 0x175, "SYSENTER_EIP": 0x176,
    "IA32_SYSENTER_CS": 0x174, "IA32_SYSENTER_ESP": 0x175, "IA32_SYSENTER_EIP": 0x176, "FS_BASE": FS, "GS_BASE": FS + 1,
}  # fmt: skip
CONTROLS = {"DEBUG_CONTROLS": 0x1D9, "IA32_PAT": 0x277, "IA32_EFER": EFER, "IA32_PERF_GLOBAL_CTRL": 0x38F,
            "BNDCFGS": 0xD90, "IA32_RTIT_CTL": 0x570}  # fmt: skip


def test_the_table_agrees_with_the_kernels_header() -> None:
    found = sorted(Path("/usr/src").glob("linux-headers-*/arch/x86/include/asm/vmx.h"))
    need("headers", bool(found), "apt-get install linux-headers-amd64")
    text = found[0].read_text()
    seen = 0
    for side, name, number in re.findall(r"\b(GUEST|HOST)_(\w+)\s*=\s*(0x[0-9a-f]+)", text, re.IGNORECASE):
        if name in FIELDS:
            switch = VMCS[FIELDS[name]]
            assert int(number, 16) == (switch.guest if side == "GUEST" else switch.host), name
            seen += 1
    for when, verb, name, number in re.findall(r"VM_(ENTRY|EXIT)_(LOAD|SAVE|CLEAR)_(\w+)\s+(0x[0-9a-f]+)", text):
        if name in CONTROLS:
            switch = VMCS[CONTROLS[name]]
            bit = switch.entry if when == "ENTRY" else switch.save if verb == "SAVE" else switch.restore
            assert int(number, 16) == 1 << bit, name
            seen += 1
    assert seen >= 24


def test_an_unknown_target_is_a_key_error() -> None:
    (decisions,) = all_maps(policy()).values()
    with pytest.raises(KeyError):
        obligations(policy(), decisions, "base", DATABASE)


def test_words_tell_secondary_controls_apart() -> None:
    assert "bit 1 of the secondary VM-exit controls" in vmcs_words(VMCS[0x1D4])
