"""``policyc show POLICY|BUNDLE|IMAGE``: what exits, in ranges with their names, and as a map on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.analyses.images import Exits
    from policyc.analyses.summary import Stretch
    from policyc.database.names import Database
    from policyc.semantics.policy import DecisionMap, Policy
    from policyc.vocabulary.intervals import Intervals

SUMMARY = "list what exits, with names and actions, for a policy, a bundle or a raw image"

EPILOG = """\
# what a policy says
policyc show vm.pol
# under one of its profiles
policyc show vm.pol --profile hardened
# what a bundle, or any image, makes exit
policyc show vm.bundle
policyc show msr.bin
# 8192 bytes can be two things
policyc show bitmap.dat --as msrpm
"""

AS = ("msr", "io", "msrpm", "iopm", "kvm")
_MOST_ROWS = 64
_CELLS, _MSR_ROWS, _PORT_ROWS = 64, 4, 16


def arguments(parser: Parser) -> None:
    parser.add_argument("subject", metavar="POLICY|BUNDLE|IMAGE", help="a policy, a bundle's folder, or a raw image")
    parser.add_argument("--as", dest="kind", choices=AS, help="what a raw image is, where its size does not say")
    parser.add_argument("--profile", metavar="NAME", help="under this profile; else the base policy")
    parser.add_argument(
        "--vcpu", type=policies.number, metavar="N", help="on this vCPU; else on one that no rule names"
    )
    parser.add_argument(
        "--map", choices=("auto", "always", "never"), default="auto", help="draw maps; auto: on a terminal"
    )
    parser.add_argument("--all", action="store_true", help=f"list every range, not only the first {_MOST_ROWS}")
    policies.add_from_ir(parser)
    policies.add_database(parser)
    policies.add_format(parser)


class Part(NamedTuple):
    """One address space of what is shown. exits: read and write sets for the map. rest: what else is to say."""

    title: str
    space: str
    windows: Intervals
    read: Intervals
    write: Intervals
    rows: tuple[Line, ...]
    rest: str


class Line(NamedTuple):
    """One range. access: ``read``, ``out, width 4``... does: what the policy says; ``exit`` for an image."""

    lo: int
    hi: int
    access: str
    does: str
    where: str
    name: str


class View(NamedTuple):
    """head: lines above everything. fields: the same for programs."""

    head: list[str]
    fields: dict[str, Any]
    parts: list[Part]


def run(args: Arguments) -> int:
    names = policies.database(args)
    view = _view(args, names)
    if args.format == "json":
        from policyc.reports.jsonform import document

        parts = [_part_fields(each) for each in view.parts]
        print(document({**view.fields, "spaces": parts}), end="")
        return 0
    draw = args.map == "always" or (args.map == "auto" and sys.stdout.isatty())
    print("\n".join([*view.head, *(line for part in view.parts for line in _drawn(part, draw, args.all))]))
    return 0


def _view(args: Arguments, names: Database) -> View:
    from policyc.analyses.images import kinds_of
    from policyc.cli.subjects import image_kind

    if args.from_ir:
        return _policy(args, names)
    if os.path.isdir(args.subject):
        return _bundle(args, names)
    if args.subject != "-" and (args.kind or not args.subject.endswith(".pol")):
        data = _bytes(args.subject)
        if args.kind or kinds_of(data):
            return _images(args, {image_kind(args.subject, data, args.kind): data}, names)
    return _policy(args, names)


def _bytes(path: str) -> bytes:
    from policyc.vocabulary.diagnostic import UnreadableError

    try:
        with open(path, "rb") as stream:
            return stream.read(1 << 24)
    except OSError as reason:
        raise UnreadableError(f"{path}: {reason.strerror}") from None


# policies


def _policy(args: Arguments, names: Database) -> View:
    from policyc.analyses.summary import summarise
    from policyc.architecture.vmx import MSR_WINDOWS
    from policyc.semantics.decide import decide
    from policyc.targets.traps import trapping, trapping_ports
    from policyc.vocabulary.access import IO, MSR, MSR_READ, MSR_WRITE

    policy = policies.front(args, args.subject, names).policy
    decisions = decide(policy, policies.variant(policy, args.profile, args.vcpu))
    summary = summarise(policy, decisions)
    traps = trapping(policy, decisions)
    ports = trapping_ports(traps)
    fields = {
        "policy": policy.name,
        "profile": args.profile,
        "profiles": [each.name for each in policy.profiles],
        "targets": [name for name, _ in policy.targets],
        "rules": len(policy.rules),
        "actions": _actions(policy),
    }
    head = [f"policy {policy.name}: {len(policy.rules)} rules in {_files(len(policy.modules))}"]
    if policy.profiles:
        head.append(f"profiles: {', '.join(each.name for each in policy.profiles)}")
    if args.profile:
        head.append(f"shown under profile {args.profile}")
    if fields["actions"]:
        said = ", ".join(f"{name} {count}" for name, count in _actions(policy).items())
        head.append(f"actions: {said}")
    parts = []
    for space, title, stretches in ((MSR, "MSRs", summary.msr), (IO, "I/O ports", summary.io)):
        lines = tuple(
            _policy_line(policy, each, space, names)
            for each in stretches
            if not _default_stretch(each, decisions, space)
        )
        read, write = (traps[MSR_READ], traps[MSR_WRITE]) if space == MSR else (ports, ports)
        windows = MSR_WINDOWS if space == MSR else ()
        parts.append(Part(title, space, windows, read, write, lines, f"everything else: {_default(decisions, space)}"))
    return View(head, fields, parts)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _actions(policy: Policy) -> dict[str, int]:
    """How many rules have each terminal action, most frequent first."""
    counts: dict[str, int] = {}
    for rule in policy.rules:
        name = rule.actions[-1].name if rule.traps else "allow"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _default(decisions: DecisionMap, space: str) -> str:
    from policyc.semantics.wording import actions_text
    from policyc.vocabulary.access import MSR

    default = decisions.defaults.msr if space == MSR else decisions.defaults.io
    text = f"exit -> {actions_text(default.actions)}" if default.traps else "passthrough"
    outside = f"; MSRs without a bit: {actions_text(decisions.defaults.outside)}" if space == MSR else ""
    return text + outside


def _default_stretch(stretch: Stretch, decisions: DecisionMap, space: str) -> bool:
    """Whether a range fares as the default says, whichever rules say the same."""
    from policyc.analyses.summary import Step
    from policyc.semantics.policy import PASSTHROUGH
    from policyc.vocabulary.access import MSR

    default = decisions.defaults.msr if space == MSR else decisions.defaults.io
    actions = default.actions if default.traps else PASSTHROUGH
    return bool((stretch.traps, stretch.steps) == (default.traps, (Step((), actions),)))


def _policy_line(policy: Policy, stretch: Stretch, space: str, names: Database) -> Line:
    from policyc.semantics.wording import actions_text, columns_text, condition_text

    said = []
    for step in stretch.steps:
        conditions = " and ".join(condition_text(each) for each in step.conditions)
        said.append(actions_text(step.actions) + (f" if {conditions}" if conditions else ""))
    rules = [policy.rules[number].statement for number in stretch.rules if number >= 0]
    where = " ".join(dict.fromkeys(f"{each.source.name}:{each.line}" for each in rules))
    name = _name(stretch.lo, stretch.hi, space, names)
    return Line(stretch.lo, stretch.hi, columns_text(stretch.columns), ", else ".join(said), where, name)


def _name(lo: int, hi: int, space: str, names: Database) -> str:
    """The database's name of the range, or those of its first and last address."""
    if space == "io":
        for entry in names.port_entries(lo):
            if (entry.lo, entry.hi) == (lo, hi):
                return entry.name
    find = names.msr_name if space == "msr" else names.port_name
    first, last = find(lo), find(hi)
    if lo == hi or first == last:
        return first or ""
    return f"{first or '...'} .. {last or '...'}" if first or last else ""


