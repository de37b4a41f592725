"""``policyc verify BUNDLE``: let processors that others wrote execute the images, and compare with the evaluator."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.cli import policies
from policyc.cli.ending import as_ctrl_c_does
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.bundle.read import Bundle
    from policyc.reports.colour import Paint
    from policyc.verify.compare import Difference, Spot
    from policyc.verify.results import Executor, Listener, Result
    from policyc.verify.unseen import Unseen

SUMMARY = "execute a bundle's images on emulated processors, access by access, and compare with the policy"

EPILOG = """\
# on every executor that this machine has
policyc verify vm.bundle
# on chosen ones: a missing one is an error
policyc verify vm.bundle --on bochs-vmx,qemu-svm
# evidence, to be kept beside the bundle
policyc verify vm.bundle --format json > vm.verified.json
"""

ON = ("bochs-vmx", "bochs-svm", "qemu-svm", "kvm", "handler")
"""As policyc.verify.executors.EXECUTORS, which a test holds equal; here so that `help` need not import them."""

_SHOWN = 20
"""Differences of one executor that are printed; all are in the JSON."""

IMAGES = ("msr.bin", "io.bin", "msrpm.bin", "iopm.bin", "kvm_filter.json")
NO_GUEST = "no guest can tell, as no access reads it alone"

_BAR = 24
"""Columns of the progress bar."""


def arguments(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder")
    parser.add_argument("--on", type=_names, metavar="NAMES", help=f"{', '.join(ON)}, or several; else all but handler")
    parser.add_argument("--profile", metavar="NAME", help="this profile alone; else all that the bundle has")
    policies.add_format(parser)


def _names(word: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(each.strip() for each in word.split(",") if each.strip()))
    if not names or any(each not in ON for each in names):
        raise ValueError(f"executors are {', '.join(ON)}; several are joined by commas")
    return names


class Idle(NamedTuple):
    """An executor that was not run, and why."""

    name: str
    why: str


@as_ctrl_c_does
def run(args: Arguments) -> int:
    from policyc.bundle.read import load_altered
    from policyc.verify.unseen import unseen

    bundle, altered = load_altered(args.bundle)
    _known_profile(bundle, args.profile)
    chosen, idle = _chosen(bundle, args.on)
    results: list[Result] = []
    for executor in chosen:
        with _Bar() as bar:
            results += executor.verify(bundle, args.profile, bar.begin)
    hidden = unseen(bundle)
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(_fields(bundle, altered, results, idle, hidden)), end="")
    else:
        _tell(args, bundle, altered, results, idle, hidden)
    return int(bool(altered or hidden) or any(each.compared.differing for each in results))


def _known_profile(bundle: Bundle, profile: str | None) -> None:
    known = sorted({each.profile for each in bundle.manifest.variants if each.profile is not None})
    if profile is not None and profile not in known:
        raise UsageError(f"the bundle has no profile `{profile}`", f"it has {', '.join(known) or 'none'}")


def _chosen(bundle: Bundle, names: tuple[str, ...] | None) -> tuple[list[Executor], list[Idle]]:
    """The executors to run, and those that cannot be; UsageError where one of these was named, or none is left."""
    from policyc.verify.executors import EXECUTORS

    chosen, idle = [], []
    for executor in EXECUTORS:
        if executor.name in names if names is not None else executor.unasked:
            why = _why_not(bundle, executor)
            if why:
                idle.append(Idle(executor.name, why))
            else:
                chosen.append(executor)
    if idle and (names is not None or not chosen):
        *before, last = (each.name for each in idle)
        called = f"{', '.join(before)} and {last}" if before else last
        said = f"{called} cannot be run" if names is not None else "no executor can be run"
        raise UsageError(said, "; ".join(f"{each.name}: {each.why}" for each in idle))
    return chosen, idle


def _why_not(bundle: Bundle, executor: Executor) -> str:
    """Everything that keeps an executor from being run; empty if nothing does."""
    said = []
    if executor.target is not None and executor.target not in bundle.manifest.targets:
        said.append(f"the bundle has no {executor.target} images (policyc compile --target {executor.target})")
    for each in executor.missing():
        said.append(f"not installed: {each}" if each.startswith("apt ") else f"it needs {each}")
    return ", and ".join(said)


class _Bar:
    """A progress bar on standard error, if that is a terminal; gone at the end of its block."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __enter__(self) -> _Bar:
        return self

    def begin(self, words: str) -> Listener:
        """The bar at its beginning, with these words; what moves it on."""

        def show(share: float) -> None:
            if self._live:
                from policyc.reports.cells import safe

                filled = int(share * _BAR)
                bar = "#" * filled + "." * (_BAR - filled)
                sys.stderr.write(f"\r\x1b[K[{bar}] {int(share * 100):3} %  {safe(words)}")
                sys.stderr.flush()

        show(0.0)
        return show

    def __exit__(self, *reason: object) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _tell(
    args: Arguments,
    bundle: Bundle,
    altered: Sequence[str],
    results: Sequence[Result],
    idle: Sequence[Idle],
    hidden: Sequence[Unseen],
) -> None:
    from policyc.cli import console
    from policyc.reports.cells import safe
    from policyc.reports.tables import table

    paint = console.output_paint(args)
    shown = {each.spot.image for result in results for each in result.compared.differences if each.spot}
    for name in altered:
        silent = name.rpartition("/")[2] in IMAGES and name.rpartition("/")[2] not in shown
        more = "; no access that was executed shows it" if silent else ""
        print(f"{paint('error', 'altered')}: {safe(name)}: its SHA-256 is not the one in the manifest{more}")
    for result in results:
        for line in _differences(result, paint):
            print(line)
    for each in hidden[:_SHOWN]:
        where = f"{safe(each.path)} byte {each.byte} bit {each.bit}"
        print(f"{paint('error', 'unseen')}: {where} must be {each.must}: {NO_GUEST}")
    if len(hidden) > _SHOWN:
        print(f"  and {len(hidden) - _SHOWN:,} more, which --format json lists")
    total = sum(each.compared.accesses for each in results)
    differing = sum(each.compared.differing for each in results)
    said = f"{differing:,} differ from what the manifest says" if differing else "each as the manifest says"
    print(f"{safe(bundle.path)}: {total:,} accesses executed, {said}")
    for line in table(
        [*(_row(each) for each in results), *((each.name, "not run", each.why, "", "") for each in idle)]
    ):
        print(line)


