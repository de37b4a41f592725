"""``policyc exec``: exceptions in place of accesses, at the instruction and with the registers that it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.semantics.policy import VECTORS
from tests.runtime.forms import DATA, FORMS, guest16
from tests.runtime.running import assemble
from tests.runtime.vmm import HEAD, exits, own_vmm

RUN16 = """
found = []
for image in images:
    vm = machine(image)
    vm.memory()[0x8f0:0x910] = bytes(range(32))
    text = run(vm)
    memory = vm.memory()
    found.append([memory[0x800:0x80c].cast("H").tolist(), memory[0x810] | memory[0x811] << 8,
                  bytes(memory[0x8f0:0x910]) == bytes(range(32)), text])
print(json.dumps(found))
"""


def test_a_port_that_faults_leaves_ip_registers_and_memory_as_they_were(tmp_path: Path) -> None:
    """Every form of IN, OUT, INS and OUTS in real mode."""
    images = [assemble(f"bits 16\norg 0x1000\n{guest16(code)}\n", 16).hex() for code, _, _ in FORMS.values()]
    body = f"images = [bytes.fromhex(each) for each in {images!r}]\n" + RUN16
    found, report = own_vmm(HEAD + "a: intercept io 0x10 -> inject(gp)\n", "hlt", body, tmp_path, "--show", "exits")
    for form, image, (registers, place, kept, text) in zip(FORMS, images, found, strict=True):
        ip, ax, cx, si, di, flags = registers
        _, al, count = FORMS[form]
        assert (ip, ax & 0xFF, cx) == (place, al, count), (form, text)
        assert (si, di) == (0x1000 + len(image) // 2 - DATA, 0x900), form
        assert flags >> 10 & 1 == ("down" in form), form
        assert kept, form
    faults = [each for each in report if each["event"] == "exit" and each["address"] == 0x10]
    assert [each["fault"] for each in faults] == [13] * len(FORMS)


def test_a_string_faults_at_the_element_that_the_policy_means(tmp_path: Path) -> None:
    policy = HEAD + "a: intercept io 0x10 out when value == 3 -> inject(gp)\n"
    body = f"images = [image]\n{RUN16}"
    ((registers, place, _, _),), report = own_vmm(policy, guest16("mov cx, 9\n@: rep outsb\n"), body, tmp_path)
    data = 0x1000 + len((tmp_path / "guest.bin").read_bytes()) - DATA
    assert (registers[0], registers[2], registers[3]) == (place, 7, data + 2)
    assert exits(report, "out", 0x10) == 3


GUEST64 = """
bits 64
org 0x100000
lea rdi, [rel idt + 13 * 16]
lea rax, [rel gp]
mov [rdi], ax
mov word [rdi + 2], 0x08
mov word [rdi + 4], 0x8e00
shr rax, 16
mov [rdi + 6], ax
shr rax, 16
mov [rdi + 8], eax
lidt [rel idtr]
mov rax, 0x1111111111111111
mov rdx, 0x2222222222220010
mov rcx, 0x33
lea rsi, [rel idt]
mov rdi, 0x4444
{}
hlt
gp: mov [0x800], rax
mov [0x808], rcx
pop qword [0x810]
pop qword [0x818]
lea rbx, [rel here]
mov [0x820], rbx
hlt
idtr: dw 14 * 16 - 1
dq idt
align 16
idt: times 14 * 2 dq 0
"""


@pytest.mark.parametrize("code", ["here: out dx, eax", "here: out 0x10, al", "here: in ax, dx", "here: rep outsb"])
def test_in_64_bit_code_the_error_code_is_there(code: str, tmp_path: Path) -> None:
    image = assemble(GUEST64.format(code), 64).hex()
    body = f"""
    vm = Kvm()
    vm.start(prepare(flat(bytes.fromhex("{image}"), 64), 4 << 20))
    text = run(vm)
    print(json.dumps([vm.memory()[0x800:0x828].cast("Q").tolist(), text]))
    """
    ((rax, rcx, error, rip, place), text), _ = own_vmm(
        HEAD + "a: intercept io 0x10 -> inject(gp)\n", "hlt", body, tmp_path
    )
    assert (rax, rcx, error) == (0x1111111111111111, 0x33, 0), text
    assert rip == place


@pytest.mark.parametrize("bits", [16, 64])
def test_every_exception_reaches_its_handler(bits: int, tmp_path: Path) -> None:
    """On an MSR and on a port: the guest's run ends in the stub of that vector."""
    rules = "".join(
        f"intercept msr {0x1000 + number:#x} read -> inject({name})\nintercept io {0x100 + number:#x} -> inject({name})\n"
        for name, number in VECTORS.items()
    )
    body = f"""
    endings = []
    for number in {list(VECTORS.values())}:
        # mov ecx, 0x1000 + number; rdmsr, and mov dx, 0x100 + number; in al, dx
        prefix = b"\\x66" if {bits} == 16 else b""
        msr = prefix + b"\\xb9" + (0x1000 + number).to_bytes(4, "little") + b"\\x0f\\x32"
        port = (b"" if {bits} == 16 else b"\\x66") + b"\\xba" + (0x100 + number).to_bytes(2, "little") + b"\\xec"
        for code in (msr, port):
            vm = Kvm()
            vm.start(prepare(flat(code + b"\\xf4", {bits}), 4 << 20))
            endings.append(run(vm))
    print(json.dumps(endings))
    """
    endings, _ = own_vmm(HEAD + rules, "hlt", body, tmp_path)
    wanted = [
        f"the guest took exception or interrupt {number} and has no handler for it"
        for number in VECTORS.values()
        for _ in range(2)
    ]
    assert endings == wanted
