"""What a vCPU remembers: shadows, counters, rate limits, pending answers; and how it is set up and registered with."""

from __future__ import annotations

import ctypes
import random

import pytest

from policyc.semantics.policy import Action
from tests.handler.native import (
    DONE,
    FAULT,
    OUT,
    PENDING,
    WRMSR,
    Hooks,
    MsrHook,
    Native,
    PortHook,
    Registration,
    Registry,
)
from tests.handler.samples import everything
from tests.semantics.policies import condition, defaults, make, profile, rule

SHADOW = "shadow"


def shadow(init: int):
    return (Action(SHADOW, (("init", init),)),)


def rdmsr(machine, index):
    machine.guest.rcx = index
    assert machine.vmx(31) == DONE
    return machine.guest.rdx << 32 | machine.guest.rax


def wrmsr(machine, index, value):
    machine.guest.rcx, machine.guest.rax, machine.guest.rdx = index, value & 0xFFFFFFFF, value >> 32
    assert machine.vmx(32) == DONE


def inp(machine, port, width):
    machine.guest.rax = 0
    assert machine.io(port, width, read=True) == DONE
    return machine.guest.rax


def out(machine, port, width, value):
    machine.guest.rax = value
    assert machine.io(port, width, read=False) == DONE


# shadows


def test_shadowed_ports_are_bytes_of_memory(tmp_path) -> None:
    machine = Native(make(rule("intercept", "io", ((0x70, 0x7B), (0x90, 0x94)), None, shadow(0xC3))), tmp_path)
    memory = dict.fromkeys((*range(112, 124), *range(144, 149)), 195)
    chance = random.Random(1)
    for _ in range(2000):
        port, width = chance.choice(sorted(memory)), chance.choice((1, 2, 4))
        touched = range(port, port + width)
        if any(each not in memory for each in touched):
            continue
        if chance.random() < 0.5:
            value = chance.getrandbits(8 * width)
            out(machine, port, width, value)
            memory |= dict(zip(touched, value.to_bytes(width, "little"), strict=True))
        else:
            assert inp(machine, port, width) == int.from_bytes(bytes(memory[each] for each in touched), "little")
    assert [event for event in machine.events if event[0] == "real"] == []


def test_shadowed_msrs_are_words_and_reset_gives_them_their_value(tmp_path) -> None:
    ranges = ((0x10, 0x13), (0xC0000080, 0xC0000081), (0xFFFFFFFF, 0xFFFFFFFF))
    machine = Native(make(rule("intercept", "msr", ranges, None, shadow(0x1122334455667788))), tmp_path)
    indices = [index for lo, hi in ranges for index in range(lo, hi + 1)]
    assert {rdmsr(machine, index) for index in indices} == {0x1122334455667788}
    for number, index in enumerate(indices):
        wrmsr(machine, index, number << 32 | index)
    assert [rdmsr(machine, index) for index in indices] == [n << 32 | index for n, index in enumerate(indices)]
    machine.function("reset", None)(ctypes.byref(machine.vcpu), machine.profile)
    assert {rdmsr(machine, index) for index in indices} == {0x1122334455667788}
    assert machine.words == 1 + len(indices)


def test_a_wide_reset_value_is_repeated_from_the_begin_of_its_range(tmp_path) -> None:
    dword = 0b1001_0000  # IN and OUT of 4 bytes
    policy = make(
        rule("intercept", "io", (0xCF9, 0xD02), dword, shadow(0x44332211)),
        rule("intercept", "io", (0x200, 0x20F), None, (Action("drop"),)),
    )
    machine = Native(policy, tmp_path)
    assert inp(machine, 0xCF9, 4) == 0x44332211
    assert inp(machine, 0xCFA, 4) == 0x11443322
    assert inp(machine, 0xCFD, 4) == 0x44332211


def test_a_reset_value_begins_with_its_range_wherever_its_cells_are(tmp_path) -> None:
    dword = 0b1001_0000  # IN and OUT of 4 bytes
    first = rule("intercept", "io", (0x10, 0x12), None, shadow(0xEE))
    machine = Native(make(first, rule("intercept", "io", (0x40, 0x43), dword, shadow(0x44332211))), tmp_path)
    assert inp(machine, 0x40, 4) == 0x44332211


