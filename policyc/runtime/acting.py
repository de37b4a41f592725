"""A verdict carried out on one access, by the rules of the exit handler (templates/exit_handler/actions.c).

tests/runtime holds the two together: the same accesses, one after the other, to both, on every example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from policyc.runtime.decisions import Decider, Decisions, Verdict
from policyc.semantics.policy import ERROR_CODE_VECTORS, Action
from policyc.vocabulary.access import IO, MSR, Access
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import contains

GENERAL_PROTECTION = 13


class Fault(Exception):
    """The guest gets an exception in place of the access. vector: 0..31. An error code, where the vector has one, is 0."""

    def __init__(self, vector: int = GENERAL_PROTECTION) -> None:
        super().__init__(vector)
        self.vector = vector

    @property
    def has_error_code(self) -> bool:
        return self.vector in ERROR_CODE_VECTORS


class Killed(Exception):
    """The policy stops the virtual machine."""


class World(Protocol):
    """The machine behind the policy: what an access reaches that the policy passes on. Faults are raised."""

    def read_port(self, port: int, width: int) -> int: ...

    def write_port(self, port: int, width: int, value: int) -> None: ...

    def read_msr(self, index: int) -> int: ...

    def write_msr(self, index: int, value: int) -> None: ...


class Told(Protocol):
    """Who hears of log and trace, before the access is carried out. suppressed: log lines that a rate held back."""

    def log(self, decider: Decider, access: Access, suppressed: int) -> None: ...

    def trace(self, decider: Decider, access: Access) -> None: ...


Forward = Callable[[Access], int]
"""A function that ``forward`` names: answers a read with its value (a write with anything), or raises Fault."""


class _Rate(NamedTuple):
    """Of one rule's log: the second that is running, the lines in it, the lines held back."""

    second: int
    used: int
    held: int


class State:
    """What a vCPU remembers from exit to exit: shadow cells, counters, rates. Survives a change of the profile.

    counters: by the rule's title.
    """

    def __init__(self, decisions: Decisions) -> None:
        self.msr_cells: dict[int, int] = {}
        self.port_cells: dict[int, int] = {}
        self.counters: dict[str, int] = {}
        self.rates: dict[str, _Rate] = {}
        self._reset_by = decisions.shadowing

    def msr_cell(self, index: int) -> int:
        """The shadow of an MSR; before anything was written its value after a reset."""
        found = self.msr_cells.get(index)
        if found is None:
            found = self.msr_cells[index] = self._first(MSR, index).actions[-1].number("init")
        return found

    def port_cell(self, port: int) -> int:
        """The shadow of one port: a byte."""
        found = self.port_cells.get(port)
        if found is None:
            decider = self._first(IO, port)
            base = next(lo for lo, hi in decider.ranges if lo <= port <= hi)  # _first has seen to it.
            init = decider.actions[-1].number("init")
            found = self.port_cells[port] = init >> 8 * ((port - base) % decider.unit) & 0xFF
        return found

    def adopt(self, decisions: Decisions) -> None:
        """Another bundle: cells keep what they hold, new ones start as its rules say."""
        self._reset_by = decisions.shadowing

    def _first(self, space: str, address: int) -> Decider:
        for where, decider in self._reset_by:
            if where == space and contains(decider.ranges, address):
                return decider
        raise UnreadableError(f"manifest.json: a rule shadows {space} {address:#x}, which it does not name")


class Actor:
    """Carries verdicts out. forwards: functions by the name that ``forward`` gives; a missing one is the world's.

    ``exit`` and ``notify`` end in the world too: the runtime is the hypervisor whose hook they call.
    """

    def __init__(
        self,
        world: World,
        state: State,
        told: Told,
        clock: Callable[[], float],
        forwards: Mapping[str, Forward] | None = None,
    ) -> None:
        self.world = world
        self.state = state
        self.told = told
        self.clock = clock
        self.forwards = dict(forwards or {})

    def perform(self, verdict: Verdict, access: Access) -> int:
        """The value that a read gets, cut to its width; 0 for a write. Raises Fault or Killed."""
        decider, last = verdict.decider, verdict.last
        if len(decider.actions) > 1:
            self._before(decider, access)
        value = self._last(last, access)
        return 0 if access.kind in ("out", "wrmsr") else value & (1 << 8 * access.width) - 1

    def _before(self, decider: Decider, access: Access) -> None:
        for action in decider.actions[:-1]:
            if action.name == "count":
                counters = self.state.counters
                counters[decider.title] = counters.get(decider.title, 0) + 1
            elif action.name == "trace":
                self.told.trace(decider, access)
            else:
                self._log(decider, action.number("rate"), access)

    def _log(self, decider: Decider, rate: int, access: Access) -> None:
        """At most rate lines a second; the number held back since comes along with the next."""
        if rate == 0:
            self.told.log(decider, access, 0)
            return
        now = int(self.clock())
        second, used, held = self.state.rates.get(decider.title, _Rate(-1, 0, 0))
        if second != now:
            used = 0
        if used < rate:
            self.told.log(decider, access, held)
            used, held = used + 1, 0
        else:
            held += 1
        self.state.rates[decider.title] = _Rate(now, used, held)

    def _last(self, action: Action, access: Access) -> int:
        match action.name:
            case "passthrough" | "exit" | "notify":
                return self.real(access)
            case "forward":
                return self.forwards.get(action.handler(), self.real)(access)
            case "mask":
                return self._mask(action, access)
            case "shadow":
                return self._shadow(access)
            case "const":
                return action.number("value")
            case "drop":
                return -1 if access.kind == "in" else 0
            case "inject":
                raise Fault(action.number("vector"))
            case _:
                raise Killed

    def real(self, access: Access) -> int:
        """The access itself, in the world."""
        world = self.world
        match access.kind:
            case "in":
                return world.read_port(access.address, access.width)
            case "out":
                world.write_port(access.address, access.width, access.value)
            case "rdmsr":
                return world.read_msr(access.address)
            case _:
                world.write_msr(access.address, access.value)
        return 0

    def _mask(self, action: Action, access: Access) -> int:
        kept, added = action.number("and"), action.number("or")
        if access.kind in ("out", "wrmsr"):
            value = (access.value & kept | added) & (1 << 8 * access.width) - 1
            return self.real(access._replace(value=value))
        return self.real(access) & kept | added

    def _shadow(self, access: Access) -> int:
        state = self.state
        match access.kind:
            case "wrmsr":
                state.msr_cells[access.address] = access.value
            case "rdmsr":
                return state.msr_cell(access.address)
            case "out":
                for each in range(access.width):
                    state.port_cells[access.address + each] = access.value >> 8 * each & 0xFF
            case _:
                return sum(state.port_cell(access.address + each) << 8 * each for each in range(access.width))
        return 0
