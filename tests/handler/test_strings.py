"""INS and OUTS: operands, REP, direction, address size, faults midway, and the bound on work (SDM vol. 2, INS/OUTS)."""

from __future__ import annotations

import pytest

from policyc.semantics.policy import Action
from tests.handler.native import AGAIN, DF, DONE, FAULT, KILL, PENDING, REFUSED, TF, Native
from tests.semantics.policies import DROP, make, rule

LIMIT = 64


@pytest.fixture(scope="module")
def policy():
    return make(
        rule("intercept", "io", 0x10, None),
        rule("intercept", "io", 0x20, None, DROP),
        rule("intercept", "io", 0x30, "out", (Action("kill"),)),
        rule("intercept", "io", 0x40, None, (Action("count"), Action("notify"))),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("strings")


@pytest.fixture
def machine(policy, folder):
    made = Native(policy, folder)
    made.guest.rsi, made.guest.rdi, made.guest.rcx = 0x1000, 0x2000, 5
    return made


def offsets(machine, word):
    return [event[2] for event in machine.events if event[0] == word]


def test_outs_reads_memory_then_writes_the_port(machine) -> None:
    machine.answers["read"] = lambda operand: setattr(operand, "value", 0xAABBCCDD) or DONE
    assert machine.io(0x10, 2, read=False, string=True) == DONE
    assert [event[:3] for event in machine.events] == [("read", 3, 0x1000), ("exit", 3, 0x10)]
    assert machine.events[1][4] == 0xCCDD
    assert machine.registers() == {
        "rax": 0, "rcx": 5, "rdx": 0, "rsi": 0x1002, "rdi": 0x2000, "rip": 0x1002, "rflags": 2
    }  # fmt: skip


def test_ins_asks_for_the_destination_before_it_reads_the_port(machine) -> None:
    assert machine.io(0x20, 4, read=True, string=True) == DONE
    assert [event[:3] for event in machine.events] == [("probe", 0, 0x2000), ("write", 0, 0x2000)]
    assert machine.events[1][5] == 0xFFFFFFFF
    assert (machine.guest.rdi, machine.guest.rsi, machine.guest.rcx) == (0x2004, 0x1000, 5)


def test_rep_moves_count_elements_and_counts_down(machine) -> None:
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == DONE
    assert offsets(machine, "read") == [0x1000, 0x1001, 0x1002, 0x1003, 0x1004]
    assert (machine.guest.rcx, machine.guest.rsi, machine.guest.rip) == (0, 0x1005, 0x1002)


def test_rep_with_count_zero_does_nothing_but_finish(machine) -> None:
    machine.guest.rcx = 0
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == DONE
    assert (machine.events, machine.guest.rsi, machine.guest.rip) == ([], 0x1000, 0x1002)


def test_the_direction_flag_counts_addresses_down(machine) -> None:
    machine.guest.rflags |= DF
    assert machine.io(0x20, 4, read=True, string=True, rep=True) == DONE
    assert offsets(machine, "write") == [0x2000, 0x1FFC, 0x1FF8, 0x1FF4, 0x1FF0]
    assert machine.guest.rdi == 0x1FEC


@pytest.mark.parametrize(
    ("size", "before", "after", "count", "left"),
    [
        (2, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_0001, 0xAAAA_BBBB_CCCC_0002, 0xAAAA_BBBB_CCCC_0000),
        (4, 0xFFFF_FFFF_FFFF_FFFF, 0x0000_0000_0000_0001, 0xAAAA_BBBB_0000_0002, 0),
        (8, 0xFFFF_FFFF_FFFF_FFFF, 0x0000_0000_0000_0001, 2, 0),
    ],
)
def test_the_address_size_decides_which_bits_count(machine, size, before, after, count, left) -> None:
    machine.guest.rsi, machine.guest.rcx = before, count
    assert machine.io(0x10, 1, read=False, string=True, rep=True, size=size) == DONE
    assert offsets(machine, "read") == [(1 << 8 * size) - 1, 0]
    assert (machine.guest.rsi, machine.guest.rcx) == (after, left)


def test_a_word_index_that_wraps_leaves_the_upper_bits_alone(machine) -> None:
    machine.guest.rflags |= DF
    machine.guest.rdi = 0x1234_5678_0000_0001
    assert machine.io(0x20, 2, read=True, string=True, size=2) == DONE
    assert machine.guest.rdi == 0x1234_5678_0000_FFFF


@pytest.mark.parametrize("read", [True, False])
def test_work_is_bounded_and_goes_on_where_it_stopped(machine, read) -> None:
    machine.guest.rcx = 2 * LIMIT + 3
    statuses, ports = [], 0
    while not statuses or statuses[-1] == AGAIN:
        rip = machine.guest.rip
        statuses.append(machine.io(0x10, 1, read=read, string=True, rep=True))
        ports += len([event for event in machine.events if event[0] == "exit"])
        assert (machine.guest.rip == rip) == (statuses[-1] == AGAIN)
        assert ports <= LIMIT * len(statuses)
    assert statuses == [AGAIN, AGAIN, DONE]
    assert (ports, machine.guest.rcx) == (2 * LIMIT + 3, 0)


def test_a_count_of_the_limit_is_one_exit(machine) -> None:
    machine.guest.rcx = LIMIT
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == DONE
    assert machine.guest.rip == 0x1002


def test_with_the_trap_flag_one_element_is_done(machine) -> None:
    machine.guest.rflags |= TF
    machine.guest.rcx = 2
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == AGAIN
    assert (machine.guest.rcx, machine.guest.rsi, machine.guest.rip) == (1, 0x1001, 0x1000)
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == DONE
    assert (machine.guest.rcx, machine.guest.rip) == (0, 0x1002)


@pytest.mark.parametrize(("word", "read"), [("read", False), ("probe", True), ("write", True)])
def test_a_fault_midway_keeps_what_is_done_and_can_be_restarted(machine, word, read) -> None:
    def third(operand):
        if operand.offset & 0xFFF != 2:
            return DONE
        operand.fault.vector, operand.fault.error_code, operand.fault.address = 14, 6, operand.offset
        operand.fault.has_error_code = True
        return FAULT

    machine.answers[word] = third
    assert machine.io(0x10, 1, read=read, string=True, rep=True) == FAULT
    index = "rdi" if read else "rsi"
    base = 0x2000 if read else 0x1000
    assert machine.events[-1] == ("inject", 14, 6, base + 2)
    assert (machine.guest.rcx, getattr(machine.guest, index), machine.guest.rip) == (3, base + 2, 0x1000)
    done = len([event for event in machine.events if event[0] == "exit"])
    assert done == (3 if word == "write" else 2)
    del machine.answers[word]
    assert machine.io(0x10, 1, read=read, string=True, rep=True) == DONE
    assert (machine.guest.rcx, getattr(machine.guest, index), machine.guest.rip) == (0, base + 5, 0x1002)


def test_memory_that_says_only_fault_means_general_protection(machine) -> None:
    machine.answers["read"] = FAULT
    assert machine.io(0x10, 1, read=False, string=True) == FAULT
    assert machine.events[-1] == ("inject", 13, 0, 0)


def test_pending_memory_is_asked_again_and_nothing_is_lost(machine) -> None:
    machine.answers["read"] = PENDING
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == PENDING
    assert machine.registers()["rcx"] == 5
    machine.answers["read"] = DONE
    assert machine.io(0x10, 1, read=False, string=True, rep=True) == DONE
    assert machine.guest.rcx == 0


def test_memory_that_is_pending_after_the_port_was_read_is_refused(machine) -> None:
    machine.answers["write"] = PENDING
    assert machine.io(0x10, 1, read=True, string=True) == REFUSED
    assert (machine.guest.rdi, machine.guest.rip) == (0x2000, 0x1000)


def test_a_kill_midway_stops_at_once(machine) -> None:
    assert machine.io(0x30, 1, read=False, string=True, rep=True) == KILL
    assert [event[0] for event in machine.events] == ["read", "kill"]
    assert (machine.guest.rcx, machine.guest.rsi, machine.guest.rip) == (5, 0x1000, 0x1000)


def test_what_is_pending_midway_is_counted_once(machine) -> None:
    machine.answers["notify"] = PENDING
    assert machine.io(0x40, 1, read=True, string=True, rep=True) == PENDING
    assert machine.io(0x40, 1, read=True, string=True, rep=True) == PENDING
    machine.answers["notify"] = DONE
    assert machine.io(0x40, 1, read=True, string=True, rep=True) == DONE
    assert machine.vcpu.state[1] == 5


def test_plain_instructions_do_not_look_at_the_operand_fields(machine) -> None:
    assert machine.vmx(30, 0x10 << 16 | 0 | 1 << 3, info=0xFFFFFFFF) == DONE
    assert offsets(machine, "probe") == []
