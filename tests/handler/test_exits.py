"""What an exit's fields mean, which are refused, and what becomes of the registers (SDM vol. 3C 28.2.1, APM vol. 2 15.10)."""

from __future__ import annotations

import ctypes

import pytest

from policyc.semantics.policy import Action
from tests.handler.native import (
    AGAIN,
    DONE,
    FAULT,
    IN,
    KILL,
    OUT,
    PENDING,
    RDMSR,
    REFUSED,
    WRMSR,
    KvmIo,
    KvmMsr,
    Native,
)
from tests.semantics.policies import GP, make, rule

IOIO, MSR = 0x7B, 0x7C
SVM_64 = 1 << 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exits")


@pytest.fixture
def machine(folder):
    made = Native(
        make(
            rule("intercept", "io", (0x10, 0x13), None),
            rule("intercept", "msr", 0x174, None),
            rule("intercept", "msr", 0x3A, None, GP),
            rule("intercept", "msr", 0x3B, None, (Action("inject", (("vector", 6),)),)),
            rule("intercept", "io", 0x40, None, (Action("inject", (("vector", 17),)),)),
        ),
        folder,
    )
    made.guest.rax, made.guest.rdx = 0x1111111122222222, 0x3333333344444444
    return made


def unchanged(machine, call):
    before = machine.registers()
    status = call()
    assert machine.registers() == before
    assert machine.events == []
    return status


# VT-x


@pytest.mark.parametrize("size", range(8))
def test_vmx_knows_three_sizes_and_refuses_the_others(machine, size) -> None:
    call = lambda: machine.vmx(30, size | 0x10 << 16)  # noqa: E731
    if size in (0, 1, 3):
        assert call() == DONE
        assert machine.events[0][3] == size + 1
    else:
        assert unchanged(machine, call) == REFUSED


def test_vmx_reads_port_and_direction_where_the_manual_puts_them(machine) -> None:
    assert machine.vmx(30, 0x0010 << 16 | 1 << 3 | 1 << 6) == DONE
    assert machine.events == [("exit", IN, 0x10, 1, 0, 1)]
    assert machine.vmx(30, 0x0012 << 16 | 1) == DONE
    assert machine.events[0][:4] == ("exit", OUT, 0x12, 2)


@pytest.mark.parametrize("field", range(8))
def test_vmx_knows_three_address_sizes_of_a_string(machine, field) -> None:
    status = machine.vmx(30, 0x10 << 16 | 1 << 4, info=field << 7)
    assert status == (DONE if field < 3 else REFUSED)
    if field < 3:
        assert machine.events[0][4] == 2 << field


@pytest.mark.parametrize("segment", range(8))
def test_vmx_knows_six_segments_and_ins_always_uses_es(machine, segment) -> None:
    info = 2 << 7 | segment << 15
    assert machine.vmx(30, 0x10 << 16 | 1 << 4, info=info) == (DONE if segment < 6 else REFUSED)
    if segment < 6:
        assert machine.events[0][:2] == ("read", segment)
    assert machine.vmx(30, 0x10 << 16 | 1 << 4 | 1 << 3, info=info) == DONE
    assert machine.events[0][:2] == ("probe", 0)


@pytest.mark.parametrize("reason", [0, 1, 10, 29, 33, 48, 0xFFFF, 30 | 1 << 31, 31 | 1 << 31])
def test_vmx_refuses_exits_that_are_not_its_own(machine, reason) -> None:
    assert unchanged(machine, lambda: machine.vmx(reason, 0x10 << 16)) == REFUSED


@pytest.mark.parametrize(
    ("length", "status"), [(0, REFUSED), (1, DONE), (15, DONE), (16, REFUSED), (0xFFFFFFFF, REFUSED)]
)
def test_vmx_refuses_lengths_that_no_instruction_has(machine, length, status) -> None:
    assert machine.vmx(30, 0x10 << 16, length=length) == status
    assert machine.guest.rip == 0x1000 + (length if status == DONE else 0)


def test_bits_of_the_reason_beside_the_basic_reason_do_not_matter(machine) -> None:
    assert machine.vmx(30 | 1 << 27, 0x10 << 16) == DONE


# SVM


@pytest.mark.parametrize("size", range(8))
def test_svm_knows_three_sizes_and_refuses_none_or_several(machine, size) -> None:
    status = machine.svm(IOIO, size << 4 | 0x10 << 16, info2=0x1002)
    assert status == (DONE if size in (1, 2, 4) else REFUSED)
    if size in (1, 2, 4):
        assert machine.events[0][:4] == ("exit", OUT, 0x10, size)
    assert machine.guest.rip == (0x1002 if status == DONE else 0x1000)


