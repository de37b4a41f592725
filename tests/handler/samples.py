"""Policies for the exit handler's tests, and the handler made of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from policyc.emitters.handler import emit
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import Action, Policy
from tests.demand import need
from tests.semantics.policies import GP, KILL, condition, const, make, profile, rule

TARGETS = ("vmx", "svm", "kvm")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wcast-qual", "-Werror")


def forward(name: str) -> Action:
    return Action("forward", (("handler", name),))


def everything(name: str = "vm") -> Policy:
    """Every action, conditions, two classes of vCPUs, two profiles; and so many ranges that tables have pages."""
    ports = tuple((lo, lo + lo // 16 % 5) for lo in range(0x1000, 0x1200, 16))
    msrs = tuple(
        (first + at, first + at) for first in (0x300, 0xC0000300, 0xC0010300) for at in range(0, 0x1C00, 0x1C0)
    )
    efer = (Action("log", (("rate", 10),)), Action("mask", (("and", 0xFFFF_FFFF_FFFF_FAFF), ("or", 1))))
    comparisons = [
        rule("intercept", "io", 0xA0 + 4 * at, "out", KILL, when=(condition(f"value & 0xffffffff {op} 0x80000041"),))
        for at, op in enumerate(("==", "!=", "<", "<=", ">", ">="))
    ]
    masked = (Action("mask", (("and", 0xFFFF_00FF_FFFF_F0F7), ("or", 0x8008))),)
    both = (condition("value & 0x41 == 0x41"), condition("cpl == 0"))
    made = make(
        rule("intercept", "msr", 0xC0000080, "write", efer, label="efer"),
        rule("intercept", "io", (0x3F8, 0x3FF), None, (Action("count"), forward("uart")), label="com1"),
        rule(
            "intercept",
            "io",
            (0xCF8, 0xCFF),
            0b1000_0000,
            (Action("trace"), forward("vpci")),
            when=(condition("value & 0x80000000 != 0"),),
        ),
        rule("intercept", "io", 0x64, "out", KILL),
        rule("intercept", "io", (0x70, 0x71), None, (Action("shadow", (("init", 0x5A),)),)),
        rule("intercept", "io", 0x80, None, (Action("log", (("rate", 0),)), Action("notify"))),
        rule("intercept", "io", 0x60, "in", const(0xFE)),
        rule("intercept", "io", (0x20, 0x21), None, (Action("drop"),)),
        rule("intercept", "msr", (0x800, 0x8FF), None, (forward("lapic"),)),
        rule("intercept", "msr", (0x1A0, 0x1A3), None, (Action("shadow", (("init", 0x1122334455667788),)),)),
        rule("intercept", "msr", 0x3A, None, GP, vcpus=((0, 0),)),
        rule("intercept", "msr", 0x3B, "read", const(7), profile="hardened"),
        rule("intercept", "io", ports, None, (Action("drop"),)),
        rule("intercept", "msr", msrs, None, (Action("exit"),)),
        rule("intercept", "msr", 0x10, "write", KILL, when=(condition("cpl != 0"),)),
        *comparisons,
        rule("intercept", "io", 0xC0, "out", KILL, when=both),
        rule("intercept", "io", 0xC8, "out", KILL, when=both[:1]),
        # Neighbours that are equally strict: the lowest port decides, unless another is counted.
        rule("intercept", "io", 0xD0, None),
        rule("intercept", "io", 0xD1, None),
        rule("intercept", "io", 0xD4, None, (Action("drop"),)),
        rule("intercept", "io", 0xD5, None, (Action("count"), Action("drop"))),
        # Values for bytes that a rule decides only in part; a condition on the value that a read's 0 would meet.
        rule("intercept", "io", (0xE0, 0xE2), None, masked),
        rule("intercept", "io", (0xFFFE, 0xFFFF), "in", const(0x7766)),
        rule("intercept", "io", (0xE8, 0xEB), None, KILL, when=(condition("value & 0x2 == 0"),)),
        rule("intercept", "io", 0xF0, None, (Action("inject", (("vector", 17),)),)),
        rule("intercept", "msr", 0x20, None, masked),
        rule("intercept", "msr", 0x21, None, (Action("drop"),)),
        rule("intercept", "msr", 0x22, None, KILL, when=(condition("cpl == 3"),)),
        # At the last port, where conditions are asked though the access ends within the space.
        rule("intercept", "io", 0xFFFF, "out", KILL, when=(condition("value & 0x4 != 0"),)),
        # Outside the windows, where runs are searched for.
        rule("intercept", "msr", (0x4B564D01, 0x4B564D04), None, (Action("drop"),)),
        rule("intercept", "msr", 0x4B564D05, None, const(9)),
        profiles=(profile("hardened"),),
    )
    return made._replace(name=name)


def write_handler(policy: Policy, folder: Path, targets: tuple[str, ...] = TARGETS) -> Path:
    """The two files in the folder; the path of the C file."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in emit(policy, {each: decide(policy, each) for each in variants(policy)}, targets):
        (folder / image.name).write_bytes(image.data)
    return folder / "exit_handler.c"


def compiler(name: str) -> str:
    """The path of ``gcc``, ``g++``, ``clang`` or ``clang++``; skips the test without it."""
    found = shutil.which(name)
    need("clang" if "clang" in name else "cc", found is not None, f"apt-get install {name}")
    assert found is not None
    return found


def run(command: Iterable[str], **more: object) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(done.args)}\n{done.stdout}{done.stderr}"
    return done.stdout
