"""A run told line by line, as text or as JSON, and its summary.

JSON: one object a line, ``{"event": "start", "format_version": 1, ...}`` first, then events ``exit``, ``log``, ``trace``,
``console``, ``switch``, ``not_switched``, and ``summary`` last. Within version 1 fields are only added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TextIO

from policyc.reports.cells import safe
from policyc.reports.tables import table
from policyc.runtime.decisions import Decider
from policyc.runtime.force import Enforcer, Force, Seen
from policyc.runtime.session import Exit, Observer, Report, Session, Switch
from policyc.semantics.addresses import Names
from policyc.semantics.wording import action_text, named
from policyc.vocabulary.access import IO, MSR, Access

FORMAT_VERSION = 1
MOST_ROWS = 10
"""Rows of each list in a text summary; JSON has all."""
_LONGEST_LINE = 4096
"""Characters of a console line that is told although its end has not come."""
SIMULATION = "SIMULATION: no hardware is involved; instructions are interpreted and the images read bit by bit"


class Running(Protocol):
    """What is told of while it runs: a Session, or a VMM that is governed."""

    @property
    def force(self) -> Force: ...

    @property
    def backend(self) -> Enforcer: ...

    @property
    def exits(self) -> int: ...

    def notes(self) -> tuple[str, ...]: ...

    def busiest(self) -> dict[str, int]:
        """Trapped exits so far under the rules in force, by who decided."""
        ...


class Lines(Observer):
    """Text. exits: whether each one gets a line. names: for MSRs and ports."""

    def __init__(self, stream: TextIO, names: Names, *, exits: bool = True) -> None:
        self.stream = stream
        self.names = names
        self.exits = exits
        self._console = bytearray()

    # What happens.

    def started(self, session: Session) -> None:
        self.begun(session)

    def begun(self, session: Running) -> None:
        """The first lines."""
        force, backend = session.force, session.backend
        profile = "the base policy" if force.profile is None else f"profile {force.profile}"
        self._say(f"{safe(force.bundle.path)}: {profile} on {backend.name}, images for {force.target}")
        if backend.simulated:
            self._say(SIMULATION)
        for note in session.notes():
            self._say(f"not seen: {note}")

    def exit(self, exit_: Exit) -> None:
        if self.exits:
            self._say(self.exit_text(exit_))

    def exit_text(self, exit_: Exit) -> str:
        """``  12  0.001234  out 0x3f8 width 1 = 0x41  forward(uart)  vm.pol:9 com1``."""
        seen = exit_.seen
        if not seen.text:
            seen.text = self.access_text(seen)
        write = seen.kind in ("out", "wrmsr")
        if exit_.fault is not None:
            outcome = f"exception {exit_.fault}"
        else:
            outcome = f"= {exit_.value if write else exit_.answer:#x}"
        who = "let through" if exit_.decider is None else f"{exit_.action}  {safe(exit_.decider.title)}"
        return f"{exit_.number:>8} {exit_.seconds:10.6f}  {seen.text} {outcome}  {who}"

    def access_text(self, seen: Seen) -> str:
        """``out COM1_THR (0x3f8) width 1``, ``wrmsr IA32_EFER (0xc0000080)``."""
        if seen.kind in ("in", "out"):
            return f"{seen.kind} {named(IO, seen.address, self.names)} width {seen.width}"
        return f"{seen.kind} {named(MSR, seen.address, self.names)}"

    def log(self, decider: Decider, access: Access, suppressed: int) -> None:
        held = f" ({suppressed} held back before)" if suppressed else ""
        self._say(f"log: {access.kind} {access.address:#x} value {access.value:#x}  {safe(decider.title)}{held}")

    def trace(self, decider: Decider, access: Access) -> None:
        self._say(f"trace: {access.kind} {access.address:#x} value {access.value:#x}  {safe(decider.title)}")

    def console(self, byte: int) -> None:
        """The guest's output, a line at a time."""
        if byte != 0x0A:
            self._console.append(byte)
        if byte == 0x0A or len(self._console) >= _LONGEST_LINE:
            self.flush_console()

    def flush_console(self) -> None:
        text = self._console.decode("utf-8", "backslashreplace").rstrip("\r")
        self._console.clear()
        self._console_line(text)

    def _console_line(self, text: str) -> None:
        self._say(f"console: {safe(text)}")

    def switched(self, switch: Switch) -> None:
        self._say(switch_text(switch))

    def failed(self, cause: str, reason: str) -> None:
        """A rule of ``--auto`` whose access has come, and whose profile could not be put in force."""
        self._say(f"not switched: {safe(reason)} ({safe(cause)})")

    def finished(self, report: Report) -> None:
        """The summary."""
        if self._console:
            self.flush_console()
        for line in summary(report, self):
            self._say(line)
        self.stream.flush()

    def _say(self, line: str) -> None:
        self.stream.write(line + "\n")


