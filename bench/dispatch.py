"""Times the exit handler's dispatch against a linear scan, a plain binary search, a switch and a direct table.

Each variant of the handler is built for policies of 10, 100, 1,000 and 4,000 port ranges. All variants are the same
handler; only its look_up() differs. Each finds the run of an address in whichever table it is asked for, as the
handler's own does, and the run's kind beside it, so that what follows is the same code on the same answer. A figure is the median over several draws of the traffic, of the fastest of interleaved repetitions: which three
ports are hot, and which actions these have, moves every way by nanoseconds.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import which
from statistics import median
from typing import NamedTuple

from bench.common import plots
from bench.common.figures import Figure, Result
from policyc.emitters import handler, layout
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import EXIT, LAYER_MAIN, Action, Policy, Rule
from policyc.vocabulary.access import IN1, IN2, IN4, IO, IO_MASK, OUT1, OUT2, OUT4
from policyc.vocabulary.span import Source, Span

SIZES = (10, 100, 1000, 4000)
TRAFFIC = ("uniform", "hot")
FLAGS = ("-std=gnu11", "-O2", "-ffreestanding")
SAMPLES = 65536
"""Exits of one draw: so many that a processor does not learn them by heart, as it does with some thousands."""
DRAWS = 5
REPEATS = 5
MILLISECONDS = 12
"""Of one run; several rounds over the draw, but for a long scan."""
INS, OUTS = 1 << IN1 | 1 << IN2 | 1 << IN4, 1 << OUT1 | 1 << OUT2 | 1 << OUT4
DIRECTIONS = (IO_MASK, IO_MASK, INS, OUTS)
"""Whom the rules are for: half of them for both directions, so that IN and OUT have tables of their own."""
HERE = Path(__file__).parent
SIGNATURE = "static inline struct policyc_found look_up(const struct policyc_table *table,\n"
OURS = "policyc"
DIRECT = "direct table"


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
                number, "intercept", IO, ((lo, hi),), chance.choice(DIRECTIONS), (), None, kinds[number % len(kinds)], LAYER_MAIN, None,
                0, None, (), span, span,
            )
        )  # fmt: skip
    from policyc.semantics.policy import PASSTHROUGH, Default, Defaults, VcpuClass

    passing = Default(False, PASSTHROUGH, None)
    return Policy(
        "vm", 1, (), Defaults(passing, passing, EXIT, None), tuple(rules), (), (VcpuClass("rest", ((0, 4095),)),), (),
        (), (), (), "",
    )  # fmt: skip


def linear(table: layout.Table) -> str:
    return "\tuint32_t run = 0;\n\twhile (table->runs[run].last < port)\n\t\trun++;\n\treturn run;\n"


def bsearch(table: layout.Table) -> str:
    return (
        "\tuint32_t low = 0, high = table->last;\n\twhile (low < high) {\n\t\tuint32_t middle = (low + high) / 2;\n"
        "\t\tif (table->runs[middle].last < port)\n\t\t\tlow = middle + 1;\n\t\telse\n\t\t\thigh = middle;\n\t}\n"
        "\treturn low;\n"
    )


def switch(table: layout.Table) -> str:
    cases = "".join(f"\tcase {run.lo} ... {run.hi}: return {number};\n" for number, run in enumerate(table.runs))
    return f"\t(void)table;\n\tswitch (port) {{\n{cases}\tdefault: return 0;\n\t}}\n"


def direct(table: layout.Table) -> str:
    numbers = [str(number) for number, run in enumerate(table.runs) for _ in range(run.lo, run.hi + 1)]
    return f"\tstatic const uint16_t direct[65536] = {{{','.join(numbers)}}};\n\t(void)table;\n\treturn direct[port];\n"


WAYS: dict[str, Callable[[layout.Table], str] | None] = {
    OURS: None, "linear scan": linear, "binary search": bsearch, "switch": switch, DIRECT: direct,
}  # fmt: skip


def traffic(kind: str, subject: Policy, draw: int) -> str:
    """Exit qualifications of INs and OUTs of a byte, one a line.

    uniform: the first port of any rule; hot: nine of ten go to three of them, each in one direction.
    """
    chance = random.Random(draw)
    known = []
    for rule in subject.rules:
        into = [1 << 3] if rule.columns & INS else []
        out = [0] if rule.columns & OUTS else []
        known.append(chance.choice(into + out) | rule.ranges[0][0] << 16)
    hot = chance.sample(known, 3)
    often = 0.9 if kind == "hot" else 0
    return "\n".join(str(chance.choice(hot if chance.random() < often else known)) for _ in range(SAMPLES))


def variant(source: str, laid: layout.Layout, make: Callable[[layout.Table], str]) -> str:
    """The handler with another look_up(): for each of the policy's port tables a function that finds a port's run."""
    start = source.index(SIGNATURE)
    body = source.index("{\n", start)
    stop = source.index("\n}\n", start) + 3
    before, choice = [], []
    for table in laid.tables:
        if table.space != IO:
            continue
        number = table.number
        kinds = ",".join(str(each) for each in table.kinds)
        before += [
            f"static const struct policyc_run vm_table_{number}_runs[{len(table.runs)}];",
            f"static const uint8_t kinds_{number}[] = {{{kinds}}};",
            f"static inline uint32_t find_{number}(const struct policyc_table *table, uint32_t port)",
            f"{{\n{make(table)}}}",
        ]
        choice.append(
            f"\tif (table->runs == vm_table_{number}_runs) {{\n\t\tconst uint32_t run = find_{number}(table, place);\n"
            f"\t\tconst struct policyc_found found = {{ &vm_table_{number}_runs[run], kinds_{number}[run] }};\n"
            "\t\treturn found;\n\t}"
        )
    own = source[start:stop].replace("look_up", "look_up_in_pages", 1)
    text = "\n".join(
        [own, *before, source[start:body] + "{", *choice, "\treturn look_up_in_pages(table, place);", "}", ""]
    )
    return source[:start] + text + source[stop:]


def build(ranges: int, folder: Path) -> tuple[Policy, dict[str, int]]:
    """A program for each way, named after it, in the folder; and the bytes of each one's handler."""
    subject = policy(ranges)
    maps = {each: decide(subject, each) for each in variants(subject)}
    laid = layout.lay_out(subject, maps)
    images = {image.name: image.data for image in handler.emit(subject, maps, ("vmx",))}
    (folder / "exit_handler.h").write_bytes(images["exit_handler.h"])
    sizes = {}
    for way, make in WAYS.items():
        text = images["exit_handler.c"].decode("ascii")
        (folder / "exit_handler.c").write_text(text if make is None else variant(text, laid, make), encoding="ascii")
        subprocess.run(["gcc", *FLAGS, "-c", "exit_handler.c", "-o", "handler.o"], cwd=folder, check=True)
        command = ["gcc", "-std=gnu11", "-O2", "-I.", str(HERE / "dispatch.c"), "handler.o", "-o", way]
        subprocess.run(command, cwd=folder, check=True)
        said = subprocess.run(["size", "handler.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
        sizes[way] = sum(map(int, said.splitlines()[1].split()[:2]))
    return subject, sizes


def once(program: Path, exits: str) -> tuple[float, int]:
    """Nanoseconds and cycles of an exit."""
    done = subprocess.run([program, str(MILLISECONDS)], input=exits, capture_output=True, text=True, check=True)
    nanoseconds, cycles = done.stdout.split()
    return float(nanoseconds), int(cycles)


def measure(ranges: int, folder: Path) -> list[Row]:
    subject, sizes = build(ranges, folder)
    rows = []
    for kind in TRAFFIC:
        best: dict[str, list[tuple[float, int]]] = {way: [] for way in WAYS}
        for draw in range(DRAWS):
            exits = traffic(kind, subject, draw)
            turns = [{way: once(folder / way, exits) for way in WAYS} for _ in range(REPEATS)]
            for way in WAYS:
                best[way].append(min(turn[way] for turn in turns))
        for way, found in best.items():
            spent = median(nanoseconds for nanoseconds, _ in found)
            rows.append(Row(way, ranges, kind, spent, round(median(cycles for _, cycles in found)), sizes[way]))
    return rows


SUMMARY = "nanoseconds from call to return of the exit handler, by the way it finds a port's run"
MOST_OF_A_SEARCH, MOST_OF_DIRECT, MOST_GROWTH = 1.05, 2, 3
"""What is promised: no slower than the best search (but for the noise of a busy machine), within twice a direct table."""


def lacking() -> str:
    return "" if which("gcc") and which("size") else "gcc (apt-get install gcc)"


def result(quick: bool) -> Result:
    rows: list[Row] = []
    sizes = SIZES[:2] if quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            rows += measure(size, Path(folder))
    figures = []
    for row in rows:
        name = f"{row.way}, {row.ranges:,} ranges, {row.traffic}"
        figures += [Figure(name, row.nanoseconds, "ns"), Figure(f"{name}, cycles", row.cycles, "cycles")]
        if row.traffic == "uniform":
            figures.append(Figure(f"{row.way}, {row.ranges:,} ranges, code and tables", row.bytes_, "bytes"))
    figures += promises(rows, sizes)
    uniform = {way: [(r.ranges, r.nanoseconds) for r in rows if (r.way, r.traffic) == (way, "uniform")] for way in WAYS}
    drawn = plots.lines(uniform, "port ranges in the policy", "ns per exit", thick=OURS)
    return Result(tuple(figures), {"dispatch.svg": drawn})


def promises(rows: list[Row], sizes: tuple[int, ...]) -> list[Figure]:
    """policyc's time beside the others'."""
    time = {(row.way, row.ranges, row.traffic): row.nanoseconds for row in rows}
    searches = [way for way in WAYS if way not in (OURS, DIRECT)]
    found = []
    for kind in TRAFFIC:
        for ranges in sizes:
            ours, best = time[OURS, ranges, kind], min(time[way, ranges, kind] for way in searches)
            told = f"{OURS}, {ranges:,} ranges, {kind}"
            found.append(Figure(f"{told}, of the best search", ours / best, "x", MOST_OF_A_SEARCH))
            found.append(Figure(f"{told}, of a direct table", ours / time[DIRECT, ranges, kind], "x", MOST_OF_DIRECT))
        growth = time[OURS, sizes[-1], kind] / time[OURS, sizes[0], kind]
        found.append(Figure(f"{OURS}, {kind}, growth to {sizes[-1]:,} ranges", growth, "x", MOST_GROWTH))
    return found