# images and bundles


def _images(args: Arguments, files: dict[str, bytes], names: Database) -> View:
    from policyc.analyses.images import read_image
    from policyc.vocabulary.diagnostic import UnreadableError

    parts = []
    for name, data in files.items():
        try:
            parts += [_image_part(read_image(name, data), names)]
        except ValueError as reason:
            raise UnreadableError(f"{args.subject}: {reason}") from None
    return View([], {"images": list(files)}, parts)


def _image_part(exits: Exits, names: Database) -> Part:
    from policyc.analyses.images import FILTER
    from policyc.semantics.wording import columns_text

    msr = exits.ports is None
    space = "msr" if msr else "io"
    does = "denied" if exits.image == FILTER else "exit"
    lines = tuple(
        Line(lo, hi, columns_text(columns), does, "", _name(lo, hi, space, names)) for lo, hi, columns in exits.ranges()
    )
    rest = "everything else passes"
    if msr and exits.image != FILTER:
        rest += "; MSRs outside " + " and ".join(f"{lo:#x}..{hi:#x}" for lo, hi in exits.windows) + " always exit"
    read, write = (exits.read or (), exits.write or ()) if msr else (exits.ports or (), exits.ports or ())
    from policyc.architecture.vmx import MSR_WINDOWS

    windows = (MSR_WINDOWS if exits.image == FILTER else exits.windows) if msr else ()
    return Part(f"{exits.image}: {'MSRs' if msr else 'I/O ports'}", space, windows, read, write, lines, rest)