def _row(result: Result) -> tuple[str, ...]:
    from policyc.reports.cells import safe

    compared = result.compared
    outcome = f"{compared.differing:,} differ" if compared.differing else "agrees"
    done = f"{compared.accesses:,} accesses in {result.seconds:.1f} s"
    return result.executor, outcome, result.tools[0], done, safe("; ".join(result.variants))


def _differences(result: Result, paint: Paint) -> list[str]:
    from policyc.reports.cells import safe

    lines = []
    for each in result.compared.differences[:_SHOWN]:
        where = f"{result.executor}, {safe(result.variants[0])}"
        lines.append(f"{paint('error', 'differs')}: {where}: {access_text(each)}: {safe(_said(each))}")
        if each.spot is not None:
            more = f"; {each.accesses:,} accesses differ for it" if each.accesses > 1 else ""
            lines.append(f"  {spot_text(each.spot)}{more}")
    if len(result.compared.differences) > _SHOWN:
        lines.append(f"  and {len(result.compared.differences) - _SHOWN:,} more, which --format json lists")
    return lines


def access_text(difference: Difference) -> str:
    """``rdmsr 0x10``, ``rep outs 0x3f8 width 2``."""
    width = "" if difference.form in ("rdmsr", "wrmsr") else f" width {difference.width}"
    return f"{difference.form} {difference.address:#x}{width}"


def spot_text(spot: Spot) -> str:
    """``io.bin byte 127 bit 0 must be 1``; KVM's bitmaps are several in one file, and of the other polarity."""
    if spot.range is None:
        return f"{spot.image} byte {spot.byte} bit {spot.bit} must be {spot.must}"
    means = "allow" if spot.must else "deny"
    return f"{spot.image} range {spot.range} byte {spot.byte} bit {spot.bit} must be {spot.must} ({means})"


def _said(difference: Difference) -> str:
    return f"expected {difference.expected} ({difference.rule}), found {difference.found}"


def _fields(
    bundle: Bundle, altered: Sequence[str], results: Sequence[Result], idle: Sequence[Idle], hidden: Sequence[Unseen]
) -> dict[str, Any]:
    from policyc import __version__

    return {
        "bundle": bundle.path,
        "policyc": __version__,
        "policy": bundle.manifest.policy,
        "files": [each._asdict() for each in bundle.manifest.files],
        "altered": list(altered),
        "unseen": [each._asdict() for each in hidden],
        "verified": not altered and not hidden and not any(each.compared.differing for each in results),
        "results": [
            {
                "executor": each.executor,
                "variants": list(each.variants),
                "tools": list(each.tools),
                "seconds": round(each.seconds, 2),
                "accesses": each.compared.accesses,
                "differing": each.compared.differing,
                "differences": [_difference(found) for found in each.compared.differences],
            }
            for each in results
        ],
        "not_run": [each._asdict() for each in idle],
    }


def _difference(found: Difference) -> dict[str, Any]:
    """image is empty where no bit is to blame. range: whose bitmap in kvm_filter.json. must: the bit's right value."""
    spot = found.spot
    return {
        "form": found.form,
        "address": found.address,
        "width": found.width,
        "expected": found.expected,
        "found": found.found,
        "rule": found.rule,
        "image": spot.image if spot else "",
        "range": spot.range if spot else None,
        "byte": spot.byte if spot else 0,
        "bit": spot.bit if spot else 0,
        "must": spot.must if spot else None,
        "accesses": found.accesses,
    }
