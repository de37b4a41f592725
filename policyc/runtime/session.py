"""One run of one guest: exits counted, decided, carried out and told of; rules changed while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from policyc.bundle.read import Bundle
from policyc.runtime.acting import Actor, Fault, Forward, Killed, State
from policyc.runtime.auto import Auto
from policyc.runtime.backend import Backend
from policyc.runtime.decisions import Decider
from policyc.runtime.devices import Devices
from policyc.runtime.endings import INTERRUPTED, KILLED, MAX_EXITS, TIMEOUT, Ending, Stop
from policyc.runtime.force import Force, Seen
from policyc.runtime.guest import Start
from policyc.vocabulary.access import Access
from policyc.vocabulary.intervals import intersect


class Exit(NamedTuple):
    """One exit, carried out. number: from 1. seconds: since the start. answer: of a read. fault: vector, or None.

    decider, action: None for what the policy was not asked about. value: what the guest wrote.
    """

    number: int
    seconds: float
    seen: Seen
    value: int
    decider: Decider | None
    action: str
    answer: int
    fault: int | None


class Switch(NamedTuple):
    """One change of the rules. seconds: when. latency: seconds from the call to the moment when they were in force.

    cause: who asked: ``api``, ``control``, or the pattern of an ``--auto`` rule. by_exit: exits before it.
    """

    seconds: float
    profile: str | None
    bundle: str
    latency: float
    cause: str
    by_exit: int


class Observer:
    """Who hears of things as they happen, on the vCPU's thread (switched: on the thread that asked). Does nothing."""

    def started(self, session: Session) -> None: ...

    def exit(self, exit_: Exit) -> None: ...

    def log(self, decider: Decider, access: Access, suppressed: int) -> None: ...

    def trace(self, decider: Decider, access: Access) -> None: ...

    def console(self, byte: int) -> None: ...

    def switched(self, switch: Switch) -> None: ...


class Report(NamedTuple):
    """What a run came to. rules: (title, exits), most first. ports, msrs: what was accessed and trapped.

    unlisted: exits at so many further addresses that they are not among these. let_through: port accesses that hardware
    would not have let exit. other: exits of no policy, by name.
    """

    ending: Ending
    seconds: float
    exits: int
    rules: tuple[tuple[str, int], ...]
    ports: tuple[Seen, ...]
    msrs: tuple[Seen, ...]
    unlisted: int
    let_through: int
    other: Mapping[str, int]
    counters: Mapping[str, int]
    switches: tuple[Switch, ...]


