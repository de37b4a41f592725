"""Finding entries by what a person remembers of them: a number, a name, a piece of a name, a word of what they do."""

from __future__ import annotations

import re
from typing import NamedTuple

from policyc.database.entry import Entry
from policyc.vocabulary.near import LONGEST, nearest

EXACT, NUMBER, HEX_MEANT, START, WORDS, FRAGMENT, TAG, ABOUT = range(8)
"""How a hit matches, best first. HEX_MEANT: ``277`` for 0x277."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_HEX = re.compile(r"[0-9a-fA-F]{1,8}")
_PREFIXES = re.compile(r"^(MSR_)?(IA32_|AMD64_|AMD_|CORE_)?")
_RUN = re.compile(r"[0-9]+")


class Hit(NamedTuple):
    """An entry and how it was found. address: the one address meant, None for all of the entry. rank: EXACT..ABOUT."""

    entry: Entry
    address: int | None
    rank: int


class Search:
    """Searches the entries of one space; letters' case does not count."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self.names = [[each.upper() for each in (entry.name, *entry.aliases)] for entry in entries]
        self._spelt: dict[str, int] = {}
        self._letters: dict[str, int] = {}

    def find(self, query: str, last: int) -> list[Hit]:
        """All entries that match, best first, then by address; of those that hold a number, the narrowest first.

        last: the highest address there is.
        """
        text = " ".join(query.replace("-", "_").split()).upper()
        if not text or len(text) > LONGEST:
            return []
        hits = self._numbered(text, last)
        found = {hit.entry.name for hit in hits}
        for entry, names in zip(self.entries, self.names, strict=True):
            if entry.name not in found:
                hit = self._named(entry, names, text)
                if hit is not None:
                    hits.append(hit)
        return sorted(hits, key=_order)

    def _numbered(self, text: str, last: int) -> list[Hit]:
        readings = []
        if _NUMBER.fullmatch(text):
            readings.append((int(text, 16 if text[:2] == "0X" else 10), NUMBER))
        if _HEX.fullmatch(text):
            readings.append((int(text, 16), HEX_MEANT))
        hits: dict[str, Hit] = {}
        for number, rank in readings:
            for entry in self.entries:
                if number <= last and _holds(entry, number):
                    hits.setdefault(entry.name, Hit(entry, number, rank))
        return list(hits.values())

    def _named(self, entry: Entry, names: list[str], text: str) -> Hit | None:
        if text in names:
            return Hit(entry, None, EXACT)
        if entry.family:
            number = _member(entry, names, text)
            if number is not None:
                return Hit(entry, entry.lo + number * entry.stride, EXACT)
        words = text.split()
        if any(text.replace(" ", "_") == _PREFIXES.sub("", name) for name in names):
            return Hit(entry, None, START)
        if any(name.startswith(text) or _PREFIXES.sub("", name).startswith(text) for name in names):
            return Hit(entry, None, START)
        if any(set(words) <= set(name.split("_")) for name in names):
            return Hit(entry, None, WORDS)
        if any(all(word in name for word in words) for name in names):
            return Hit(entry, None, FRAGMENT)
        tags = {part for tag in entry.tags for part in (tag.upper(), tag.upper().replace("-", "_"))}
        if all(word in tags for word in words):
            return Hit(entry, None, TAG)
        about = f"{entry.about} {entry.models} {names[0]}".upper()
        if all(len(word) > 1 and word in about for word in words):
            return Hit(entry, None, ABOUT)
        return None

    def close(self, text: str) -> list[tuple[str, int]]:
        """At most three names few edits from ``text``, nearest first, with their first address."""
        if not text or len(text) > LONGEST:
            return []
        spelt = self._candidates(text)
        bare = _PREFIXES.sub("", text.upper())
        found = sorted(each for each in spelt if bare and _PREFIXES.sub("", each.upper()) == bare)
        letters = _letters(text)
        near = [each for each in spelt if (self._letters_of(each) ^ letters).bit_count() <= 6]
        found += nearest(text, near, 8)
        chosen: dict[int, str] = {}
        for name in found:
            chosen.setdefault(spelt[name], name)
        return [(name, address) for address, name in list(chosen.items())[:3]]

    def _letters_of(self, name: str) -> int:
        if name not in self._letters:
            self._letters[name] = _letters(name)
        return self._letters[name]

    def _candidates(self, text: str) -> dict[str, int]:
        """Every spelling without its members, and those members whose numbers stand in the text."""
        if not self._spelt:
            for entry in reversed(self.entries):
                for name in reversed((entry.name, *entry.aliases)):
                    if "{}" not in name:
                        self._spelt[name] = entry.lo
        spelt = dict(self._spelt)
        numbers = {int(run) for run in _RUN.findall(text) if len(run) <= 4}
        for entry in self.entries:
            for alias in entry.aliases:
                if "{}" in alias:
                    for number in numbers:
                        if number < entry.members:
                            spelt[alias.replace("{}", str(number))] = entry.lo + number * entry.stride
        return spelt


def _order(hit: Hit) -> tuple[int, int, int, str]:
    width = hit.entry.hi - hit.entry.lo if hit.rank in (NUMBER, HEX_MEANT) else 0
    return hit.rank, width, hit.entry.lo, hit.entry.name


def _letters(text: str) -> int:
    """The set of characters of a word as bits: one edit changes at most two of them."""
    bits = 0
    for char in text.lower():
        bits |= 1 << (ord(char) & 63)
    return bits


def _holds(entry: Entry, number: int) -> bool:
    if not entry.lo <= number <= entry.last:
        return False
    return not entry.family or entry.member(number) is not None


def _member(entry: Entry, names: list[str], text: str) -> int | None:
    """The member that ``NAME[3]`` or an alias with a number in it means."""
    inside = re.fullmatch(r"(\w+)\[([0-9]{1,4})\]", text)
    if inside and inside.group(1) in names and int(inside.group(2)) < entry.members:
        return int(inside.group(2))
    for run in _RUN.finditer(text):
        template = f"{text[: run.start()]}{{}}{text[run.end() :]}"
        if template in names and len(run.group()) <= 4 and int(run.group()) < entry.members:
            return int(run.group())
    return None
