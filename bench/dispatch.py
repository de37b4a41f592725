"""Times the exit handler's dispatch against a linear scan, a plain binary search, a switch and a direct table.

Each variant of the handler is built for policies of 10, 100, 1,000 and 4,000 port ranges. All variants are the same
handler; only its find_port() differs.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import NamedTuple

from bench.common import plots
from bench.common.figures import Figure, Result
from policyc.emitters import handler
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import EXIT, LAYER_MAIN, Action, Policy, Rule, Run
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.span import Source, Span

SIZES = (10, 100, 1000, 4000)
TRAFFIC = ("uniform", "hot")
FLAGS = ("-std=gnu11", "-O2", "-ffreestanding")
SAMPLES = 8192
ROUNDS = 200
HERE = Path(__file__).parent
SIGNATURE = "static inline uint32_t find_port(const struct policyc_table *table,\n\t\t\t\t uint32_t port)\n"


class Row(NamedTuple):
    """One measurement. bytes_: text and read-only data of the object file."""

    way: str
    ranges: int
    traffic: str
    nanoseconds: float
    cycles: int
    bytes_: int


def policy(ranges: int, seed: int = 1) -> Policy:
    """That many disjoint ranges of one to eight ports, spread over the port space, of six kinds of action."""
    chance = random.Random(seed)
    starts = sorted(chance.sample(range(65536 // 16), ranges)) if ranges <= 4096 else []
    kinds = (
        EXIT,
        (Action("drop"),),
        (Action("const", (("value", 7),)),),
        (Action("count"), Action("drop")),
        (Action("passthrough"),),
        (Action("mask", (("and", 0xFE), ("or", 0))),),
    )
    source = Source("bench.pol", "\n" * ranges)
    rules = []
    for number, start in enumerate(starts):
        lo = start * 16 + chance.randrange(0, 8)
        hi = lo + chance.randrange(0, 8)
        span = Span(source, number, number)
        rules.append(
            Rule(
                number, "intercept", IO, ((lo, hi),), IO_MASK, (), None, kinds[number % len(kinds)], LAYER_MAIN, None,
                0, None, (), span, span,
            )
        )  # fmt: skip
    from policyc.semantics.policy import PASSTHROUGH, Default, Defaults, VcpuClass

    passing = Default(False, PASSTHROUGH, None)
    return Policy(
        "vm", 1, (), Defaults(passing, passing, EXIT, None), tuple(rules), (), (VcpuClass("rest", ((0, 4095),)),), (),
        (), (), (), "",
    )  # fmt: skip


def linear(runs: tuple[Run, ...]) -> str:
    return "\tuint32_t run = 0;\n\twhile (table->runs[run].last < port)\n\t\trun++;\n\treturn run;\n"


def bsearch(runs: tuple[Run, ...]) -> str:
    return (
        "\tuint32_t low = 0, high = table->last;\n\twhile (low < high) {\n\t\tuint32_t middle = (low + high) / 2;\n"
        "\t\tif (table->runs[middle].last < port)\n\t\t\tlow = middle + 1;\n\t\telse\n\t\t\thigh = middle;\n\t}\n"
        "\treturn low;\n"
    )


def switch(runs: tuple[Run, ...]) -> str:
    cases = "".join(f"\tcase {run.lo} ... {run.hi}: return {number};\n" for number, run in enumerate(runs))
    return f"\t(void)table;\n\tswitch (port) {{\n{cases}\tdefault: return 0;\n\t}}\n"


def direct(runs: tuple[Run, ...]) -> str:
    numbers = [str(number) for number, run in enumerate(runs) for _ in range(run.lo, run.hi + 1)]
    return f"\tstatic const uint16_t direct[65536] = {{{','.join(numbers)}}};\n\t(void)table;\n\treturn direct[port];\n"


WAYS: dict[str, Callable[[tuple[Run, ...]], str] | None] = {
    "policyc": None, "linear scan": linear, "binary search": bsearch, "switch": switch, "direct table": direct,
}  # fmt: skip


def traffic(kind: str, ranges: int, subject: Policy) -> str:
    """Ports, one a line. uniform: any port of any rule; hot: nine of ten go to three ports."""
    chance = random.Random(2)
    known = [lo for rule in subject.rules for lo, _ in rule.ranges]
    hot = chance.sample(known, 3)
    if kind == "uniform":
        ports = [chance.choice(known) for _ in range(SAMPLES)]
    else:
        ports = [chance.choice(hot) if chance.random() < 0.9 else chance.choice(known) for _ in range(SAMPLES)]
    return "\n".join(map(str, ports))


def variant(source: str, body: str) -> str:
    """The handler with another find_port()."""
    start = source.index(SIGNATURE)
    stop = source.index("\n}\n", start) + 3
    return source[:start] + SIGNATURE + "{\n" + body + "}\n" + source[stop:]


def measure(ranges: int, folder: Path) -> list[Row]:
    subject = policy(ranges)
    maps = {each: decide(subject, each) for each in variants(subject)}
    images = {image.name: image.data for image in handler.emit(subject, maps, ("vmx",))}
    (folder / "exit_handler.h").write_bytes(images["exit_handler.h"])
    runs = next(iter(maps.values())).columns[2]
    rows = []
    for way, make in WAYS.items():
        text = images["exit_handler.c"].decode("ascii")
        if make is not None:
            text = variant(text, make(runs))
        (folder / "exit_handler.c").write_text(text, encoding="ascii")
        subprocess.run(["gcc", *FLAGS, "-c", "exit_handler.c", "-o", "handler.o"], cwd=folder, check=True)
        command: list[str | Path] = [
            "gcc",
            "-std=gnu11",
            "-O2",
            "-I.",
            HERE / "dispatch.c",
            "handler.o",
            "-o",
            "dispatch",
        ]
        subprocess.run(command, cwd=folder, check=True)
        sizes = subprocess.run(["size", "handler.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
        text_bytes, data_bytes = map(int, sizes.splitlines()[1].split()[:2])
        for kind in TRAFFIC:
            done = subprocess.run(
                [folder / "dispatch", str(ROUNDS)], input=traffic(kind, ranges, subject), capture_output=True, text=True,
                check=True,
            )  # fmt: skip
            nanoseconds, cycles = done.stdout.split()
            rows.append(Row(way, ranges, kind, float(nanoseconds), int(cycles), text_bytes + data_bytes))
    return rows


SUMMARY = "nanoseconds from call to return of the exit handler, by the way it finds a port's run"


def lacking() -> str:
    return "" if which("gcc") and which("size") else "gcc (apt-get install gcc)"


def result(quick: bool) -> Result:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES[:2] if quick else SIZES:
            rows += measure(size, Path(folder))
    figures = []
    for row in rows:
        name = f"{row.way}, {row.ranges:,} ranges, {row.traffic}"
        figures.append(Figure(name, row.nanoseconds, "ns"))
        if row.traffic == "uniform":
            figures.append(Figure(f"{row.way}, {row.ranges:,} ranges, code and tables", row.bytes_, "bytes"))
    uniform = {way: [(r.ranges, r.nanoseconds) for r in rows if (r.way, r.traffic) == (way, "uniform")] for way in WAYS}
    drawn = plots.lines(uniform, "port ranges in the policy", "ns per exit", thick="policyc")
    return Result(tuple(figures), {"dispatch.svg": drawn})
