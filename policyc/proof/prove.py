"""Compare, for every access there is, the evaluator with the decision maps and with the images about to be written.

Two derivations of every verdict meet here. One is the compiler's: ``decide`` sweeps the rules, a target turns runs
into bytes. The other is ``evaluate``: one access, the rules, the manual's words. They share the rules, not code.

How all of 2^32 MSRs and 65,536 ports are compared in milliseconds, and why nothing is missed:

* The space is cut into cells (policyc.proof.cells) that the same rules cover. The evaluator reads an address only to
  ask which rules cover it, whether it has a bit, and whether KVM filters it; all three are constant in a cell, so its
  verdict is. It is asked at the cell's first address, once a column and target. Cells that rules of the same kinds
  cover are asked once: the evaluator reads nothing else of a rule.
* Cells only say what is *expected*. What is *found* is never cut: the expected bits are written out address by address
  and the image is compared with them as one number; a wrong bit is a difference wherever it lies. The map's runs are
  compared whole with the cells' chains, and must cover the space without gap.
* A wide port access exits by the bits of the ports it touches: the evaluator says so in two steps (port_traps, then
  port_exits), and reads of a port nothing but its bit in the second. The first is asked about each cell, the second
  about each combination of set and clear bits that any start port meets, and the answer holds for all that meet it.
  What the hardware does is computed from the image by or-ing each start port's bits.
* Conditions: a bit cannot depend on a written value, so it is compared as it is. The decision map keeps the order in
  which rules are asked; this chain is compared with the evaluator's. From equal chains follow equal verdicts for every
  value and CPL: the decision is the chain's first rule whose conditions hold (rule 4 of the law).

What is not proven here but assumed is in docs/proof.md. policyc.proof.exhaustive does the same by the literal loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from policyc.proof.expected import KIND_NAMES, Chains, Sheet
from policyc.proof.kvm import FilterError, denied
from policyc.proof.kvm import read as read_filter
from policyc.proof.mismatch import Compared, Findings, Mismatch, Proof, ProofError
from policyc.proof.overlay import Family
from policyc.proof.rows import MSR_IMAGE, PORT_IMAGE, PORTS, consulted, exits, holder, port_bits, positions
from policyc.proof.shape import KVM_IMAGE, check_shape
from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Defaults, Policy, Run, Variant
from policyc.targets.base import Image
from policyc.vocabulary.access import (
    COLUMN_WIDTHS,
    COLUMNS,
    IO,
    IO_COLUMNS,
    MSR_COLUMNS,
    MSR_LAST,
    MSR_WRITE,
    PORT_LAST,
    Access,
    column_space,
)
from policyc.vocabulary.intervals import size, subtract, union

__all__ = ["Compared", "Images", "Mismatch", "Proof", "ProofError", "prove"]

Images = Mapping[str, tuple[Image, ...]]
"""By target, the images of one variant."""
PORT_WIDTHS = sorted({COLUMN_WIDTHS[column] for column in IO_COLUMNS})


def prove(policy: Policy, maps: Mapping[Variant, DecisionMap], images: Mapping[Variant, Images]) -> Proof:
    """Compare every variant's map and images with the evaluator over the whole domain.

    images may be of any subset of targets, the same one for every variant. Raises ProofError where anything differs,
    is missing or is not known; nothing may then be written.
    """
    findings = Findings()
    check_shape(policy, maps, images, findings)
    findings.settle()
    targets = frozenset(target for each in images.values() for target in each)
    family = Family(policy, targets)
    for variant, decisions in maps.items():
        defaults, sheets = family.sheets(variant)
        _compare_map(variant, defaults, sheets, decisions, findings)
        files = {image.name: image.data for each in images[variant].values() for image in each}
        for target in images[variant]:
            _compare_images(variant, target, sheets, files, findings)
    findings.settle()
    return Proof(_counts(sorted(targets), len(maps)), len(maps), len(maps) - len(family.different))


def _counts(targets: list[str], variants: int) -> tuple[Compared, ...]:
    """Accesses compared. KVM has no image for ports; a target's MSRs without a bit are the map's alone."""
    out = [Compared("map", kind, (MSR_LAST + 1) * variants) for kind in ("rdmsr", "wrmsr")]
    out += [Compared("map", kind, PORTS * len(PORT_WIDTHS) * variants) for kind in ("in", "out")]
    for target in targets:
        msrs = MSR_LAST + 1 if target == "kvm" else consulted(MSR_IMAGE[target]).bit_count() // 2
        out += [Compared(target, kind, msrs * variants) for kind in ("rdmsr", "wrmsr")]
        if target in PORT_IMAGE:
            out += [Compared(target, kind, PORTS * len(PORT_WIDTHS) * variants) for kind in ("in", "out")]
    return tuple(out)


def _compare_map(
    variant: Variant, defaults: Defaults, sheets: tuple[Sheet, ...], decisions: DecisionMap, findings: Findings
) -> None:
    where = "decision map"
    if decisions.variant != variant or decisions.defaults != defaults:
        findings.add(Mismatch(variant, where, None, f"{variant} and its defaults", f"{decisions.variant}"))
    if len(decisions.columns) != len(COLUMNS):
        findings.add(Mismatch(variant, where, None, f"{len(COLUMNS)} columns", f"{len(decisions.columns)}"))
        return
    for column in COLUMNS:
        sheet, found = sheets[column_space(column) == IO], decisions.columns[column]
        if not sheet.holds(column, found):
            _compare_runs(variant, column, sheet.runs(column), found, findings)


def _compare_runs(variant: Variant, column: int, expected: Chains, found: tuple[Run, ...], findings: Findings) -> None:
    """Name the first address of every stretch where the two differ; runs may be split where their chains are equal."""
    where, last = "decision map", expected[-1][1]
    ends = [(-1, -1), *((run.lo, run.hi) for run in found), (last + 1, last + 1)]
    if any(after[0] != before[1] + 1 for before, after in pairwise(ends)) or any(run.lo > run.hi for run in found):
        text = f"runs that cover 0..{last:#x} in column {column} without gap or overlap"
        findings.add(Mismatch(variant, where, _access(column, 0), text, "others"))
        return
    right = 0
    for lo, hi, chain in expected:
        while found[right].hi < lo:
            right += 1
        at = right
        while at < len(found) and found[at].lo <= hi:
            if found[at].chain != chain:
                access = _access(column, max(lo, found[at].lo))
                rule = None if chain[0] == DEFAULT_RULE else chain[0]
                findings.add(Mismatch(variant, where, access, _words(chain), _words(found[at].chain), rule=rule))
            at += 1


def _access(column: int, address: int) -> Access:
    return Access(KIND_NAMES[column], address, COLUMN_WIDTHS[column])


def _words(chain: tuple[int, ...]) -> str:
    return ", else ".join("the default" if link == DEFAULT_RULE else f"rule {link}" for link in chain)


def _compare_images(
    variant: Variant, target: str, sheets: tuple[Sheet, ...], files: Mapping[str, bytes], findings: Findings
) -> None:
    msr, io = sheets
    if target == "kvm":
        _compare_filter(variant, msr, files[KVM_IMAGE], findings)
        return
    _compare_bits(variant, target, msr, MSR_IMAGE[target], files[MSR_IMAGE[target]], findings)
    name = PORT_IMAGE[target]
    if _compare_bits(variant, target, io, name, files[name], findings):
        _compare_wide(variant, target, io, name, files[name], findings)


def _compare_bits(variant: Variant, target: str, sheet: Sheet, name: str, data: bytes, findings: Findings) -> bool:
    """Whether every bit that hardware consults is as expected."""
    expected = sheet.image(target, name)
    wrong = (int.from_bytes(data, "little") ^ expected) & consulted(name)
    for position in positions(wrong) if wrong else ():
        held = holder(name, position)
        assert held is not None
        column, address = held
        # The bits past the last port are consulted by the widest access at the last one.
        access = _access(column, address) if address <= sheet.last else Access("in", PORT_LAST, 4)
        value = expected >> position & 1
        rule = sheet.decider(column, min(address, sheet.last))
        mismatch = Mismatch(
            variant, name, access, _bit(value), _bit(1 - value), position // 8, position % 8, rule
        )  # fmt: skip
        findings.add(mismatch)
    return not wrong


def _bit(value: int) -> str:
    return "1 (exits)" if value else "0 (does not exit)"


def _compare_wide(variant: Variant, target: str, sheet: Sheet, name: str, data: bytes, findings: Findings) -> None:
    """Every start port at every width: what the processor makes of the image's bits is what the evaluator says."""
    bits = port_bits(name, int.from_bytes(data, "little"))
    # Intel SDM vol. 3C 25.1.3: an access that wraps around the port space exits. AMD's has bits for it.
    expected = {width: sheet.starts(target, width) for width in PORT_WIDTHS}
    wrong = {width: exits(bits, width, target == "vmx") ^ expected[width] for width in PORT_WIDTHS}
    for column in IO_COLUMNS if any(wrong.values()) else ():
        width = COLUMN_WIDTHS[column]
        for port in positions(wrong[width]):
            value = expected[width] >> port & 1
            words = ("does not exit", "exits")
            findings.add(Mismatch(variant, name, _access(column, port), words[value], words[1 - value]))


def _compare_filter(variant: Variant, sheet: Sheet, data: bytes, findings: Findings) -> None:
    try:
        subject = read_filter(data)
    except FilterError as error:
        findings.add(Mismatch(variant, KVM_IMAGE, None, "a filter that KVM takes", str(error)))
        return
    for column in MSR_COLUMNS:
        expected, found = sheet.denied(column), denied(subject, column == MSR_WRITE)
        if expected == found:
            continue
        for lo, _ in union(subtract(expected, found), subtract(found, expected)):
            exits_ = bool(size(subtract(((lo, lo),), found)))
            words = ("denied (exits)", "allowed") if exits_ else ("allowed", "denied (exits)")
            rule = sheet.decider(column, lo)
            findings.add(Mismatch(variant, KVM_IMAGE, _access(column, lo), *words, rule=rule))
