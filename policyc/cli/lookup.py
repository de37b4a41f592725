"""What ``policyc msr`` and ``policyc port`` share: the search, and how entries are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.database.entry import Entry
    from policyc.database.names import Database
    from policyc.database.search import Hit

_LEFT = 10
"""Columns of the field names on a card."""
_MATCHES = ("name", "number", "number in hexadecimal", "beginning", "words", "fragment", "tag", "description")
"""How a hit matches, as JSON says it; by policyc.database.search's ranks."""


def arguments(parser: Parser, example: str) -> None:
    parser.add_argument(
        "queries", metavar="QUERY", nargs="+", help=f"a name, a number, a fragment, a tag or a word: {example}"
    )
    policies.add_database(parser)
    policies.add_format(parser)


def run(args: Arguments, space: str) -> int:
    """0 if every query found something, else 1, with suggestions."""
    names = policies.database(args)
    search = names.search_msr if space == "msr" else names.search_port
    found = [(query, _chosen(search(query))) for query in args.queries]
    if args.format == "json":
        from policyc.reports.jsonform import document

        fields = {"database": names.version, "queries": [_query_fields(names, space, *each) for each in found]}
        sys.stdout.write(document(fields))
    else:
        _print(names, found)
        for query, hits in found:
            if not hits:
                _nothing(names, space, query)
    return 0 if all(hits for _, hits in found) else 1


def _chosen(hits: list[Hit]) -> list[Hit]:
    """The exact ones alone where there are any: who asks for EFER by name does not mean REFERENCE_TSC."""
    from policyc.database.search import NUMBER

    return [hit for hit in hits if hit.rank <= NUMBER] or hits


def _print(names: Database, found: Sequence[tuple[str, list[Hit]]]) -> None:
    """A card for a lone hit, else a table; a line of space between queries."""
    blocks = []
    for _, hits in found:
        if len(hits) == 1:
            blocks.append(_card(hits[0].entry, hits[0].address, _others(names, hits[0])))
        elif hits:
            blocks.append(_table(hits))
    if blocks:
        print("\n\n".join("\n".join(lines) for lines in blocks))


def _nothing(names: Database, space: str, query: str) -> None:
    from policyc.reports.cells import safe

    word = "MSR" if space == "msr" else "I/O port"
    close = _suggestions(names, space, query)
    sys.stderr.write(f"policyc: no {word} matches `{safe(query[:60])}`\n")
    if close:
        listed = " or ".join(f"{name} ({number:#x})" for name, number in close)
        sys.stderr.write(f"  help: did you mean {listed}?\n")
    else:
        sys.stderr.write("  help: ask for a shorter piece of the name, a number such as 0x10, or a tag such as hot\n")


def _suggestions(names: Database, space: str, query: str) -> list[tuple[str, int]]:
    text = "_".join(query.split())
    return names.suggest_msr(text) if space == "msr" else names.suggest_port(text)


def _number(entry: Entry, address: int | None) -> str:
    """``0x10``, ``0x3f8..0x3ff``, ``0x200..0x212/2`` for a row with a stride."""
    if address is not None and entry.family:
        return f"{address:#x}"
    if entry.lo == entry.last:
        return f"{entry.lo:#x}"
    return f"{entry.lo:#x}..{entry.last:#x}" + (f"/{entry.stride}" if entry.stride > 1 else "")


def _title(entry: Entry, address: int | None) -> str:
    if address is not None:
        return entry.shown(address)
    return f"{entry.name}[0..{entry.members - 1}]" if entry.family else entry.name


def _table(hits: list[Hit]) -> list[str]:
    from policyc.reports.cells import safe
    from policyc.reports.tables import table

    rows = [
        (
            _number(hit.entry, hit.address),
            _title(hit.entry, hit.address),
            hit.entry.access,
            " ".join(hit.entry.tags),
            safe(hit.entry.about),
        )
        for hit in hits
    ]
    return table(rows, "")


