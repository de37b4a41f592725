"""What a handler must do with one access, in the driver's words: from the evaluator's verdict and the manuals.

Shares nothing with the handler but the policy: each action's effect is written down here once more.
"""

from __future__ import annotations

from typing import NamedTuple

from policyc.proof.evaluate import Verdict, judge, read
from policyc.semantics.policy import Action, Policy, Rule, Variant
from policyc.vocabulary.access import Access

REAL = 0x1122334455667788
HOOK = 0x99AABBCCDDEEFF00
RIP = 0x7FFFFFF0
SENTINEL = 0xA5A5A5A55A5A5A5A
RSI, RDI = 0x10000FFFE, 0x20000FFFD
STATUSES = ("done", "again", "fault", "pending", "kill", "refused")
BELIEVED = ("done", "fault", "pending", "kill")
ERROR_CODES = (8, 10, 11, 12, 13, 14, 17, 21)


class Request(NamedTuple):
    """target: vmx, svm, kvm. form: plain, str (string), rep (REP, two elements). answer: what hooks return."""

    target: str
    kind: str
    width: int
    form: str
    value: int
    cpl: int
    answer: int = 0


class Step(NamedTuple):
    """One access carried out. status: a word of STATUSES. value: of a read. fault: vector, error code or None."""

    events: list[str]
    counted: list[int | str]
    status: str
    value: int
    fault: tuple[int, int | None]