def test_rules_that_shadow_one_register_share_its_cell(tmp_path) -> None:
    machine = Native(
        make(
            rule("intercept", "msr", 0x10, "read", shadow(5)),
            rule("intercept", "msr", (0x10, 0x11), "write", shadow(7)),
            rule("intercept", "msr", 0x11, "read", shadow(8), profile="other"),
            profiles=(profile("other"),),
        ),
        tmp_path,
    )
    assert rdmsr(machine, 0x10) == 5
    wrmsr(machine, 0x10, 99)
    wrmsr(machine, 0x11, 98)
    assert rdmsr(machine, 0x10) == 99
    machine.choose("other")
    assert (rdmsr(machine, 0x10), rdmsr(machine, 0x11)) == (99, 98)
    machine.function("reset", None)(ctypes.byref(machine.vcpu), machine.profile)
    assert (rdmsr(machine, 0x10), rdmsr(machine, 0x11)) == (5, 7)


def test_a_reset_leaves_counters_alone(tmp_path) -> None:
    policy = make(
        rule("intercept", "msr", 0x10, None, shadow(0)),
        rule("intercept", "io", 0x80, None, (Action("count"), Action("drop"))),
    )
    machine = Native(policy, tmp_path)
    out(machine, 0x80, 1, 0)
    machine.function("reset", None)(ctypes.byref(machine.vcpu), machine.profile)
    assert list(machine.vcpu.state) == [0, 1, 0]


def test_counters_of_defaults_do_not_share_words_with_shadows(tmp_path) -> None:
    counted = (Action("count"), Action("drop"))
    own = defaults(counted, counted, counted)
    policy = make(
        rule("intercept", "msr", (0x10, 0x11), None, shadow(3)), rule("intercept", "io", 0x70, None, shadow(4)), own=own
    )
    machine = Native(policy, tmp_path)
    out(machine, 0x80, 1, 0)
    rdmsr(machine, 0x174)
    rdmsr(machine, 0x174)
    for _ in range(3):
        rdmsr(machine, 0x40000000)
    assert list(machine.vcpu.state) == [0, 2, 1, 3, 3, 3, 4]


# log, count, trace


def test_log_lets_rate_events_through_each_second_and_tells_how_many_it_held_back(tmp_path) -> None:
    machine = Native(
        make(rule("intercept", "io", 0x80, "out", (Action("log", (("rate", 2),)), Action("drop")))), tmp_path
    )

    def logged(times):
        found = []
        for _ in range(times):
            out(machine, 0x80, 1, 0)
            found += [event[2] for event in machine.events if event[0] == "log"]
        return found

    machine.clock = 100
    assert logged(5) == [0, 0]
    machine.clock = 101
    assert logged(1) == [3]
    machine.clock = 105
    assert logged(3) == [0, 0]
    machine.clock = 0  # a clock set back is another second
    assert logged(1) == [1]


def test_an_unlimited_log_does_not_ask_the_clock(tmp_path) -> None:
    machine = Native(
        make(rule("intercept", "io", 0x80, "out", (Action("log", (("rate", 0),)), Action("drop")))), tmp_path
    )
    machine.hooks.seconds = type(machine.hooks.seconds)()
    assert machine.init()
    for _ in range(100):
        out(machine, 0x80, 1, 0)
        assert machine.events == [("log", 0x80, 0)]


def test_actions_before_the_last_run_in_the_order_written(tmp_path) -> None:
    chain = (Action("trace"), Action("count"), Action("log", (("rate", 0),)), Action("exit"))
    machine = Native(make(rule("intercept", "msr", 0x10, "write", chain)), tmp_path)
    wrmsr(machine, 0x10, 0x1_0000_0002)
    assert machine.events == [("trace", 0x10), ("log", 0x10, 0), ("exit", WRMSR, 0x10, 8, 0x1_0000_0002, 1)]
    assert list(machine.vcpu.state) == [0, 1]


def test_counters_of_different_rules_and_a_limited_log_do_not_share_words(tmp_path) -> None:
    limited = Action("log", (("rate", 9),))
    machine = Native(
        make(
            rule("intercept", "io", 0x10, None, (limited, Action("drop"))),
            rule("intercept", "io", 0x11, None, (Action("count"), limited, Action("drop"))),
            rule("intercept", "io", 0x12, None, (Action("count"), Action("drop"))),
        ),
        tmp_path,
    )
    machine.clock = 7
    for port, times in ((0x10, 1), (0x11, 2), (0x12, 3)):
        for _ in range(times):
            out(machine, port, 1, 0)
    assert list(machine.vcpu.state) == [0, 7, 1, 2, 7, 2, 3]