def _card(entry: Entry, address: int | None, others: tuple[Entry, ...]) -> list[str]:
    """Everything that is known of one entry."""
    from policyc.reports.cells import safe

    lines = [f"{_title(entry, address)}  {_number(entry, address)}", f"  {safe(entry.about)}"]
    fields = [("access", entry.access), ("vendor", entry.vendor), ("models", entry.models)]
    if entry.family:
        row = f"{entry.name}[0..{entry.members - 1}]"
        fields.append(("family", f"{row}, {entry.members} members, {_number(entry, None)}"))
    fields += [("aliases", ", ".join(entry.aliases)), ("tags", ", ".join(entry.tags))]
    fields += _places(entry, entry.lo if address is None or not entry.family else address)
    fields += [("source", entry.source), ("also", ", ".join(_other(each) for each in others))]
    return lines + [f"  {name:<{_LEFT}}{safe(value)}" for name, value in fields if value]


def _others(names: Database, hit: Hit) -> tuple[Entry, ...]:
    """What else the number means (to other vendors), or the devices that a port register is part of."""
    entry = hit.entry
    at = entry.lo if hit.address is None else hit.address
    if entry.space == "msr":
        return tuple(each for each in names.msr_entries(at) if each.name != entry.name)
    return tuple(
        each
        for each in names.port_entries(at)
        if each.name != entry.name and each.lo <= entry.lo and entry.last <= each.last
    )


def _other(entry: Entry) -> str:
    where = ", ".join(filter(None, (entry.vendor if entry.vendor != "any" else "", entry.models)))
    return f"{entry.name} ({where or _number(entry, None)})"


def _places(entry: Entry, address: int) -> list[tuple[str, str]]:
    """Which bits of which images decide about the address, and what KVM's filter can do about it."""
    from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
    from policyc.proof.evaluate import msr_place, port_place

    found = []
    for target, shown in (("vmx", "VT-x"), ("svm", "SVM")):
        if entry.space == "io":
            first, last = port_place(target, entry.lo), port_place(target, entry.last)
            bits = _bit(first) if first == last else f"{_bit(first)} .. {_bit(last).partition(' ')[2]}"
            found.append((shown, bits))
            continue
        read, write = msr_place(target, address, False), msr_place(target, address, True)
        if read is None or write is None:
            found.append((shown, "in no window of the bitmap: every access exits"))
        else:
            found.append((shown, f"read: {_bit(read)}; write: {_bit(write).partition(' ')[2]}"))
    if entry.space == "msr" and X2APIC_FIRST <= address <= X2APIC_LAST:
        found.append(("KVM", "never filtered (x2APIC)"))
    return found


def _bit(place: tuple[str, int, int] | None) -> str:
    assert place is not None, "every port has a bit, and MSRs without one are told apart before"
    image, byte, bit = place
    return f"{image} byte {byte} bit {bit}"


def _query_fields(names: Database, space: str, query: str, hits: list[Hit]) -> dict[str, Any]:
    fields: dict[str, Any] = {"query": query, "hits": [_hit_fields(hit) for hit in hits]}
    close = [] if hits else _suggestions(names, space, query)
    fields["suggestions"] = [{"name": name, "address": number} for name, number in close]
    return fields


def _hit_fields(hit: Hit) -> dict[str, Any]:
    entry = hit.entry
    return {
        "name": entry.name,
        "space": entry.space,
        "lo": entry.lo,
        "hi": entry.hi,
        "count": entry.members,
        "stride": entry.stride,
        "address": hit.address,
        "match": _MATCHES[hit.rank],
        "aliases": list(entry.aliases),
        "about": entry.about,
        "access": entry.access,
        "vendor": entry.vendor,
        "models": entry.models,
        "tags": list(entry.tags),
        "source": entry.source,
        "bits": _bit_fields(entry, entry.lo if hit.address is None else hit.address),
    }


def _bit_fields(entry: Entry, address: int) -> list[dict[str, Any]]:
    """The bits of one address: that of the hit, else the entry's first."""
    from policyc.proof.evaluate import msr_place, port_place

    found = []
    for target in ("vmx", "svm"):
        places = (
            [("inout", port_place(target, address))]
            if entry.space == "io"
            else [(word, msr_place(target, address, word == "write")) for word in ("read", "write")]
        )
        for word, place in places:
            if place is not None:
                image, byte, bit = place
                found.append({"target": target, "access": word, "image": image, "byte": byte, "bit": bit})
    return found