class Model:
    """counters: numbers of the rules that count, or titles of defaults, in the order of the driver's counters."""

    def __init__(self, policy: Policy, variant: Variant, counters: list[int | str]) -> None:
        self.policy = policy
        self.variant = variant
        self.reading = read(policy, variant)
        self.counters = counters

    def edges(self, request: Request) -> list[int]:
        """Addresses where the answer may change: the first of each stretch whose rules are the same for every byte."""
        space = "msr" if "msr" in request.kind else "io"
        last = 0xFFFF_FFFF if space == "msr" else 0xFFFF
        reach = 0 if space == "msr" else request.width - 1
        hard = (0, 0x800, 0x900, 0x2000, 0xC000_0000, 0xC000_2000, 0xC001_0000, 0xC001_2000)
        cuts = set(hard) if space == "msr" else {0, 0xFFFD, 0xFFFE, 0xFFFF}
        for rule in self.policy.rules:
            if rule.space == space:
                for lo, hi in rule.ranges:
                    cuts |= {edge - back for edge in (lo, hi + 1) for back in range(reach + 1)}
        return sorted(cut for cut in cuts if 0 <= cut <= last)

    def verdict(self, request: Request, address: int) -> Verdict:
        access = Access(request.kind, address, request.width, request.value, request.cpl)
        space = "msr" if "msr" in request.kind else "io"
        return judge(self.reading.near(space, address, address + request.width - 1), access, request.target)

    def expect(self, request: Request, address: int) -> str:
        """The driver's words for one exit."""
        count = {"plain": 1, "str": 1, "rep": 2}[request.form]
        memory = request.target != "kvm" and request.form != "plain"
        events: list[str] = []
        counted: dict[int | str, int] = {}
        values: list[int] = []
        status, fault, done = "done", (0, None), 0
        for element in range(count):
            rdi, rsi = RDI + element * request.width, RSI + element * request.width
            shape = f"{request.width},8,{request.cpl}"
            if memory and request.kind == "in":
                events.append(f"probe(0:{rdi & 0xFFFFFFFF:x},{shape},0)")
            if memory and request.kind == "out":
                events.append(f"read(5:{rsi & 0xFFFFFFFF:x},{shape},0)")
            step = self.step(request, address, first=element == 0)
            events += step.events
            for number in step.counted:
                counted[number] = counted.get(number, 0) + 1
            status, fault = step.status, step.fault
            if status != "done":
                break
            values.append(step.value)
            if memory and request.kind == "in":
                events.append(f"write(0:{rdi & 0xFFFFFFFF:x},{shape},{step.value:x})")
            done += 1
        if status == "fault" and not (request.target == "kvm" and "msr" in request.kind and fault[0] == 13):
            code = "none0" if fault[1] is None else f"{fault[1]:x}"
            events.append(f"inject({fault[0]},{code})")
        events += [f"count{at}={counted[number]}" for at, number in enumerate(self.counters) if number in counted]
        end = self.kvm_end if request.target == "kvm" else self.guest_end
        return " ".join([*events, status, *end(request, status, values, done)])

    def guest_end(self, request: Request, status: str, values: list[int], done: int) -> list[str]:
        """Registers that changed, as SDM vol. 2 has it for RDMSR, IN and string instructions."""
        out = []
        finished = status == "done"
        if request.form == "plain" and finished and request.kind == "rdmsr":
            out += [f"rax={values[0] & 0xFFFFFFFF:x}", f"rdx={values[0] >> 32:x}"]
        if request.form == "plain" and finished and request.kind == "in":
            bits = 8 * request.width
            kept = 0 if request.width == 4 else SENTINEL >> bits << bits
            out.append(f"rax={kept | values[0]:x}")
        if request.form == "rep" and done:
            out.append(f"rcx={2 - done:x}")
        if request.form != "plain" and done:
            name, start = ("rdi", RDI) if request.kind == "in" else ("rsi", RSI)
            out.append(f"{name}={start + done * request.width:x}")
        if finished:
            out.append(f"rip={RIP + 2:x}")
        return [each for each in out if each not in (f"rax={SENTINEL:x}", f"rdx={SENTINEL:x}")]

    def kvm_end(self, request: Request, status: str, values: list[int], done: int) -> list[str]:
        if "msr" in request.kind:
            data = request.value if request.kind == "wrmsr" else SENTINEL
            if status == "done" and request.kind == "rdmsr":
                data = values[0]
            return [f"error={int(status != 'done')}", f"data={data:x}", "done=0", "00" * 16]
        count = 2 if request.form == "rep" else 1
        page = bytearray(b"\xa5" * 16)
        for element in range(count):
            here = slice(4 + element * request.width, 4 + (element + 1) * request.width)
            if request.kind == "out":
                page[here] = request.value.to_bytes(request.width, "little")
            elif element < done:
                page[here] = values[element].to_bytes(request.width, "little")
        return ["error=0", "data=0", f"done={done}", page.hex()]

    def step(self, request: Request, address: int, *, first: bool) -> Step:
        """One access: what comes before, then the last action. first: of the exit's accesses."""
        verdict = self.verdict(request, address)
        rule = None if verdict.rule is None else self.policy.rules[verdict.rule]
        line = self.line(verdict, rule, request)
        events, counted = [], []
        for action in verdict.actions[:-1]:
            if action.name == "count":
                counted.append(self.default(verdict, request) if verdict.rule is None else verdict.rule)
            else:
                events.append(self.told(action.name, request, request.value, line))
        return self.last(verdict.actions[-1], rule, request, address, Step(events, counted, "", 0, (0, None)), line)

    def default(self, verdict: Verdict, request: Request) -> str:
        if verdict.reason == "outside-window":
            return "default msr outside"
        return "default msr" if "msr" in request.kind else "default io"

    def told(self, name: str, request: Request, value: int, line: int) -> str:
        return f"{name}({request.kind},@,{request.width},{value:x},{request.cpl}:{line})"

    def line(self, verdict: Verdict, rule: Rule | None, request: Request) -> int:
        """The line that decided: of the rule, else of the default, 0 where nobody wrote one."""
        defaults = self.reading.defaults
        span = defaults.msr.span if "msr" in request.kind else defaults.io.span
        if rule is not None:
            span = rule.statement
        elif verdict.reason == "outside-window":
            span = defaults.outside_span
        elif verdict.reason == "past-last-port":
            span = None
        return 0 if span is None else span.line

    def last(self, action: Action, rule: Rule | None, request: Request, address: int, step: Step, line: int) -> Step:
        ones = (1 << 8 * request.width) - 1
        write = request.kind in ("wrmsr", "out")
        name = action.name
        if name in ("passthrough", "mask", "forward", "exit", "notify"):
            value = request.value
            keep, bits = (action.number("and"), action.number("or")) if name == "mask" else (ones, 0)
            if write:
                value = ((value & keep) | bits) & ones
            called = {"passthrough": "real", "mask": "real", "forward": name == "forward" and action.handler()}
            word = called.get(name, name)
            told = self.told(str(word), request, value, line if name in ("exit", "notify") else 0)
            answer = STATUSES[request.answer] if request.answer < len(STATUSES) else "refused"
            status = answer if answer in BELIEVED else "refused"
            result = REAL if word == "real" else HOOK
            if not write:
                result = ((result & keep) | bits) & ones
            return Step([*step.events, told], step.counted, status, result, (17, 0x1234))
        if name == "kill":
            return Step(
                [*step.events, self.told("kill", request, request.value, line)], step.counted, "kill", 0, (0, None)
            )
        if name == "inject":
            vector = action.number("vector")
            return step._replace(status="fault", fault=(vector, 0 if vector in ERROR_CODES else None))
        result = 0
        if name == "const":
            result = action.number("value") & ones
        elif name == "drop":
            result = ones if "msr" not in request.kind else 0
        elif name == "shadow" and not write and "msr" in request.kind:
            result = self.shadowed("msr", address)
        elif name == "shadow" and not write:
            touched = range(address, address + request.width)
            result = int.from_bytes(bytes(self.shadowed("io", port) for port in touched), "little")
        return step._replace(status="done", value=result)

    def shadowed(self, space: str, address: int) -> int:
        """What a reset gives one MSR or one port: by the first rule in force that shadows it. A port's is a byte of the
        value, whose bytes begin anew every access width (the smallest that the rule covers) from its range on."""
        rule = next(
            rule
            for _, rule in self.reading.rules
            if rule.space == space
            and rule.actions[-1].name == "shadow"
            and any(lo <= address <= hi for lo, hi in rule.ranges)
        )
        init = rule.actions[-1].number("init")
        if space == "msr":
            return init
        unit = min({2: 1, 3: 2, 4: 4, 5: 1, 6: 2, 7: 4}[column] for column in range(2, 8) if rule.columns >> column & 1)
        base = next(lo for lo, hi in rule.ranges if lo <= address <= hi)
        return init >> 8 * ((address - base) % unit) & 0xFF
