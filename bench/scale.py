"""What large policies cost: 20,000 and 100,000 lines, 1,000 profiles, 20,000 rules in one place, 100,000 mistakes.

Times are those of a bare interpreter in the same run; *growth* is how many times as long five times the lines take.
The kinds of policies are those of ``bench.policies``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import parsers
from bench.common import plots
from bench.common.cost import process, root, turns
from bench.common.figures import Figure, Result
from bench.policies import KINDS

SUMMARY = "time and memory of check on large policies, in times of a bare interpreter"

SIZES = (20_000, 100_000)
GROWTH, CLASHING = 5.5, 3.0
"""Promised: times as long for five times the lines; 20,000 rules in one place against as many apart."""
_OURS = "import sys; sys.path.insert(0, sys.argv.pop(1)); from policyc.__main__ import main; sys.exit(main())"
HEAD = "language 1\ntarget vmx, svm\ndefault passthrough\n"


def lacking() -> str:
    return ""


def profiles(count: int) -> str:
    """A base of 97 rules, and profiles of three rules each."""
    rules = [f"intercept io {64 * number:#x}..{64 * number + 7:#x} out" for number in range(97)]
    for number in range(count):
        own = [f"    intercept io {(number * 61 + each * 17) % 0x10000:#x} in -> drop" for each in range(3)]
        rules += [f"profile p{number} {{", *own, "}"]
    return HEAD + "\n".join(rules) + "\n"


def apart(count: int) -> str:
    """At most 21,845 rules."""
    return HEAD + "".join(f"intercept io {3 * n:#x}..{3 * n + 1:#x} in width 4 -> drop\n" for n in range(count))


def clashing(count: int) -> str:
    """Ranges inside ranges, each with an action of its own: every rule clashes with all others."""
    return HEAD + "".join(f"intercept io {n:#x}..{0xFFFF - n:#x} in width 4 -> const({n})\n" for n in range(count))


def mistakes(count: int) -> str:
    return HEAD + "".join(f"intercept msr FOO_{n}\n" for n in range(count))


def many(count: int) -> str:
    """Labels, and a set of as many items."""
    labels = "".join(f"label_{n}: intercept io {n * 2 + 1:#x} in\n" for n in range(count))
    return (
        HEAD + labels + f"let io MANY = {{ {', '.join(f'{n * 3:#x}' for n in range(count))} }}\nintercept io MANY out\n"
    )


def result(quick: bool) -> Result:
    sizes = (4000, 20_000) if quick else SIZES
    texts: dict[str, tuple[str, int]] = {
        f"{kind}, {size:,} lines": (make(size), 0) for kind, make in KINDS.items() for size in sizes
    }
    texts |= {
        "100 profiles": (profiles(100), 0),
        "1,000 profiles": (profiles(1000), 0),
        "20,000 rules apart": (apart(20_000), 0),
        "20,000 rules in one place": (clashing(20_000), 1),
        "100,000 mistakes": (mistakes(100_000), 1),
        "10,000 labels, a set of 10,000": (many(10_000), 0),
    }
    least: dict[str, float] = {}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        tries: dict[str, Callable[[], float]] = {"bare": partial(_bare, Path(place))}
        for name, (text, status) in texts.items():
            path = Path(place, f"{len(tries)}.pol")
            path.write_text(text, encoding="ascii")
            tries[name] = partial(_check, name, path, status, peaks)
        tries["200 imports"] = partial(_check, "200 imports", _imports(Path(place)), 0, peaks)
        least = turns(tries, 2 if quick else 3)
    return Result(_figures(least, peaks, sizes) + parsers.figures(quick), {"scale.svg": _plot(least, sizes)})


def _imports(folder: Path) -> Path:
    for number in range(200):
        Path(folder, f"m{number}.pol").write_text(f"language 1\nintercept io {number:#x}\n", encoding="ascii")
    main = Path(folder, "imports.pol")
    main.write_text(HEAD + "".join(f'import "m{number}.pol"\n' for number in range(200)), encoding="ascii")
    return main


def _bare(folder: Path) -> float:
    return process([sys.executable, "-c", "pass"], folder).seconds


def _check(name: str, path: Path, status: int, peaks: dict[str, int]) -> float:
    cost = process([sys.executable, "-c", _OURS, root(), "check", path], path.parent, status)
    peaks[name] = min(cost.peak, peaks.get(name, cost.peak))
    return cost.seconds


def _figures(least: dict[str, float], peaks: dict[str, int], sizes: tuple[int, int]) -> tuple[Figure, ...]:
    out = []
    for name, peak in peaks.items():
        out.append(Figure(name, least[name] / least["bare"], "x bare"))
        out.append(Figure(f"{name}: time", least[name], "s"))
        out.append(Figure(f"{name}: memory", peak / 1e6, "MB"))
    for kind in KINDS:
        few, more = (least[f"{kind}, {size:,} lines"] for size in sizes)
        out.append(Figure(f"{kind}: growth", more / few, "x", GROWTH))
    ten = least["1,000 profiles"] / least["100 profiles"]
    out.append(Figure("profiles: growth over ten times as many", ten, "x", 11.0))
    worst = least["20,000 rules in one place"] / least["20,000 rules apart"]
    out.append(Figure("20,000 rules in one place, against apart", worst, "x", CLASHING))
    return tuple(out)


def _plot(least: dict[str, float], sizes: tuple[int, int]) -> str:
    series = {kind: [(float(size), least[f"{kind}, {size:,} lines"]) for size in sizes] for kind in KINDS}
    return plots.lines(series, "lines", "seconds of processor time")