def switch_text(switch: Switch) -> str:
    """``switched to profile run after 12 exits, in force after 0.43 ms (wrmsr IA32_EFER)``."""
    profile = "the base policy" if switch.profile is None else f"profile {switch.profile}"
    return (
        f"switched to {profile} of {safe(switch.bundle)} after {switch.by_exit:,} exits, "
        f"in force after {1000 * switch.latency:.2f} ms ({safe(switch.cause)})"
    )


def summary(report: Report, lines: Lines) -> Iterator[str]:
    """What the run came to, in text."""
    yield f"{report.ending.how}: {safe(report.ending.text)}"
    rate = report.exits / report.seconds if report.seconds > 0 else 0.0
    yield f"{report.exits:,} exit{'' if report.exits == 1 else 's'} in {report.seconds:.3f} s, {rate:,.0f} a second"
    if report.let_through:
        yield f"  {report.let_through:,} of them port accesses that the image lets through, and that exit here all the same"
    for what, count in sorted(report.other.items()):
        yield f"  {count:,} of them {what}, which no policy speaks of"
    trapped = sum(count for _, count in report.rules)
    if report.rules:
        title, count = report.rules[0]
        yield f"costs most: {safe(title)}, {count:,} of {trapped:,} trapped exits ({100 * count / trapped:.0f} %)"
    yield from _rows("by rule", [(safe(title), f"{count:,}") for title, count in report.rules])
    for title, found in (("by port", report.ports), ("by MSR", report.msrs)):
        yield from _rows(title, [(safe(lines.access_text(each)), f"{each.count:,}") for each in found])
    if report.unlisted:
        yield f"  {report.unlisted:,} more exits were at further addresses, which are not listed"
    yield from _rows("counters", [(safe(title), f"{count:,}") for title, count in sorted(report.counters.items())])


def _rows(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"{title}:"
    yield from table(rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        yield f"  and {len(rows) - MOST_ROWS:,} more"


class JsonLines(Lines):
    """The same for programs. Addresses and values are numbers."""

    def begun(self, session: Running) -> None:
        force, backend = session.force, session.backend
        self._object(
            "start",
            format_version=FORMAT_VERSION,
            bundle=force.bundle.path,
            profile=force.profile,
            backend=backend.name,
            simulated=backend.simulated,
            target=force.target,
            not_seen=list(session.notes()),
        )

    def exit(self, exit_: Exit) -> None:
        if self.exits:
            seen = exit_.seen
            self._object(
                "exit",
                number=exit_.number,
                seconds=round(exit_.seconds, 6),
                kind=seen.kind,
                address=seen.address,
                width=seen.width,
                value=exit_.value if seen.kind in ("out", "wrmsr") else exit_.answer,
                rule=None if exit_.decider is None else exit_.decider.title,
                action=exit_.action,
                fault=exit_.fault,
            )

    def log(self, decider: Decider, access: Access, suppressed: int) -> None:
        self._told("log", decider, access, suppressed=suppressed)

    def trace(self, decider: Decider, access: Access) -> None:
        self._told("trace", decider, access)

    def _told(self, event: str, decider: Decider, access: Access, **more: object) -> None:
        actions = [action_text(each) for each in decider.actions]
        self._object(
            event, kind=access.kind, address=access.address, width=access.width, value=access.value,
            rule=decider.title, actions=actions, **more,
        )  # fmt: skip

    def _console_line(self, text: str) -> None:
        self._object("console", text=text)

    def switched(self, switch: Switch) -> None:
        self._object("switch", **switch._asdict())

    def failed(self, cause: str, reason: str) -> None:
        self._object("not_switched", cause=cause, error=reason)

    def finished(self, report: Report) -> None:
        if self._console:
            self.flush_console()
        self._object(
            "summary",
            ending=report.ending._asdict() | {"clean": report.ending.clean},
            seconds=round(report.seconds, 6),
            exits=report.exits,
            let_through=report.let_through,
            unlisted=report.unlisted,
            other=dict(report.other),
            rules=[{"rule": title, "exits": count} for title, count in report.rules],
            ports=list(_counted(report.ports)),
            msrs=list(_counted(report.msrs)),
            counters=dict(report.counters),
            switches=[each._asdict() for each in report.switches],
        )
        self.stream.flush()

    def _object(self, event: str, **fields: object) -> None:
        import json

        self.stream.write(json.dumps({"event": event, **fields}) + "\n")


def _counted(found: Iterable[Seen]) -> Iterator[dict[str, object]]:
    for each in found:
        yield {"kind": each.kind, "address": each.address, "width": each.width, "exits": each.count}