def _bundle(args: Arguments, names: Database) -> View:
    from policyc.analyses.images import KINDS
    from policyc.bundle.read import load

    bundle = load(args.subject)
    manifest = bundle.manifest
    files: dict[str, bytes] = {}
    for target in manifest.targets:
        try:
            files |= bundle.images(target, args.profile or manifest.profile, 4095 if args.vcpu is None else args.vcpu)
        except KeyError:
            known = ", ".join(sorted({each.profile for each in manifest.variants if each.profile})) or "none"
            raise UsageError(f"the bundle has no profile `{args.profile}`", f"its profiles: {known}") from None
    view = _images(args, {kind: files[kind] for kind in KINDS if kind in files}, names)
    profiles = sorted({each.profile for each in manifest.variants if each.profile})
    head = [
        f"bundle of policy {manifest.policy}, made by policyc {manifest.policyc}",
        f"targets: {', '.join(manifest.targets)}; {len(manifest.files)} files, all as the manifest says",
    ]
    if profiles:
        head.append(f"profiles: {', '.join(profiles)}")
    fields = {
        "policy": manifest.policy,
        "policyc": manifest.policyc,
        "targets": list(manifest.targets),
        "profile": args.profile or manifest.profile,
        "profiles": profiles,
        "files": [each._asdict() for each in manifest.files],
    }
    return View(head, {**fields, **view.fields}, view.parts)


# output


def _part_fields(part: Part) -> dict[str, Any]:
    return {
        "title": part.title,
        "space": part.space,
        "ranges": [each._asdict() for each in part.rows],
        "exits": {"read": part.read, "write": part.write} if part.space == "msr" else {"ports": part.read},
    }


def _drawn(part: Part, draw: bool, every: bool) -> list[str]:
    lines = ["", f"{part.title}: {_counts(part)}"]
    if draw:
        lines += _maps(part)
    shown = part.rows if every else part.rows[:_MOST_ROWS]
    lines += _listed(shown)
    if len(shown) < len(part.rows):
        lines.append(f"  ... {len(part.rows) - len(shown)} more ranges: --all lists them")
    lines.append(f"  {part.rest}")
    return lines


def _counts(part: Part) -> str:
    from policyc.vocabulary.intervals import intersect, size

    if part.space == "io":
        return f"{size(part.read):,} of 65,536 ports exit"
    read, write = (size(intersect(each, part.windows)) for each in (part.read, part.write))
    whole = sum(hi - lo + 1 for lo, hi in part.windows)
    return f"{read:,} reads and {write:,} writes of {whole:,} MSRs exit"


def _listed(lines: Sequence[Line]) -> list[str]:
    from policyc.reports.cells import safe
    from policyc.reports.tables import table
    from policyc.semantics.wording import range_text

    return table(
        [(range_text(each.lo, each.hi), each.access, each.does, each.name, safe(each.where)) for each in lines]
    )


def _maps(part: Part) -> list[str]:
    """The space in rows of characters; beside each row, what exits in it, as far as the terminal is wide."""
    from shutil import get_terminal_size

    from policyc.reports.charts import chart, legend, signs

    with_ = signs(sys.stdout.encoding)
    windows, rows = (((0, 0xFFFF),), _PORT_ROWS) if part.space == "io" else (part.windows, _MSR_ROWS)
    lines: list[str] = []
    for lo, hi in windows:
        drawn = chart(lo, hi, part.read, part.write, with_, _CELLS, rows)
        step = (hi - lo + 1) // rows
        for number, line in enumerate(drawn):
            room = get_terminal_size().columns - len(line) - 5
            lines.append(f"  {line}  {_beside(part, lo + number * step, lo + (number + 1) * step - 1, room)}".rstrip())
        lines.append("")
    return ["", *lines[:-1], f"  {legend(with_, part.space == 'msr')}", ""]


def _beside(part: Part, lo: int, hi: int, room: int) -> str:
    """The ranges that begin in lo..hi, with their names, as many as there is room for."""
    from policyc.semantics.wording import range_text

    said = ""
    for each in part.rows:
        if not lo <= each.lo <= hi or each.does == "passthrough":
            continue
        more = f"{', ' if said else ''}{range_text(each.lo, each.hi)} {each.name}".rstrip()
        if len(said) + len(more) > room:
            return f"{said} ..." if said else ""
        said += more
    return said
