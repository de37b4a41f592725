"""What a hypervisor author reads: the header stands alone, its example compiles, its duties are the policy's."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.emitters.handler import emit
from policyc.pipeline import compile_policy
from policyc.semantics.decide import decide, variants
from tests.handler.samples import TARGETS, WARNINGS, compiler, everything, run, write_handler

ROOT = Path(__file__).parents[2]
AROUND = {
    "vmx": "struct vmcs_vcpu { struct vm_vcpu policy; };\nuint32_t vmread32(uint32_t);\nuint64_t vmread64(uint32_t);\n",
    "svm": "struct vmcs_vcpu { struct vm_vcpu policy; };\n"
    "struct vmcb { uint64_t exit_code, exit_info_1, exit_info_2, next_rip; };\n",
    "kvm": "struct vmcs_vcpu { struct vm_vcpu policy; };\n"
    "struct kvm_run { struct { uint8_t direction, size; uint16_t port; uint32_t count; uint64_t data_offset; } io; };\n",
}
EXTRA = {"vmx": "", "svm": "struct vmcb *vmcb, ", "kvm": "struct kvm_run *run, "}


def duties(text: str) -> str:
    """The list of obligations, as one line."""
    lines = text.split("What the hypervisor must do")[1].split("How it is used")[0].splitlines()
    return " ".join(line.removeprefix(" *").strip() for line in lines)


@pytest.mark.parametrize("language", [("-std=c11",), ("-x", "c++", "-std=c++17")])
def test_the_header_stands_alone_and_may_be_included_twice(language, tmp_path) -> None:
    write_handler(everything(), tmp_path)
    (tmp_path / "use.c").write_text(
        '#include "exit_handler.h"\n#include "exit_handler.h"\nint used;\n', encoding="ascii"
    )
    run([compiler("gcc"), *language, *WARNINGS, "-c", tmp_path / "use.c", "-o", tmp_path / "use.o"])


@pytest.mark.parametrize("target", TARGETS)
def test_the_example_of_use_compiles(target, tmp_path) -> None:
    """The lines of the comment, inside a function; what they take for granted is declared around them."""
    write_handler(everything(), tmp_path, (target,))
    text = (tmp_path / "exit_handler.h").read_text(encoding="ascii")
    lines = text.split("How it is used\n *\n")[1].split("\n */")[0].splitlines()
    body = "\n".join(line.removeprefix(" *") for line in lines)
    declared = (
        f'#include "exit_handler.h"\n{AROUND[target]}'
        "struct vm { const struct vm_profile *profile; };\n"
        "int resume(struct vmcs_vcpu *); int to_user_space(struct vmcs_vcpu *); int stop(struct vm *);\n"
        "int other_exits(struct vmcs_vcpu *);\n"
        f"int use({EXTRA[target]}struct vmcs_vcpu *vcpu, struct vm *vm, struct policyc_guest *guest);\n"
        f"int use({EXTRA[target]}struct vmcs_vcpu *vcpu, struct vm *vm, struct policyc_guest *guest)\n"
        "{\n\tstruct policyc_guest regs = *guest;\n\t(void)regs;\n"
    )
    (tmp_path / "use.c").write_text(f"{declared}{body}\n}}\n", encoding="ascii")
    flags = ("-std=c11", "-Wno-missing-field-initializers", *WARNINGS)
    run([compiler("gcc"), *flags, "-c", tmp_path / "use.c", "-o", tmp_path / "use.o"])
    assert len(lines) <= 16


def test_settings_of_every_target_are_among_the_duties(tmp_path) -> None:
    write_handler(everything(), tmp_path)
    said = duties((tmp_path / "exit_handler.h").read_text(encoding="ascii"))
    for words in ("bit 25 (use I/O bitmaps) = 1", "MSR_PROT", "KVM_X86_SET_MSR_FILTER", "IA32_VMX_BASIC bit 54"):
        assert words in said


def test_msrs_that_the_guest_owns_are_among_the_duties_and_others_are_not() -> None:
    files = {each.name: each.data for each in compile_policy(str(ROOT / "examples/consumers/console.pol")).files}
    said = duties(files["exit_handler.h"].decode("ascii"))
    for name in ("IA32_STAR", "IA32_LSTAR", "IA32_FMASK", "IA32_KERNEL_GS_BASE", "IA32_PAT"):
        assert name in said
    assert "IA32_APIC_BASE" not in said


def test_every_counter_has_a_name_and_a_word_of_its_own(tmp_path) -> None:
    policy = everything()
    header = emit(policy, {each: decide(policy, each) for each in variants(policy)}, TARGETS)[1].data.decode("ascii")
    assert "#define VM_COUNT_COM1 " in header