def test_what_was_pending_is_logged_and_counted_once(tmp_path) -> None:
    chain = (Action("count"), Action("log", (("rate", 0),)), Action("notify"))
    machine = Native(make(rule("intercept", "msr", 0x10, None, chain)), tmp_path)
    machine.guest.rcx = 0x10
    machine.answers["notify"] = PENDING
    assert machine.vmx(31) == PENDING
    assert [event[0] for event in machine.events] == ["log", "notify"]
    machine.answers["notify"] = DONE
    assert machine.vmx(31) == DONE
    assert [event[0] for event in machine.events] == ["notify"]
    assert machine.vmx(31) == DONE
    assert [event[0] for event in machine.events] == ["log", "notify"]
    assert list(machine.vcpu.state) == [0, 2]


COUNTED = (Action("count"), Action("notify"))


@pytest.fixture
def counting(tmp_path):
    """An access that counts and is pending already: IN of a byte at 0x40, by the first of three rules that count."""
    policy = make(
        rule("intercept", "io", 0x40, None, COUNTED, when=(condition("value < 0x10"),)),
        rule("intercept", "io", (0x40, 0x41), None, COUNTED),
        rule("intercept", "msr", 0x10, None, COUNTED),
    )
    machine = Native(policy, tmp_path)
    machine.answers["notify"] = PENDING
    machine.guest.rax = 1
    assert machine.io(0x40, 1, read=False) == PENDING
    assert list(machine.vcpu.state)[1:] == [1, 0, 0]
    machine.answers["notify"] = DONE
    return machine


def test_another_access_than_the_pending_one_is_counted(counting) -> None:
    rdmsr(counting, 0x10)
    assert list(counting.vcpu.state) == [0, 1, 0, 1]


def test_the_pending_access_with_a_value_that_another_rule_decides_is_counted_there(counting) -> None:
    out(counting, 0x40, 1, 0x20)
    assert list(counting.vcpu.state) == [0, 1, 1, 0]


def test_another_address_of_the_pending_rule_is_counted(counting) -> None:
    counting.answers["notify"] = PENDING
    assert counting.io(0x40, 1, read=True) == PENDING
    assert counting.io(0x41, 1, read=True) == PENDING
    assert counting.io(0x41, 1, read=True) == PENDING
    assert list(counting.vcpu.state)[1:] == [1, 2, 0]


def test_a_reset_forgets_what_was_pending(counting) -> None:
    counting.function("reset", None)(ctypes.byref(counting.vcpu), counting.profile)
    out(counting, 0x40, 1, 1)
    assert list(counting.vcpu.state) == [0, 2, 0, 0]


def test_a_fault_of_memory_forgets_what_was_pending(counting) -> None:
    counting.answers["notify"] = PENDING
    counting.answers["read"] = DONE
    assert counting.io(0x41, 1, read=False, string=True) == PENDING
    counting.answers["read"] = FAULT
    assert counting.io(0x41, 1, read=False, string=True) == FAULT
    assert list(counting.vcpu.state) == [0, 1, 1, 0]


# set-up, classes, profiles


@pytest.mark.parametrize("name", [name for name, _ in Hooks._fields_])
def test_a_hook_that_the_policy_needs_must_be_given(name, tmp_path) -> None:
    machine = Native(everything(), tmp_path)
    setattr(machine.hooks, name, type(getattr(machine.hooks, name))())
    assert not machine.init()


def test_hooks_that_the_policy_cannot_reach_may_be_missing(tmp_path) -> None:
    machine = Native(make(), tmp_path)
    for name in ("notify", "kill", "log", "trace", "seconds"):
        setattr(machine.hooks, name, type(getattr(machine.hooks, name))())
    assert machine.init()


def test_every_vcpu_number_belongs_to_the_class_that_the_policy_says(tmp_path) -> None:
    policy = make(
        rule("intercept", "io", 0x10, None, (Action("kill"),), vcpus=((0, 0), (4, 7))),
        rule("intercept", "io", 0x11, None, (Action("kill"),), vcpus=((7, 9), (4095, 4095))),
    )
    names = [each.name for each in policy.vcpu_classes]
    for number in (0, 1, 3, 4, 6, 7, 8, 9, 10, 4094, 4095, 4096, 0xFFFFFFFF):
        machine = Native(policy, tmp_path, vcpu=number)
        want = next(
            (n for n, each in enumerate(policy.vcpu_classes) if any(lo <= number <= hi for lo, hi in each.vcpus)),
            names.index("rest"),
        )
        assert machine.vcpu.vcpu_class == want


def test_switching_the_profile_is_one_pointer(tmp_path) -> None:
    machine = Native(everything(), tmp_path, vcpu=5)
    assert rdmsr(machine, 0x3B) == 0x1122334455667788
    machine.choose("hardened")
    assert rdmsr(machine, 0x3B) == 7