class Session:
    """One guest on one backend under one bundle. Made, run once, closed with the backend.

    forwards: functions by the names that ``forward`` gives; where there is none the access reaches the devices, or the
    machine's MSR. max_exits: end after so many. timeout: seconds. devices: what is behind the policy.
    """

    def __init__(
        self,
        backend: Backend,
        start: Start,
        bundle: Bundle,
        *,
        profile: str | None = None,
        vcpu: int = 0,
        observer: Observer | None = None,
        watch: bool = False,
        forwards: Mapping[str, Forward] | None = None,
        autos: Sequence[Auto] = (),
        max_exits: int | None = None,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        devices: Callable[[Callable[[int], None]], Devices] = Devices,
    ) -> None:
        self.backend = backend
        self.vcpu = vcpu
        self.observer = observer or Observer()
        self.exits = 0
        self.other_exits: dict[str, int] = {}
        self.switches: list[Switch] = []
        self.began = clock()
        self.clock = clock
        self._watch = watch
        self._limit = -1 if max_exits is None else max_exits
        self._timeout = timeout
        self._stop: Ending | None = None
        self._changing = threading.Lock()
        self.force = Force(bundle, profile, vcpu, backend)
        self._past: list[Force] = []
        self.autos = tuple(autos)
        self._armed = list(autos)
        for each in autos:
            each.check(bundle, vcpu)
        self.devices = devices(self.observer.console)
        self._actor = Actor(self, State(self.force.decisions), self.observer, clock, forwards)
        backend.start(start)
        backend.install(self.force.target, self.force.images)

    def notes(self) -> tuple[str, ...]:
        """What will not be seen, for the report."""
        blind = [
            f"{each.text} does not exit under the rules at the start: its --auto rule waits for rules that trap it"
            for each in self.autos
            if not (each.kind in ("in", "out") and intersect(self.backend.always_exits, each.ranges))
            and not any(self.force.traps(each.kind, lo) for lo, _ in each.ranges)
        ]
        return (*self.backend.notes(), *blind)

    def busiest(self) -> dict[str, int]:
        """Trapped exits so far under the rules in force, by the title of who decided."""
        return self.force.by_rule.copy()

    # The world behind the policy (policyc.runtime.acting.World).

    def read_port(self, port: int, width: int) -> int:
        return self.devices.read_port(port, width)

    def write_port(self, port: int, width: int, value: int) -> None:
        self.devices.write_port(port, width, value)

    def read_msr(self, index: int) -> int:
        return self.backend.read_msr(index)

    def write_msr(self, index: int, value: int) -> None:
        self.backend.write_msr(index, value)

    # Exits (policyc.runtime.backend.Exits).

    def port(self, port: int, width: int, write: bool, value: int) -> int:
        if self.exits == self._limit:
            self._reached_limit()
        self.exits += 1
        force = self.force
        seen = force.ports.get((port, width, write)) or force.see_port(port, width, write)
        seen.count += 1
        if not seen.traps and not self._watch and not self._armed:
            if not write:
                return self.devices.read_port(port, width)
            self.devices.write_port(port, width, value)
            return 0
        return self._decided(force, seen, value)

    def msr(self, index: int, write: bool, value: int) -> int:
        if self.exits == self._limit:
            self._reached_limit()
        self.exits += 1
        force = self.force
        seen = force.msrs.get((index, write)) or force.see_msr(index, write)
        seen.count += 1
        return self._decided(force, seen, value)

    def _decided(self, force: Force, seen: Seen, value: int) -> int:
        """Decide, count, carry out, tell; then change the profile if a rule says so."""
        decisions = force.decisions
        cpl = self.backend.cpl() if decisions.asks_cpl else 0
        access = Access(seen.kind, seen.address, seen.width, value, cpl)
        verdict = seen.verdict or decisions.judge(seen.question, value, cpl)
        title = verdict.decider.title
        if seen.traps:
            force.by_rule[title] = force.by_rule.get(title, 0) + 1
        answer, fault = 0, None
        try:
            answer = self._actor.perform(verdict, access)
        except Fault as raised:
            fault = raised.vector
            raise
        except Killed:
            text = f"the policy stopped the guest: {title} says kill for {seen.kind} {seen.address:#x}"
            raise Stop(Ending(KILLED, text)) from None
        finally:
            if self._watch:
                decider = verdict.decider if seen.traps else None
                self.observer.exit(
                    Exit(self.exits, self.clock() - self.began, seen, value, decider, verdict.last.name, answer, fault)
                )
            if self._armed:
                self._automatic(access)
        return answer

    def other(self, what: str) -> None:
        if self.exits == self._limit:
            self._reached_limit()
        self.exits += 1
        self.other_exits[what] = self.other_exits.get(what, 0) + 1

    def poll(self) -> None:
        if self._stop is not None:
            raise Stop(self._stop)

    def _reached_limit(self) -> NoReturn:
        raise Stop(Ending(MAX_EXITS, f"{self._limit:,} exits were allowed"))

    # Changing the rules.

    def switch(self, profile: str | None, *, bundle: Bundle | None = None, cause: str = "api") -> Switch:
        """Put another profile in force, or another bundle, from any thread, while the guest runs.

        Each access is decided by the old rules or by the new ones; what both trap exits at every moment. Raises
        UnreadableError, and changes nothing, for what the bundle does not have or the backend refuses.
        """
        with self._changing:
            before = self.clock()
            old = self.force
            new = Force(bundle or old.bundle, profile, self.vcpu, self.backend)
            self.backend.install(new.target, new.images)
            if bundle is not None:
                self._actor.state.adopt(new.decisions)
            self.force = new
            now = self.clock()
            self._past.append(old)
            switch = Switch(now - self.began, profile, new.bundle.path, now - before, cause, self.exits)
            self.switches.append(switch)
            self.observer.switched(switch)
            return switch

    def _automatic(self, access: Access) -> None:
        """After an access that an armed rule waits for: its profile, once."""
        for each in self._armed:
            if each.matches(access):
                self._armed.remove(each)
                self.switch(each.profile, cause=each.text)
                return

    # Running.

    def stop(self, ending: Ending) -> None:
        """End the run soon, from any thread."""
        self._stop = ending
        self.backend.interrupt()

    def run(self) -> Report:
        """Run the guest to its end."""
        self.began = self.clock()
        self.observer.started(self)
        timer = None
        if self._timeout is not None:
            ending = Ending(TIMEOUT, f"the time of {self._timeout:g} s was over")
            timer = threading.Timer(self._timeout, self.stop, (ending,))
            timer.daemon = True
            timer.start()
        try:
            self.backend.run(self, self.devices)
        except Stop as stop:
            ending = stop.ending
        except KeyboardInterrupt:
            ending = Ending(INTERRUPTED, "asked to by a signal")
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
        return self.report(ending)

    def report(self, ending: Ending) -> Report:
        rules: dict[str, int] = {}
        ports: dict[tuple[object, ...], Seen] = {}
        msrs: dict[tuple[object, ...], Seen] = {}
        for force in (*self._past, self.force):
            for title, count in force.by_rule.items():
                rules[title] = rules.get(title, 0) + count
            for seen in force.ports.values():
                _add(ports, seen)
            for seen in force.msrs.values():
                _add(msrs, seen)
        return Report(
            ending,
            self.clock() - self.began,
            self.exits,
            tuple(sorted(rules.items(), key=lambda each: (-each[1], each[0]))),
            _most(each for each in ports.values() if each.traps),
            _most(msrs.values()),
            sum(each.unlisted for each in (*self._past, self.force)),
            self.exits - sum(rules.values()) - sum(self.other_exits.values()),
            dict(self.other_exits),
            dict(self._actor.state.counters),
            tuple(self.switches),
        )


def _add(known: dict[tuple[object, ...], Seen], seen: Seen) -> None:
    key = (seen.kind, seen.address, seen.width, seen.traps)
    total = known.get(key)
    if total is None:
        total = known[key] = Seen(seen.kind, seen.address, seen.width, seen.traps, seen.question, None)
    total.count += seen.count


def _most(found: Iterable[Seen]) -> tuple[Seen, ...]:
    return tuple(sorted(found, key=lambda each: (-each.count, each.kind, each.address)))
