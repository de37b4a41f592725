"""An unmodified VMM under a bundle's policy: started with the library inside, watched, and reported on."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.bundle.read import Bundle
from policyc.runtime import shared
from policyc.runtime.auto import Auto
from policyc.runtime.decisions import Decider, Question, decider_of
from policyc.runtime.endings import CRASHED, ENDED, INTERRUPTED, KILLED, TIMEOUT, Ending
from policyc.runtime.filter import IMAGE, Filter, read_filter
from policyc.runtime.force import Force, Seen
from policyc.runtime.library import handler, preload, profiles
from policyc.runtime.lines import Lines
from policyc.runtime.session import Exit, Report, Switch
from policyc.semantics.policy import DEFAULT_RULE, STRICTNESS
from policyc.vocabulary.access import Access
from policyc.vocabulary.diagnostic import UnreadableError

_PORTS = 1 << 16
_PAUSE = 0.02
"""Seconds between two looks at what the library tells, unless it rings; its ring holds thousands of records."""
_GRACE = 5.0
"""Seconds that a VMM has to end after SIGTERM, before SIGKILL."""
_PATIENCE = 5.0
"""Seconds that each process of the VMM has to answer an order."""


class Preloaded:
    """KVM as another program uses it."""

    name = "kvm, through the VMM"
    targets: tuple[str, ...] = ("kvm",)
    simulated = False


class Epoch:
    """One policy, as it is or was in force: a profile of a bundle. number: of its file. base: of its rules' numbers."""

    def __init__(self, number: int, base: int, force: Force) -> None:
        self.number = number
        self.base = base
        self.force = force
        self.filter = _one_filter(force)
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
        # Behind the rules in use the handler's table has the defaults of each profile, and one for the last port.
        self.count = len(self._rules) + 4 * len(profiles(force.bundle)) + 2

    def decider(self, rule: int, kind: str) -> Decider:
        """Who stands behind a number of the handler's table: the rules in use, in their order, then defaults."""
        decisions = self.force.decisions
        if rule - self.base < len(self._rules):
            return self._rules[rule - self.base]
        if rule - self.base == self.count - 1:
            return decisions.past_last_port
        return decisions.io_default if kind in ("in", "out") else decisions.msr_default

    def file(self, spare: str) -> shared.PolicyFile:
        """As the library takes it; builds the exit handler if need be."""
        bundle, profile = self.force.bundle, self.force.profile
        return shared.PolicyFile(
            handler(bundle, spare), profiles(bundle).index(profile), self.force.decisions.asks_cpl, self.filter,
            self.base, self.count, _bits(self.force),
        )  # fmt: skip