@pytest.mark.parametrize("size", range(8))
def test_svm_knows_three_address_sizes_of_a_string(machine, size) -> None:
    info = 1 | 1 << 2 | 1 << 4 | size << 7 | 0x10 << 16
    assert machine.svm(IOIO, info, info2=0x1002) == (DONE if size in (1, 2, 4) else REFUSED)
    if size in (1, 2, 4):
        assert machine.events[0][:5] == ("probe", 0, 0, 1, 2 * size)


@pytest.mark.parametrize("segment", range(8))
def test_svm_knows_six_segments(machine, segment) -> None:
    info = 1 << 2 | 1 << 4 | SVM_64 | segment << 10 | 0x10 << 16
    assert machine.svm(IOIO, info, info2=0x1002) == (DONE if segment < 6 else REFUSED)
    if segment < 6:
        assert machine.events[0][:2] == ("read", segment)


def test_svm_ins_always_uses_es(machine) -> None:
    info = 1 | 1 << 2 | 1 << 4 | SVM_64 | 7 << 10 | 0x10 << 16
    assert machine.svm(IOIO, info, info2=0x1002) == DONE
    assert machine.events[0][:2] == ("probe", 0)


def test_svm_repeats_only_with_the_rep_bit(machine) -> None:
    machine.guest.rcx = 3
    info = 1 << 2 | 1 << 4 | SVM_64 | 0x10 << 16
    assert machine.svm(IOIO, info | 1 << 3, info2=0x1002) == DONE
    assert (machine.guest.rsi, machine.guest.rcx) == (3, 0)


@pytest.mark.parametrize("info", [2, 3, 1 << 32, 0xFFFFFFFFFFFFFFFF])
def test_svm_refuses_an_msr_access_that_is_neither_read_nor_write(machine, info) -> None:
    assert unchanged(machine, lambda: machine.svm(MSR, info)) == REFUSED


@pytest.mark.parametrize("code", [0x7A, 0x7D, 0x400, 0xFFFFFFFFFFFFFFFF, 0x7B | 1 << 32])
def test_svm_refuses_exits_that_are_not_its_own(machine, code) -> None:
    assert unchanged(machine, lambda: machine.svm(code, 0x10 << 16 | 1 << 4)) == REFUSED


def test_svm_goes_to_nrip_and_without_it_past_two_bytes(machine) -> None:
    machine.guest.rcx = 0x174
    assert machine.svm(MSR, 0, next_rip=0x1003) == DONE
    assert machine.guest.rip == 0x1003
    assert machine.svm(MSR, 0) == DONE
    assert machine.guest.rip == 0x1005


# registers


def test_rdmsr_clears_the_upper_halves_and_looks_at_ecx_alone(machine) -> None:
    machine.guest.rcx = 0xFFFFFFFF00000174
    assert machine.vmx(31) == DONE
    assert machine.events == [("exit", RDMSR, 0x174, 8, 0, 2)]
    assert (machine.guest.rax, machine.guest.rdx) == (0xDDEEFF00, 0x99AABBCC)
    assert (machine.guest.rcx, machine.guest.rip) == (0xFFFFFFFF00000174, 0x1002)


def test_wrmsr_takes_the_lower_halves_and_changes_no_register(machine) -> None:
    machine.guest.rcx = 0x174
    assert machine.vmx(32) == DONE
    assert machine.events == [("exit", WRMSR, 0x174, 8, 0x4444444422222222, 2)]
    assert (machine.guest.rax, machine.guest.rdx) == (0x1111111122222222, 0x3333333344444444)


@pytest.mark.parametrize(("width", "rax"), [(1, 0x1111111122222200), (2, 0x111111112222FF00), (4, 0x00000000DDEEFF00)])
def test_in_keeps_what_is_above_a_byte_or_word_and_clears_above_a_dword(machine, width, rax) -> None:
    assert machine.io(0x10, width, read=True) == DONE
    assert machine.guest.rax == rax


@pytest.mark.parametrize(("width", "value"), [(1, 0x22), (2, 0x2222), (4, 0x22222222)])
def test_out_is_cut_to_its_width(machine, width, value) -> None:
    assert machine.io(0x10, width, read=False) == DONE
    assert machine.events[0][4] == value


def test_outside_64_bit_code_rip_wraps_at_32_bits(machine) -> None:
    machine.guest.long_mode = False
    machine.guest.rip = 0xFFFFFFFF
    assert machine.io(0x10, 1, read=False) == DONE
    assert machine.guest.rip == 1
    machine.guest.long_mode = True
    machine.guest.rip = 0xFFFFFFFF
    assert machine.io(0x10, 1, read=False) == DONE
    assert machine.guest.rip == 0x100000001