# handlers registered at run time


def registered(machine, log, capacity=8):
    slots = (Registration * capacity)()
    registry = Registry(slots, capacity, 0)
    machine.keep.append((slots, registry))
    machine.vcpu.registry = ctypes.pointer(registry)
    add, remove = machine.function("register", ctypes.c_bool), machine.function("unregister", ctypes.c_bool)

    def entry(kind, first, last, both=False):
        def called(context, access):
            log.append((kind, context, access[0].value))
            access[0].value = 0x77
            return DONE

        msr = MsrHook(called) if kind == "msr" or both else MsrHook()
        port = PortHook(called) if kind == "io" or both else PortHook()
        machine.keep.append((msr, port))
        return Registration(first, last, msr, port, first + 1)

    return (
        registry,
        lambda *args, **more: add(ctypes.byref(registry), ctypes.byref(entry(*args, **more))),
        lambda *args: remove(ctypes.byref(registry), ctypes.byref(entry(*args))),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def machine(folder):
    policy = make(rule("intercept", "io", (0x100, 0x1FF), None), rule("intercept", "msr", (0x100, 0x1FF), None))
    return Native(policy, folder)


def test_a_registered_handler_answers_in_place_of_the_default_hook(machine) -> None:
    log = []
    _, add, remove = registered(machine, log)
    assert add("io", 0x110, 0x117)
    assert add("msr", 0x110, 0x110)
    out(machine, 0x110, 4, 0x12345678)
    assert (log, machine.events) == ([("io", 0x111, 0x12345678)], [])
    assert inp(machine, 0x117, 1) == 0x77
    assert rdmsr(machine, 0x110) == 0x77
    assert [entry[0] for entry in log] == ["io", "io", "msr"]
    assert remove("io", 0x110, 0)
    out(machine, 0x110, 4, 0x12345678)
    assert [event[0] for event in machine.events] == ["exit"]


@pytest.mark.parametrize(("port", "width"), [(0x10F, 2), (0x10E, 4), (0x114, 4), (0x117, 2), (0x118, 1), (0x10F, 1)])
def test_an_access_that_leaves_the_registered_range_goes_to_the_default_hook(machine, port, width) -> None:
    log = []
    _, add, _ = registered(machine, log)
    assert add("io", 0x110, 0x116)
    out(machine, port, width, 0)
    assert (log, [event[:3] for event in machine.events]) == ([], [("exit", OUT, port)])


def test_overlaps_malformed_entries_and_a_full_registry_are_refused(machine) -> None:
    registry, add, remove = registered(machine, [], capacity=4)
    assert add("io", 0x110, 0x117)
    for first, last in ((0x110, 0x117), (0x117, 0x118), (0x100, 0x110), (0x112, 0x113), (0x100, 0x200)):
        assert not add("io", first, last)
    assert add("msr", 0x110, 0x117)
    assert not add("io", 0x118, 0x117)
    assert not add("io", 0x10000, 0x10000)
    assert not add("io", 0xFFFF, 0x10000)
    assert not add("io", 0x200, 0x200, both=True)
    assert not add("neither", 0x200, 0x200)
    assert registry.used == 2
    assert add("io", 0x118, 0x118)
    assert add("io", 0x10F, 0x10F)
    assert not add("io", 0x200, 0x200)
    assert not remove("io", 0x111, 0x117)
    assert not remove("msr", 0x118, 0x118)
    assert remove("io", 0x118, 0x118)
    assert add("io", 0xFFFF, 0xFFFF)


def test_the_registry_is_a_set_of_disjoint_ranges_whatever_the_order(machine) -> None:
    chance = random.Random(7)
    registry, add, remove = registered(machine, [], capacity=64)
    known = {}
    for _ in range(600):
        kind, first = chance.choice(("io", "msr")), chance.randrange(0, 300)
        last = first + chance.randrange(0, 6)
        clash = any(k == kind and f <= last and first <= end for (k, f), end in known.items())
        if chance.random() < 0.7:
            assert add(kind, first, last) == (not clash and len(known) < 64)
            if not clash and len(known) < 64:
                known[kind, first] = last
        else:
            assert remove(kind, first, last) == ((kind, first) in known)
            known.pop((kind, first), None)
    slots = [registry.slots[i] for i in range(registry.used)]
    assert [(each.first, each.last) for each in slots] == [
        (first, last) for (_, first), last in sorted(known.items(), key=lambda pair: (pair[0][0] == "msr", pair[0][1]))
    ]
