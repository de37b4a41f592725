"""Findings about raw images: with the bits that decide, for terminals, grep, code-scanning services and programs.

error[S401]: msr.bin lets a guest write IA32_FEATURE_CONTROL (0x3a)  (feature-control)
  write 0x3a  IA32_FEATURE_CONTROL  passes: byte 0x807 bit 2
  = note: it enables VMX, SGX and LMCE, and its lock bit holds until the host is reset
  = source: Intel SDM vol. 3C, "Enabling and Entering VMX Operation"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from policyc.lint.images import Finding, Part
from policyc.reports import github, jsonform, sarif
from policyc.reports.cells import safe, sentence
from policyc.reports.colour import PLAIN, Paint
from policyc.semantics.wording import range_text

_MOST = 6
"""Parts of a finding that text shows; JSON has them all."""


class Audited(NamedTuple):
    """The findings about one image. name: what the user called it. kind: a member of policyc.analyses.images.KINDS."""

    name: str
    kind: str
    target: str
    findings: Sequence[Finding]


def text(found: Finding, paint: Paint = PLAIN) -> str:
    """The whole report on one finding, several lines without a newline at the end."""
    said = found.diagnostic
    head = paint(said.severity, f"{said.severity}[{said.code}]")
    lines = [head + paint("strong", f": {sentence(said.message)}") + f"  ({said.slug})"]
    shown = found.parts[:_MOST]
    rows = [(f"{each.access} {range_text(each.lo, each.hi)}", _names(each), _where(each)) for each in shown]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for access, names, where in rows:
        lines.append(f"  {access:<{widths[0]}}  {names:<{widths[1]}}  {where}")
    if len(found.parts) > _MOST:
        lines.append(f"  and {len(found.parts) - _MOST} more; --format json lists them")
    tail = [*(("note", each) for each in said.notes), ("source", found.source)]
    lines += [f"  {paint('frame', '=')} {paint('strong', word)}: {sentence(words)}" for word, words in tail]
    return "\n".join(lines)


def concise(audited: Audited, found: Finding) -> str:
    """``msr.bin:0x807:2: error[S401] feature-control: ...``: the first byte and bit stand where line and column would."""
    said, first = found.diagnostic, found.parts[0].first
    place = "" if first is None else f":{first.byte:#x}:{first.bit}"
    name = safe(audited.name)
    return f"{name}{place}: {said.severity}[{said.code}] {said.slug}: {sentence(said.message)}"


def annotation(audited: Audited, found: Finding) -> str:
    """A workflow command for GitHub; images have no lines, so the bits stand in its words."""
    bits = tuple(f"{each.access} {range_text(each.lo, each.hi)} {_where(each)}" for each in found.parts[:_MOST])
    said = found.diagnostic
    told = said._replace(notes=(*bits, *said.notes, f"source: {found.source}"))
    return github.line(told, audited.name)


def fields(images: Sequence[Audited]) -> dict[str, Any]:
    """Members of the JSON document."""
    return {
        "images": [{"file": each.name, "image": each.kind, "target": each.target} for each in images],
        "findings": [
            {
                "file": image.name,
                "code": each.diagnostic.code,
                "slug": each.diagnostic.slug,
                "severity": each.diagnostic.severity,
                "message": each.diagnostic.message,
                "notes": list(each.diagnostic.notes),
                "source": each.source,
                "accesses": [_part(part) for part in each.parts],
            }
            for image in images
            for each in image.findings
        ],
    }


def document(images: Sequence[Audited], unreadable: Sequence[str]) -> str:
    return jsonform.document({**fields(images), "unreadable": list(unreadable)})


def log(images: Sequence[Audited], words: dict[str, sarif.Words]) -> str:
    """A SARIF log: places are bytes of the images."""
    rows = [(image, each) for image in images for each in image.findings]
    return sarif.document(
        [each.diagnostic for _, each in rows],
        words,
        places=[[_bytes(image.name, part) for part in each.parts] for image, each in rows],
    )


def _bytes(name: str, part: Part) -> sarif.Bytes:
    """Of a KVM filter, whose bits stand in JSON, the file as a whole."""
    said = f"{part.access} {range_text(part.lo, part.hi)} {_names(part)} {_where(part)}"
    if part.first is None or part.last is None or part.first.range is not None:
        return sarif.Bytes(name, said)
    return sarif.Bytes(name, said, part.first.byte, part.last.byte)


def _names(part: Part) -> str:
    return " .. ".join(part.names)


def _where(part: Part) -> str:
    """``passes: byte 0x807 bit 2``, ``exits: byte 0x0 bit 0 .. byte 0x3 bit 7``."""
    does = "exits" if part.exits else "passes"
    if part.first is None or part.last is None:
        return f"{does}: by the default"
    bits = str(part.first) if part.first == part.last else f"{part.first} .. {part.last}"
    return f"{does}: {bits}"


def _part(part: Part) -> dict[str, Any]:
    def bit(where: Any) -> dict[str, Any] | None:
        return None if where is None else where._asdict()

    return {
        "access": part.access,
        "lo": part.lo,
        "hi": part.hi,
        "names": list(part.names),
        "exits": part.exits,
        "first": bit(part.first),
        "last": bit(part.last),
    }