class Governed:
    """One VMM. words: its command line. lines: who hears of everything; its ``exits`` asks for a line each.

    autos: after the first such access another profile. control: whether ``switch`` may be called while the VMM runs.
    """

    def __init__(
        self,
        bundle: Bundle,
        profile: str | None,
        words: Sequence[str],
        lines: Lines,
        *,
        autos: Sequence[Auto] = (),
        control: bool = False,
    ) -> None:
        self._words = [program(words[0]), *words[1:]]
        self.backend = Preloaded()
        self._lines = lines
        self._autos = autos
        self._switchable = control or bool(autos)
        for each in autos:
            each.check(bundle, 0)
        if len(autos) > shared.MOST_AUTOS:
            raise UnreadableError(f"at most {shared.MOST_AUTOS} --auto rules")
        self._epochs = [Epoch(1, 0, Force(bundle, profile, 0, self.backend))]
        self._epoch = self._epochs[0]
        self._seen: dict[tuple[str, int, int, bool], Seen] = {}
        self._told: shared.Shared | None = None
        self._folder = ""
        self._runs = False
        self._changing = threading.Lock()
        self._switches: list[Switch] = []
        self.lost = 0
        """Lines of the report that the library had no room for, as they were read too slowly. Counts are never lost."""
        self._lines_told = 0
        self._killed: Ending | None = None
        self._began = time.monotonic()

    @property
    def force(self) -> Force:
        """The policy in force."""
        return self._epoch.force

    @property
    def exits(self) -> int:
        return 0 if self._told is None else self._told.number("exits") + self._told.number("other")

    def busiest(self) -> dict[str, int]:
        """Trapped exits so far, by who decided."""
        return {} if self._told is None else self._by_rule(self._told)

    def notes(self) -> tuple[str, ...]:
        first, last = X2APIC_FIRST, X2APIC_LAST
        blind = (
            f"{each.text} does not exit under the rules at the start: its --auto rule waits for rules that trap it"
            for each in self._autos
            if each.kind in ("rdmsr", "wrmsr") and not any(self.force.traps(each.kind, lo) for lo, _ in each.ranges)
        )
        return (
            f"MSRs {first:#x}..{last:#x} (x2APIC): KVM never filters them, so no access to them is seen",
            "ports of devices that the VMM leaves to the kernel: these make no exit",
            *blind,
        )

    def run(self, timeout: float | None) -> Report:
        """Run the VMM to its end. Raises UnreadableError where it was refused its machine."""
        with tempfile.TemporaryDirectory(prefix="policyc-exec-") as self._folder:
            path = preload(self._folder)
            flags = shared.TELL_ALL * self._lines.exits | shared.SWITCHES * self._switchable
            told = self._told = shared.Shared(self._folder, flags, self._autos)
            told.put_policy(1, self._epoch.file(self._folder))
            told.begin_with(1)
            self._runs = True
            try:
                return self._watched(told, path, timeout)
            finally:
                with self._changing:
                    self._runs = False

    def close(self) -> None:
        """What the run came to can no longer be asked for."""
        if self._told is not None:
            self._told.close()
            self._told = None

    def _watched(self, told: shared.Shared, path: str, timeout: float | None) -> Report:
        words = " ".join(word for word in (path, os.environ.get("LD_PRELOAD", "")) if word)
        environment = os.environ | {"LD_PRELOAD": words, "POLICYC_EXEC": told.path}
        self._began = time.monotonic()
        self._lines.begun(self)
        self._lines.stream.flush()
        try:
            vmm = subprocess.Popen(self._words, env=environment)
        except OSError as reason:
            raise UnreadableError(f"{self._words[0]} cannot be run: {reason.strerror}") from None
        family = Family(vmm, told)
        try:
            ending = self._wait(family, told, timeout)
        finally:
            family.end()
        self._tell(told, last=True)
        self.lost = told.number("lost")
        if told.number("refused") and not told.number("machines"):
            raise UnreadableError("the VMM was refused its machine: the policy could not be put in force")
        return self._report(told, self._killed or ending, time.monotonic() - self._began)

    def _wait(self, family: Family, told: shared.Shared, timeout: float | None) -> Ending:
        """Until all processes of the VMM have ended; they are asked to by whatever ends the run."""
        cause: Ending | None = None
        asked = 0.0
        while True:
            try:
                bell = told.bell()
                self._automatic(told)
                self._tell(told)
                alive = family.alive()
                if alive:
                    told.wait(bell, _PAUSE)
            except KeyboardInterrupt:
                cause = cause or Ending(INTERRUPTED, "asked to by a signal")
                continue
            if not alive:
                return cause or _ending(family.status)
            now = time.monotonic()
            if timeout is not None and cause is None and now - self._began > timeout:
                cause = Ending(TIMEOUT, f"the time of {timeout:g} s was over")
            if cause is None and told.number("killed"):
                cause = Ending(KILLED, "the policy stopped the machine")
            if cause is not None and not asked:
                asked = now
                family.signal(signal.SIGTERM)
            if asked and now - asked > _GRACE:
                family.signal(signal.SIGKILL)

    # Changing the policy.

    def switch(self, profile: str | None, *, bundle: Bundle | None = None, cause: str = "api") -> Switch:
        """Put another profile in force, or another bundle, from any thread, while the VMM runs.

        Each access is decided by the old policy or by the new one; what both deny exits at every moment. Raises
        UnreadableError, and changes nothing, for what the bundle does not have or a process of the VMM cannot take.
        """
        with self._changing:
            told = self._told
            if told is None or not self._runs:
                raise UnreadableError("the VMM does not run")
            epoch = self._prepared(told, bundle or self.force.bundle, profile)
            before = time.monotonic()
            self._put_in_force(told, epoch)
            now = time.monotonic()
            self._epoch = epoch
            path, latency = epoch.force.bundle.path, now - before
            switch = Switch(now - self._began, profile, path, latency, cause, self.exits)
            self._switches.append(switch)
            self._lines.switched(switch)
            self._lines.stream.flush()
            return switch

    def _prepared(self, told: shared.Shared, bundle: Bundle, profile: str | None) -> Epoch:
        """The epoch of a profile, with its file where the library finds it: known already, or new."""
        for each in self._epochs:
            # The manifest has the SHA-256 of every file: a bundle loaded again is the same one.
            same = each.force.bundle.manifest.document == bundle.manifest.document
            if same and each.force.profile == profile:
                return each
        last = self._epochs[-1]
        epoch = Epoch(last.number + 1, last.base + last.count, Force(bundle, profile, 0, self.backend))
        if epoch.base + epoch.count > shared.MOST_RULES:
            raise UnreadableError(f"the policies of one run have at most {shared.MOST_RULES:,} rules together")
        told.put_policy(epoch.number, epoch.file(self._folder))
        self._epochs.append(epoch)
        return epoch

    def _put_in_force(self, told: shared.Shared, epoch: Epoch) -> None:
        """In all processes, or in none."""
        self._ordered(told, shared.TRY, epoch)
        told.begin_with(epoch.number)
        try:
            self._ordered(told, shared.DO, epoch)
        except UnreadableError:
            told.begin_with(self._epoch.number)
            with contextlib.suppress(UnreadableError):
                self._ordered(told, shared.DO, self._epoch)
            raise

    def _ordered(self, told: shared.Shared, what: int, epoch: Epoch) -> None:
        """Raises UnreadableError unless each process that is alive says yes."""
        request = told.order(what, epoch.number)
        until = time.monotonic() + _PATIENCE
        while True:
            bell = told.bell()
            waiting = [each for each in told.processes() if not (each.request == request and each.yes) and _lives(each)]
            for each in waiting:
                if each.request == request:
                    raise UnreadableError(f"process {each.pid} of the VMM: {each.why}")
            if not waiting:
                return
            if time.monotonic() > until:
                raise UnreadableError(f"process {waiting[0].pid} of the VMM does not answer")
            told.wait(bell, 0.005)

    def _automatic(self, told: shared.Shared) -> None:
        """For each rule whose access has come: its profile. The vCPU waits until then."""
        for number in told.fired():
            auto = self._autos[number]
            try:
                self.switch(auto.profile, cause=auto.text)
            except UnreadableError as reason:
                self._lines.failed(auto.text, str(reason))
            finally:
                told.go_on(number)

    # What the library tells.

    def _decider(self, rule: int, kind: str) -> Decider:
        place = bisect_right(self._epochs, rule, key=lambda each: each.base) - 1
        return self._epochs[place].decider(rule, kind)

    def _tell(self, told: shared.Shared, *, last: bool = False) -> None:
        for each in told.records(last=last):
            decider = self._decider(each.rule, each.kind)
            access = Access(each.kind, each.address, each.width, each.value, 0)
            if each.what == shared.LOG:
                self._lines.log(decider, access, each.suppressed)
            elif each.what == shared.TRACE:
                self._lines.trace(decider, access)
            elif each.what == shared.KILL:
                text = f"the policy stopped the guest: {decider.title} says kill for {each.kind} {each.address:#x}"
                self._killed = self._killed or Ending(KILLED, text)
            else:
                self._exit(each, decider)
        self._lines.stream.flush()

    def _exit(self, record: shared.Record, decider: Decider) -> None:
        self._lines_told += 1
        seen = self._see(record.kind, record.address, record.width, record.traps)
        action = STRICTNESS[record.action] if record.action < len(STRICTNESS) else "?"
        self._lines.exit(
            Exit(
                self._lines_told, record.seconds - self._began, seen, record.value, decider if record.traps else None,
                action, record.answer, record.fault,
            )
        )  # fmt: skip

    def _see(self, kind: str, address: int, width: int, traps: bool) -> Seen:
        key = (kind, address, width, traps)
        found = self._seen.get(key)
        if found is None:
            question = Question((), kind in ("out", "wrmsr"), False)
            found = self._seen[key] = Seen(kind, address, width, traps, question, None)
        return found

    def _by_rule(self, told: shared.Shared) -> dict[str, int]:
        rules: dict[str, int] = {}
        for each in told.counts():
            if each.traps:
                title = self._decider(each.rule, each.kind).title
                rules[title] = rules.get(title, 0) + each.exits
        return rules

    def _report(self, told: shared.Shared, ending: Ending, seconds: float) -> Report:
        counters: dict[str, int] = {}
        for each in told.counts():
            if not each.traps:
                continue
            decider = self._decider(each.rule, each.kind)
            self._see(each.kind, each.address, each.width, True).count += each.exits
            if any(action.name == "count" for action in decider.actions):
                counters[decider.title] = counters.get(decider.title, 0) + each.exits
        found = sorted(self._seen.values(), key=lambda each: (-each.count, each.kind, each.address))
        trapped = [each for each in found if each.traps]
        other = told.number("other")
        return Report(
            ending,
            seconds,
            told.number("exits") + other,
            tuple(sorted(self._by_rule(told).items(), key=lambda each: (-each[1], each[0]))),
            tuple(each for each in trapped if each.kind in ("in", "out")),
            tuple(each for each in trapped if each.kind in ("rdmsr", "wrmsr")),
            told.number("unlisted"),
            told.number("let_through"),
            {"exits for the VMM alone": other} if other else {},
            counters,
            tuple(self._switches),
        )


