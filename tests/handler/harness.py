"""A generated handler in a process of its own, and its answers against the model's."""

from __future__ import annotations

import bisect
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from policyc.emitters import ctext, header, layout
from policyc.emitters.rows import profile_name
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import Policy, Variant
from policyc.vocabulary.access import MSR
from tests.handler.model import Model, Request
from tests.handler.samples import TARGETS, compiler, run, write_handler

HERE = Path(__file__).parent
WINDOWS = ((0, 0x1FFF), (0xC0000000, 0xC0001FFF), (0xC0010000, 0xC0011FFF))
OUTSIDE = ((0x2000, 0x20FF), (0x40000000, 0x400000FF), (0x4B564D00, 0x4B564D07), (0xC0002000, 0xC0002003))
EDGES = ((0xC000FFF0, 0xC000FFFF), (0xBFFFFFF0, 0xBFFFFFFF), (0xFFFFFFF0, 0xFFFFFFFF), (0xC0012000, 0xC0012003))


class Harness:
    """A policy's handler, compiled with the driver. flags: what the compiler is told beyond the language."""

    def __init__(
        self,
        policy: Policy,
        folder: Path,
        *,
        cc: str = "gcc",
        flags: Iterable[str] = ("-O1",),
        source: str | None = None,
    ) -> None:
        self.policy = policy
        self.variants = variants(policy)
        self.profiles = list(dict.fromkeys(each.profile for each in self.variants))
        laid = layout.lay_out(policy, {each: decide(policy, each) for each in self.variants})
        counting = [
            (asked.rule.number if asked.rule else asked.title, asked.slot)
            for asked in laid.asked
            if any(action.name == "count" for action in laid.actions[asked.actions])
        ]
        self.counters = [number for number, _ in counting]
        main = write_handler(policy, folder)
        if source is not None:
            main.write_text(source, encoding="ascii")
        prefix = ctext.prefix(policy.name)
        handlers = header.handlers(laid)
        (folder / "glue.h").write_text(
            "\n".join(
                [
                    '#include "exit_handler.h"',
                    f"#define TYPE(name) {prefix}_##name",
                    f"#define FUNCTION(name) {prefix}_##name",
                    f"static const struct {prefix}_profile *const PROFILES[] = {{",
                    *(f"\t&{profile_name(prefix, each)}," for each in self.profiles),
                    "};",
                    f"#define COUNTERS {len(counting)}u",
                    f"#define COUNTER_SLOTS {''.join(f'{slot}, ' for _, slot in counting)}",
                    "#define HANDLERS "
                    + " ".join(
                        f"FORWARD_{'MSR' if space == MSR else 'PORT'}({name})" for name, space in handlers.items()
                    ),
                    "",
                ]
            ),
            encoding="ascii",
        )
        self.program = folder / "driver"
        run([compiler(cc), "-std=c11", *flags, "-I", folder, HERE / "driver.c", main, "-o", self.program])

    def ask(self, variant: Variant, requests: Sequence[tuple[Request, int, int]]) -> list[list[tuple[int, int, str]]]:
        """The stretches that the driver prints for each request over addresses lo..hi."""
        vcpus = self.policy.vcpu_classes[variant.vcpu_class].vcpus
        profile = self.profiles.index(variant.profile)
        lines = [
            f"{r.target} {profile} {vcpus[0][0]} {r.kind} {r.width} {r.form} {r.value:x} {r.cpl} {r.answer} {lo:x} {hi:x}\n"
            for r, lo, hi in requests
        ]
        done = subprocess.run(
            [self.program], input="".join(lines), capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0, done.stderr[:4000]
        answers: list[list[tuple[int, int, str]]] = [[]]
        for line in done.stdout.splitlines():
            if line == ".":
                answers.append([])
                continue
            lo, hi, what = line.split(" ", 2)
            answers[-1].append((int(lo, 16), int(hi, 16), what))
        return answers[:-1]

    def mismatches(self, variant: Variant, requests: Sequence[tuple[Request, int, int]]) -> list[str]:
        """Where the handler does something else than the model, in words; at most one for each request."""
        model = Model(self.policy, variant, self.counters)
        found = []
        for (request, *_), stretches in zip(requests, self.ask(variant, requests), strict=True):
            edges = model.edges(request)
            for a, b, what in stretches:
                inner = edges[bisect.bisect_right(edges, a) : bisect.bisect_right(edges, b)]
                wrong = [at for at in (a, *inner) if model.expect(request, at) != what]
                if wrong:
                    want = model.expect(request, wrong[0])
                    found.append(f"{variant} {request} at {wrong[0]:#x}:\n  has  {what}\n  want {want}")
                    break
        return found


def requests(
    targets: Iterable[str] = TARGETS,
    values: Iterable[int] = (0x8000_0000_8000_0041, 0),
    cpls: Iterable[int] = (0, 3),
    forms: Iterable[str] = ("plain", "str", "rep"),
) -> list[tuple[Request, int, int]]:
    """Every port x width x direction x form, every MSR of the windows and samples outside x read and write."""
    out = []
    for target in targets:
        for cpl in cpls:
            for kind in ("rdmsr", "wrmsr"):
                for value in values if kind == "wrmsr" else (0,):
                    for lo, hi in (*WINDOWS, *OUTSIDE, *EDGES):
                        if target != "kvm" or lo != 0:
                            out.append((Request(target, kind, 8, "plain", value, cpl), lo, hi))
                        else:
                            # KVM keeps the x2APIC's MSRs to itself: no exit, no question.
                            out.append((Request(target, kind, 8, "plain", value, cpl), lo, 0x7FF))
                            out.append((Request(target, kind, 8, "plain", value, cpl), 0x900, hi))
            for width in (1, 2, 4):
                for form in forms:
                    out.append((Request(target, "in", width, form, 0, cpl), 0, 0xFFFF))
                    for value in values:
                        cut = value & ((1 << 8 * width) - 1)
                        out.append((Request(target, "out", width, form, cut, cpl), 0, 0xFFFF))
    return out
