"""An unmodified VMM under a bundle's policy: started with the library inside, watched, and reported on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.bundle.read import Bundle
from policyc.runtime import shared
from policyc.runtime.decisions import Decider, Question, decider_of
from policyc.runtime.endings import CRASHED, ENDED, INTERRUPTED, KILLED, TIMEOUT, Ending
from policyc.runtime.filter import IMAGE, Filter, read_filter
from policyc.runtime.force import Force, Seen
from policyc.runtime.library import library
from policyc.runtime.session import Exit, Report
from policyc.semantics.policy import DEFAULT_RULE, STRICTNESS
from policyc.vocabulary.access import IO, Access
from policyc.vocabulary.diagnostic import UnreadableError

if TYPE_CHECKING:
    from policyc.runtime.lines import Lines

_PORTS = 1 << 16
_PAUSE = 0.02
"""Seconds between two looks at what the library tells; its ring holds thousands of records."""
_GRACE = 5.0
"""Seconds that a VMM has to end after SIGTERM, before SIGKILL."""


class Preloaded:
    """KVM as another program uses it."""

    name = "kvm, through the VMM"
    targets: tuple[str, ...] = ("kvm",)
    simulated = False


class Governed:
    """One VMM. words: its command line. lines: who hears of everything; its ``exits`` asks for a line each."""

    def __init__(self, bundle: Bundle, profile: str | None, words: Sequence[str], lines: Lines) -> None:
        self._words = [program(words[0]), *words[1:]]
        self.backend = Preloaded()
        self.force = Force(bundle, profile, 0, self.backend)
        self._lines = lines
        self._deciders = Deciders(self.force)
        self._filter = _one_filter(bundle, profile)
        self._seen: dict[tuple[str, int, int, bool], Seen] = {}
        self.lost = 0
        """Lines of the report that the library had no room for, as they were read too slowly. Counts are never lost."""
        self._told = 0
        self._killed: Ending | None = None

    def notes(self) -> tuple[str, ...]:
        first, last = X2APIC_FIRST, X2APIC_LAST
        return (
            f"MSRs {first:#x}..{last:#x} (x2APIC): KVM never filters them, so no access to them is seen",
            "ports of devices that the VMM leaves to the kernel: these make no exit",
        )

    def run(self, timeout: float | None) -> Report:
        """Run the VMM to its end. Raises UnreadableError where it was refused its machine."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="policyc-exec-"))
            path, passing = library(self.force.bundle, self.force.profile)
            if passing:
                stack.callback(shutil.rmtree, os.path.dirname(path), True)
            flags = shared.TELL_ALL * self._lines.exits | shared.ASKS_CPL * self.force.decisions.asks_cpl
            told = shared.Shared(folder, self._filter, _bits(self.force), flags)
            stack.callback(told.close)
            return self._watched(told, path, timeout)

    def _watched(self, told: shared.Shared, path: str, timeout: float | None) -> Report:
        preload = " ".join(word for word in (path, os.environ.get("LD_PRELOAD", "")) if word)
        environment = os.environ | {"LD_PRELOAD": preload, "POLICYC_EXEC": told.path}
        began = time.monotonic()
        self._lines.begun(self)
        self._lines.stream.flush()
        try:
            vmm = subprocess.Popen(self._words, env=environment)
        except OSError as reason:
            raise UnreadableError(f"{self._words[0]} cannot be run: {reason.strerror}") from None
        try:
            ending = self._wait(vmm, told, began, timeout)
        finally:
            if vmm.poll() is None:
                vmm.kill()
                vmm.wait()
        self._tell(told, began, last=True)
        self.lost = told.number("lost")
        if told.number("refused") and not told.number("machines"):
            raise UnreadableError("the VMM was refused its machine: the policy could not be put in force")
        return self._report(told, self._killed or ending, time.monotonic() - began)

    def _wait(self, vmm: subprocess.Popen[bytes], told: shared.Shared, began: float, timeout: float | None) -> Ending:
        """Until the VMM has ended; it is asked to by whatever ends the run."""
        cause: Ending | None = None
        asked = 0.0
        while True:
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    vmm.wait(_PAUSE)
                self._tell(told, began)
            except KeyboardInterrupt:
                cause = cause or Ending(INTERRUPTED, "asked to by a signal")
            if vmm.returncode is not None:
                return cause or _ending(vmm.returncode)
            now = time.monotonic()
            if timeout is not None and cause is None and now - began > timeout:
                cause = Ending(TIMEOUT, f"the time of {timeout:g} s was over")
            if cause is None and told.number("killed"):
                cause = Ending(KILLED, "the policy stopped the machine")
            if cause is not None and not asked:
                asked = now
                vmm.send_signal(signal.SIGTERM)
            if asked and now - asked > _GRACE:
                vmm.kill()

    # What the library tells.

    def _tell(self, told: shared.Shared, began: float, *, last: bool = False) -> None:
        for each in told.records(last=last):
            decider = self._deciders.of(each.rule, each.kind)
            access = Access(each.kind, each.address, each.width, each.value, 0)
            if each.what == shared.LOG:
                self._lines.log(decider, access, each.suppressed)
            elif each.what == shared.TRACE:
                self._lines.trace(decider, access)
            elif each.what == shared.KILL:
                text = f"the policy stopped the guest: {decider.title} says kill for {each.kind} {each.address:#x}"
                self._killed = self._killed or Ending(KILLED, text)
            else:
                self._exit(each, decider, began)
        self._lines.stream.flush()

    def _exit(self, record: shared.Record, decider: Decider, began: float) -> None:
        self._told += 1
        seen = self._see(record.kind, record.address, record.width, record.traps)
        action = STRICTNESS[record.action] if record.action < len(STRICTNESS) else "?"
        self._lines.exit(
            Exit(
                self._told, record.seconds - began, seen, record.value, decider if record.traps else None, action,
                record.answer, record.fault,
            )
        )  # fmt: skip

    def _see(self, kind: str, address: int, width: int, traps: bool) -> Seen:
        key = (kind, address, width, traps)
        found = self._seen.get(key)
        if found is None:
            question = Question((), kind in ("out", "wrmsr"), False)
            found = self._seen[key] = Seen(kind, address, width, traps, question, None)
        return found

    def _report(self, told: shared.Shared, ending: Ending, seconds: float) -> Report:
        rules: dict[str, int] = {}
        counters: dict[str, int] = {}
        for each in told.counts():
            if not each.traps:
                continue
            decider = self._deciders.of(each.rule, each.kind)
            self._see(each.kind, each.address, each.width, True).count += each.exits
            rules[decider.title] = rules.get(decider.title, 0) + each.exits
            if any(action.name == "count" for action in decider.actions):
                counters[decider.title] = counters.get(decider.title, 0) + each.exits
        found = sorted(self._seen.values(), key=lambda each: (-each.count, each.kind, each.address))
        trapped = [each for each in found if each.traps]
        other = told.number("other")
        return Report(
            ending,
            seconds,
            told.number("exits") + other,
            tuple(sorted(rules.items(), key=lambda each: (-each[1], each[0]))),
            tuple(each for each in trapped if each.kind in ("in", "out")),
            tuple(each for each in trapped if each.kind in ("rdmsr", "wrmsr")),
            told.number("unlisted"),
            told.number("let_through"),
            {"exits for the VMM alone": other} if other else {},
            counters,
            (),
        )