class Family:
    """The process that was started, and those that have machines, until the last one has ended.

    status: how the first one ended.
    """

    def __init__(self, vmm: subprocess.Popen[bytes], told: shared.Shared) -> None:
        self._vmm = vmm
        self._told = told
        self.status = 0

    def alive(self) -> bool:
        first = self._vmm.poll() is None
        if not first:
            self.status = self._vmm.returncode
        return first or bool(self._others())

    def _others(self) -> list[shared.Process]:
        others = []
        for each in self._told.processes():
            if each.pid == self._vmm.pid and self._vmm.returncode is None:
                continue
            if _lives(each):
                others.append(each)
            else:
                self._told.take_off(each)
        return others

    def signal(self, number: signal.Signals) -> None:
        self._vmm.send_signal(number)
        for each in self._others():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, number)

    def end(self) -> None:
        """Whatever is left of it."""
        if self.alive():
            self.signal(signal.SIGKILL)
            self._vmm.wait()
            while self.alive():
                time.sleep(_PAUSE)


def _lives(process: shared.Process) -> bool:
    """Not so if it has ended and nobody has asked how."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return not poll.poll(0)
    finally:
        os.close(handle)


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


def _one_filter(force: Force) -> Filter:
    """KVM's filter is the whole machine's, so all vCPUs must have the same."""
    bundle = force.bundle
    found = {each.images["kvm"][IMAGE]: None for each in bundle.manifest.variants if each.profile == force.profile}
    images = {bundle.file(path) for path in found}
    if len(images) != 1:
        raise UnreadableError("the policy gives vCPUs different MSR filters, and KVM has one for the whole machine")
    return read_filter(images.pop())


def _bits(force: Force) -> list[bytes]:
    """A bit for each port that the image traps, by class of vCPUs, in the order of the manifest."""
    return [
        Force(force.bundle, force.profile, vcpus[0][0], Preloaded()).port_bits() if vcpus else bytes(_PORTS // 8)
        for _, vcpus in force.bundle.manifest.vcpu_classes
    ]


def _ending(status: int) -> Ending:
    if status == 0:
        return Ending(ENDED, "the VMM ended")
    if status < 0:
        return Ending(CRASHED, f"the VMM was ended by signal {-status}", status)
    return Ending(CRASHED, f"the VMM ended with status {status}", status)
