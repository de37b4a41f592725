"""A generated handler as a shared object, its structures by ctypes: for scenarios of a few exits."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policyc.emitters import ctext, header, layout
from policyc.emitters.rows import profile_name
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import Policy
from policyc.vocabulary.access import MSR
from tests.handler.samples import TARGETS, compiler, run, write_handler

DONE, AGAIN, FAULT, PENDING, KILL, REFUSED = range(6)
RDMSR, WRMSR, IN, OUT = range(4)
READ, PROBE, WRITE = range(3)
TF, DF = 1 << 8, 1 << 10


def structure(name: str, *fields: tuple[str, Any]) -> Any:
    return type(name, (c.Structure,), {"_fields_": list(fields)})


Fault = structure(
    "Fault", ("address", c.c_uint64), ("error_code", c.c_uint32), ("vector", c.c_uint8), ("has_error_code", c.c_bool)
)
Access = structure(
    "Access", ("value", c.c_uint64), ("address", c.c_uint32), ("line", c.c_uint32), ("file", c.c_uint16),
    ("kind", c.c_uint8), ("width", c.c_uint8), ("cpl", c.c_uint8), ("fault", Fault),
)  # fmt: skip
Msr = structure(
    "Msr", ("value", c.c_uint64), ("index", c.c_uint32), ("cpl", c.c_uint8), ("write", c.c_bool), ("fault", Fault)
)
Port = structure(
    "Port", ("value", c.c_uint32), ("port", c.c_uint16), ("width", c.c_uint8), ("cpl", c.c_uint8), ("write", c.c_bool),
    ("fault", Fault),
)  # fmt: skip
Operand = structure(
    "Operand", ("offset", c.c_uint64), ("value", c.c_uint32), ("operation", c.c_uint8), ("segment", c.c_uint8),
    ("width", c.c_uint8), ("address_bytes", c.c_uint8), ("cpl", c.c_uint8), ("fault", Fault),
)  # fmt: skip
AccessHook = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Access))
SilentHook = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Access))
LogHook = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Access), c.c_uint32)
ClockHook = c.CFUNCTYPE(c.c_uint64, c.c_void_p)
MsrHook = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Msr))
PortHook = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Port))
MemoryHook = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Operand))
InjectHook = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Fault))
Hooks = structure(
    "Hooks", ("exit", AccessHook), ("notify", AccessHook), ("kill", SilentHook), ("log", LogHook),
    ("trace", SilentHook), ("seconds", ClockHook), ("msr", MsrHook), ("port", PortHook), ("memory", MemoryHook),
    ("inject", InjectHook),
)  # fmt: skip
Registration = structure(
    "Registration", ("first", c.c_uint32), ("last", c.c_uint32), ("msr", MsrHook), ("port", PortHook),
    ("context", c.c_void_p),
)  # fmt: skip
Registry = structure("Registry", ("slots", c.POINTER(Registration)), ("capacity", c.c_uint32), ("used", c.c_uint32))
Guest = structure(
    "Guest", ("rax", c.c_uint64), ("rcx", c.c_uint64), ("rdx", c.c_uint64), ("rsi", c.c_uint64), ("rdi", c.c_uint64),
    ("rip", c.c_uint64), ("rflags", c.c_uint64), ("cpl", c.c_uint8), ("long_mode", c.c_bool),
)  # fmt: skip
VmxExit = structure(
    "VmxExit", ("qualification", c.c_uint64), ("reason", c.c_uint32), ("instruction_length", c.c_uint32),
    ("instruction_info", c.c_uint32),
)  # fmt: skip
SvmExit = structure(
    "SvmExit", ("exit_code", c.c_uint64), ("info1", c.c_uint64), ("info2", c.c_uint64), ("next_rip", c.c_uint64)
)
KvmIo = structure(
    "KvmIo", ("data", c.POINTER(c.c_uint8)), ("count", c.c_uint32), ("done", c.c_uint32), ("port", c.c_uint16),
    ("direction", c.c_uint8), ("size", c.c_uint8), ("cpl", c.c_uint8),
)  # fmt: skip
KvmMsr = structure(
    "KvmMsr", ("data", c.c_uint64), ("index", c.c_uint32), ("error", c.c_uint8), ("cpl", c.c_uint8),
    ("write", c.c_bool),
)  # fmt: skip


class Native:
    """One vCPU of a policy. Every hook is a method of the machine, which records calls in ``log``.

    answers: name of a hook to what it returns (a status, or a function of the access that returns one).
    """

    def __init__(self, policy: Policy, folder: Path, *, vcpu: int = 0, profile: str | None = None) -> None:
        source = write_handler(policy, folder)
        self.prefix = ctext.prefix(policy.name)
        laid = layout.lay_out(policy, {each: decide(policy, each) for each in variants(policy)})
        self.words = laid.words
        handlers = header.handlers(laid)
        kinds = {name: "msr" if space == MSR else "port" for name, space in handlers.items()}
        (folder / "handlers.c").write_text(
            '#include "exit_handler.h"\n'
            + "".join(
                f"policyc_{kind}_handler *{name}_set;\n"
                f"enum policyc_status {name}(void *c, struct policyc_{kind} *a) {{ return {name}_set(c, a); }}\n"
                for name, kind in kinds.items()
            ),
            encoding="ascii",
        )
        library = folder / "handler.so"
        if not library.exists():  # the machines of one test module share a folder
            run([compiler("gcc"), "-std=c11", "-O0", "-shared", "-fPIC", source, folder / "handlers.c", "-o", library])
        self.library = c.CDLL(str(library))
        self.events: list[tuple[Any, ...]] = []
        self.answers: dict[str, int | Callable[[Any], int]] = {}
        self.values: dict[str, int] = {"real": 0x1122334455667788, "hook": 0x99AABBCCDDEEFF00}
        self.clock = 0
        self.keep: list[Any] = []
        self.hooks = Hooks(
            AccessHook(self.on_exit), AccessHook(self.on_notify), SilentHook(self.on_kill), LogHook(self.on_log),
            SilentHook(self.on_trace), ClockHook(lambda _: self.clock), MsrHook(self.on_msr), PortHook(self.on_port),
            MemoryHook(self.on_memory), InjectHook(self.on_inject),
        )  # fmt: skip
        for name, kind in kinds.items():
            hook = MsrHook(self.handler(name)) if kind == "msr" else PortHook(self.handler(name))
            self.keep.append(hook)
            c.c_void_p.in_dll(self.library, f"{name}_set").value = c.cast(hook, c.c_void_p).value
        vcpu_type = structure(
            "Vcpu", ("hooks", c.POINTER(Hooks)), ("context", c.c_void_p), ("registry", c.POINTER(Registry)),
            ("vcpu_class", c.c_uint32), ("state", c.c_uint64 * self.words),
        )  # fmt: skip
        self.vcpu = vcpu_type()
        self.vcpu_number = vcpu
        assert self.init()
        self.choose(profile)
        self.function("reset", None)(c.byref(self.vcpu), self.profile)
        self.guest = Guest(rip=0x1000, rflags=2, long_mode=True)

    def function(self, name: str, result: Any = c.c_int) -> Any:
        found = getattr(self.library, f"{self.prefix}_{name}")
        found.restype = result
        return found

    def init(self) -> bool:
        init = self.function("init", c.c_bool)
        return bool(init(c.byref(self.vcpu), c.c_uint32(self.vcpu_number), c.byref(self.hooks), None))

    def choose(self, profile: str | None) -> None:
        self.profile = c.byref(c.c_char.in_dll(self.library, profile_name(self.prefix, profile)))

    # hooks

    def answer(self, name: str, access: Any, value: int | None = None) -> int:
        if value is not None:
            access.value = value
        given = self.answers.get(name, DONE)
        return given(access) if callable(given) else given

    def on_exit(self, _: Any, access: Any) -> int:
        return self.told("exit", access[0])

    def on_notify(self, _: Any, access: Any) -> int:
        return self.told("notify", access[0])

    def told(self, name: str, access: Any) -> int:
        self.events.append((name, access.kind, access.address, access.width, access.value, access.line))
        return self.answer(name, access, self.values["hook"])

    def on_kill(self, _: Any, access: Any) -> None:
        self.events.append(("kill", access[0].address))

    def on_log(self, _: Any, access: Any, suppressed: int) -> None:
        self.events.append(("log", access[0].address, suppressed))

    def on_trace(self, _: Any, access: Any) -> None:
        self.events.append(("trace", access[0].address))

    def on_msr(self, _: Any, access: Any) -> int:
        each = access[0]
        self.events.append(("real", WRMSR if each.write else RDMSR, each.index, 8, each.value))
        return self.answer("msr", each, self.values["real"])

    def on_port(self, _: Any, access: Any) -> int:
        each = access[0]
        self.events.append(("real", OUT if each.write else IN, each.port, each.width, each.value))
        return self.answer("port", each, self.values["real"] & 0xFFFFFFFF)

    def handler(self, name: str) -> Callable[[Any, Any], int]:
        def called(context: Any, access: Any) -> int:
            each = access[0]
            at = each.port if hasattr(each, "port") else each.index
            self.events.append((name, each.write, at, each.value))
            return self.answer(name, each, self.values["hook"] & 0xFFFFFFFF)

        return called

    def on_memory(self, _: Any, operand: Any) -> int:
        each = operand[0]
        word = ("read", "probe", "write")[each.operation]
        self.events.append((word, each.segment, each.offset, each.width, each.address_bytes, each.value))
        return self.answer(word, each)

    def on_inject(self, _: Any, fault: Any) -> None:
        each = fault[0]
        self.events.append(("inject", each.vector, each.error_code if each.has_error_code else None, each.address))

    # exits

    def vmx(self, reason: int, qualification: int = 0, length: int = 2, info: int = 0) -> int:
        self.events.clear()
        exit_ = VmxExit(qualification, reason, length, info)
        return int(self.function("vmx_exit")(c.byref(self.vcpu), self.profile, c.byref(self.guest), c.byref(exit_)))

    def svm(self, code: int, info1: int = 0, info2: int = 0, next_rip: int = 0) -> int:
        self.events.clear()
        exit_ = SvmExit(code, info1, info2, next_rip)
        return int(self.function("svm_exit")(c.byref(self.vcpu), self.profile, c.byref(self.guest), c.byref(exit_)))

    def kvm_io(self, io: Any) -> int:
        self.events.clear()
        return int(self.function("kvm_io")(c.byref(self.vcpu), self.profile, c.byref(io)))

    def io(self, port: int, width: int, *, read: bool, string: bool = False, rep: bool = False, size: int = 8) -> int:
        """A VMX exit for an I/O instruction; size: bytes of a string operand's address."""
        qualification = {1: 0, 2: 1, 4: 3}[width] | read << 3 | string << 4 | rep << 5 | port << 16
        info = {2: 0, 4: 1, 8: 2}[size] << 7 | 3 << 15
        return self.vmx(30, qualification, info=info)

    def registers(self) -> dict[str, int]:
        return {name: getattr(self.guest, name) for name, _ in Guest._fields_ if name not in ("cpl", "long_mode")}


__all__ = ["TARGETS", "Native"]