class Deciders:
    """Who stands behind the numbers of the exit handler's table: the rules in use, in their order, then defaults."""

    def __init__(self, force: Force) -> None:
        document = force.bundle.manifest.document
        used = {
            rule
            for variant in document["variants"]
            for number in variant["decisions"].values()
            for _, _, chain in document["decisions"][number]
            for rule in chain
            if rule != DEFAULT_RULE
        }
        self._rules = [decider_of(document["rules"][each]) for each in sorted(used)]
        self._decisions = force.decisions

    def of(self, rule: int, kind: str) -> Decider:
        if rule < len(self._rules):
            return self._rules[rule]
        if rule == shared.PAST_LAST_PORT:
            return self._decisions.past_last_port
        return self._decisions.io_default if kind in ("in", "out") else self._decisions.msr_default


def program(word: str) -> str:
    """The VMM's file. Raises UnreadableError for one that is not there, or that no library can be loaded into."""
    found = shutil.which(word)
    if found is None:
        raise UnreadableError(f"there is no program {word}")
    if os.stat(found).st_mode & 0o6000:
        raise UnreadableError(f"{found} is set-user-ID: no library is loaded into it, so no policy would be in force")
    try:
        with open(found, "rb") as stream:
            start = stream.read(4096)
    except OSError as reason:
        raise UnreadableError(f"cannot read {found}: {reason.strerror}") from None
    if start[:4] == b"\x7fELF" and not _has_interpreter(start):
        raise UnreadableError(f"{found} is no dynamic 64-bit program: no library can be loaded into it")
    return found


def _has_interpreter(start: bytes) -> bool:
    """Whether a 64-bit ELF file has a PT_INTERP (3) program header among those in its first page."""
    if start[4:6] != b"\x02\x01":
        return False
    at, size, count = (int.from_bytes(start[lo:hi], "little") for lo, hi in ((32, 40), (54, 56), (56, 58)))
    return any(start[at + each * size : at + each * size + 4] == b"\x03\0\0\0" for each in range(count))


def _one_filter(bundle: Bundle, profile: str | None) -> Filter:
    """KVM's filter is the whole machine's, so all vCPUs must have the same. Ports: what the library cannot do yet."""
    found = {each.images["kvm"][IMAGE]: None for each in bundle.manifest.variants if each.profile == profile}
    images = {bundle.file(path) for path in found}
    if len(images) != 1:
        raise UnreadableError("the policy gives vCPUs different MSR filters, and KVM has one for the whole machine")
    for rule in bundle.manifest.document["rules"]:
        decider = decider_of(rule)
        if rule["space"] == IO and decider.actions[-1].name == "inject":
            raise UnreadableError(f"{decider.title} injects an exception on a port, which exec cannot do; use drop")
    return read_filter(images.pop())


def _bits(force: Force) -> bytes:
    """A bit for each port that the image traps."""
    bits = bytearray(_PORTS // 8)
    for port in range(_PORTS):
        if force.port_traps(port, 1):
            bits[port >> 3] |= 1 << (port & 7)
    return bytes(bits)


def _ending(status: int) -> Ending:
    if status == 0:
        return Ending(ENDED, "the VMM ended")
    if status < 0:
        return Ending(CRASHED, f"the VMM was ended by signal {-status}", status)
    return Ending(CRASHED, f"the VMM ended with status {status}", status)