@pytest.mark.parametrize(
    ("reason", "index", "vector", "code"), [(31, 0x3A, 13, 0), (32, 0x3A, 13, 0), (31, 0x3B, 6, None)]
)
def test_on_a_fault_nothing_changes_and_the_exception_is_queued(machine, reason, index, vector, code) -> None:
    machine.guest.rcx = index
    before = machine.registers()
    assert machine.vmx(reason) == FAULT
    assert machine.events == [("inject", vector, code, 0)]
    assert machine.registers() == before


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (FAULT, FAULT),
        (PENDING, PENDING),
        (KILL, KILL),
        (AGAIN, REFUSED),
        (REFUSED, REFUSED),
        (77, REFUSED),
        (-1, REFUSED),
    ],
)
@pytest.mark.parametrize("read", [True, False])
def test_registers_change_only_when_the_hook_says_done(machine, answer, status, read) -> None:
    machine.answers["exit"] = answer
    before = machine.registers()
    assert machine.io(0x10, 4, read=read) == status
    assert machine.registers() == before
    assert [each[0] for each in machine.events] == ["exit"] + ["inject"] * (status == FAULT)


def test_a_hook_chooses_its_fault(machine) -> None:
    def no_such_device(access):
        access.fault.vector, access.fault.has_error_code = 6, False
        return FAULT

    machine.answers["exit"] = no_such_device
    assert machine.io(0x10, 1, read=True) == FAULT
    assert machine.events[-1] == ("inject", 6, None, 0)


# KVM


def kvm_io(data: bytes, **fields: int):
    io = KvmIo(**{"port": 0x10, "size": 1, "count": 1, **fields})
    page = (ctypes.c_uint8 * len(data))(*data)
    io.data = page
    return io, page


@pytest.mark.parametrize("size", [0, 3, 5, 8, 255])
def test_kvm_refuses_sizes_that_no_instruction_has(machine, size) -> None:
    io, _ = kvm_io(b"\0" * 8, size=size)
    assert machine.kvm_io(io) == REFUSED
    assert machine.events == []


@pytest.mark.parametrize(
    "fields",
    [
        {"direction": 2},
        {"direction": 255},
        {"count": 4097},
        {"count": 2049, "size": 2},
        {"count": 0xFFFFFFFF},
        {"done": 2},
    ],
)
def test_kvm_refuses_what_does_not_fit_a_page_or_has_no_direction(machine, fields) -> None:
    io, _ = kvm_io(b"\0" * 8, **fields)
    assert machine.kvm_io(io) == REFUSED
    assert machine.events == []


def test_kvm_data_is_little_endian_one_element_after_another(machine) -> None:
    io, _ = kvm_io(bytes(range(1, 9)), size=4, count=2, direction=1)
    assert machine.kvm_io(io) == DONE
    assert [event[4] for event in machine.events] == [0x04030201, 0x08070605]
    io, page = kvm_io(b"\0" * 5, size=2, count=2, direction=0)
    assert machine.kvm_io(io) == DONE
    assert bytes(page) == b"\x00\xff\x00\xff\x00"


def test_kvm_goes_on_at_the_element_that_was_pending(machine) -> None:
    io, _page = kvm_io(b"\0" * 3, size=1, count=3, direction=0)
    machine.answers["exit"] = lambda access: PENDING if len(machine.events) == 2 else DONE
    assert machine.kvm_io(io) == PENDING
    assert io.done == 1
    assert machine.kvm_io(io) == PENDING
    assert io.done == 2
    machine.answers["exit"] = DONE
    assert machine.kvm_io(io) == DONE
    assert (io.done, len(machine.events)) == (3, 1)


def test_kvm_raises_general_protection_itself_and_other_exceptions_by_the_hook(machine) -> None:
    call = machine.function("kvm_msr")

    def rdmsr(index):
        machine.events.clear()
        msr = KvmMsr(data=0x55, index=index, error=9)
        return call(ctypes.byref(machine.vcpu), machine.profile, ctypes.byref(msr)), msr.error, msr.data

    assert rdmsr(0x174) == (DONE, 0, 0x99AABBCCDDEEFF00)
    assert rdmsr(0x3A) == (FAULT, 1, 0x55)
    assert machine.events == []
    assert rdmsr(0x3B) == (FAULT, 1, 0x55)
    assert machine.events == [("inject", 6, None, 0)]
