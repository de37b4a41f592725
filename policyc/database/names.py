"""The database in use: names to addresses and back.

Loading it costs about a millisecond: one generated module, and nothing built before it is asked for. What is asked
most (a name) needs one dictionary; numbers, texts and the search each build their own table on first use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from policyc.database import _index
from policyc.database.entry import Entry, naming_rank
from policyc.vocabulary.access import IO, MSR, MSR_LAST, PORT_LAST
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policyc.database.search import Hit, Search

Row = tuple[str, int, int, int, int, str, str, str, str, str]
"""A line of ``_index.py``: name, lo, hi, count, stride, access, vendor, models, tags, aliases."""
NAME: Final = 0
LO: Final = 1
HI: Final = 2
COUNT: Final = 3
STRIDE: Final = 4
ACCESS: Final = 5
VENDOR: Final = 6
MODELS: Final = 7
TAGS: Final = 8
ALIASES: Final = 9

MOST_SUGGESTIONS = 500
"""Misspelt names of one run that get a suggestion; a text with more is no person's work, and each costs a search."""


def _replace_runs(name: str) -> Iterator[tuple[str, int]]:
    """``IA32_MC5_CTL`` -> ``IA{}_MC5_CTL``, 32, then ``IA32_MC{}_CTL``, 5: one for each run of digits."""
    at = 0
    while at < len(name):
        if not ("0" <= name[at] <= "9"):
            at += 1
            continue
        end = at
        while end < len(name) and "0" <= name[end] <= "9":
            end += 1
        if end - at <= 4 and (name[at] != "0" or end == at + 1):
            yield f"{name[:at]}{{}}{name[end:]}", int(name[at:end])
        at = end


class Space:
    """The entries of one address space, and the tables over them."""

    def __init__(self, space: str, rows: tuple[Row, ...], added: tuple[Entry, ...]) -> None:
        self.space = space
        self.rows = rows + tuple(_row(entry) for entry in added)
        self.built_in = len(rows)
        self.added = added
        self.by_name: dict[str, Row] = {}
        for row in self.rows:
            self.by_name[row[NAME]] = row
            for alias in row[ALIASES].split():
                self.by_name[alias] = row
        self._numbers: dict[int, list[int]] | None = None
        self._edges: list[int] = []
        self._segments: dict[int, tuple[int, ...]] = {}
        self._search: Search | None = None
        self._tags: list[tuple[frozenset[str], int]] | None = None

    # names

    def find(self, name: str) -> tuple[Row, int | None] | None:
        """The entry that has a name, and which member the name means; None for all of it."""
        row = self.by_name.get(name)
        if row is not None:
            return None if "{" in name else (row, None)
        for template, number in _replace_runs(name):
            row = self.by_name.get(template)
            if row is not None and number < row[COUNT]:
                return row, number
        return None

    def resolve(self, name: str) -> Intervals | None:
        found = self.find(name)
        if found is None:
            return None
        row, number = found
        lo, hi, count, stride = row[LO], row[HI], row[COUNT], row[STRIDE]
        if number is not None:
            return ((lo + number * stride, lo + number * stride),)
        if count == 1 or stride == 1:
            return ((lo, hi + count - 1),)
        return tuple((each, each) for each in range(lo, lo + count * stride, stride))

    def family(self, name: str) -> int | None:
        found = self.find(name)
        return None if found is None or found[1] is not None or found[0][COUNT] == 1 else found[0][COUNT]

    def member(self, name: str, number: int) -> int | None:
        count = self.family(name)
        if count is None or not 0 <= number < count:
            return None
        row = self.by_name[name]
        return row[LO] + number * row[STRIDE]

    # addresses

    def at(self, address: int) -> tuple[int, ...]:
        """Positions of the rows that hold an address; the one that names it first."""
        return tuple(self._msr_table().get(address, ())) if self.space == MSR else self._port_rows(address)

    def tag_table(self) -> list[tuple[frozenset[str], int]]:
        """The tags of every row and its position, in the order of first addresses."""
        if self._tags is None:
            order = range(len(self.rows))
            ordered = sorted(order, key=lambda at: self.rows[at][LO]) if self.added else order
            self._tags = [(frozenset(self.rows[at][TAGS].split()), at) for at in ordered]
        return self._tags

    def _msr_table(self) -> dict[int, list[int]]:
        if self._numbers is None:
            table: dict[int, list[int]] = {}
            for at, row in enumerate(self.rows):
                for number in range(row[LO], row[LO] + row[COUNT] * row[STRIDE], row[STRIDE]):
                    table.setdefault(number, []).append(at)
            for held in table.values():
                if len(held) > 1:
                    held.sort(key=self._naming)
            self._numbers = table
        return self._numbers

    def _naming(self, at: int) -> tuple[bool, bool, int]:
        row = self.rows[at]
        return at >= self.built_in, *naming_rank(row[VENDOR], row[MODELS])

    def _port_rows(self, port: int) -> tuple[int, ...]:
        if not self._edges:
            self._edges = sorted({0, *(edge for row in self.rows for edge in _edges(row))})
        segment = bisect_right(self._edges, port)
        if segment not in self._segments:
            held = [at for at, row in enumerate(self.rows) if _holds(row, port)]
            held.sort(key=lambda at: (self.rows[at][HI] - self.rows[at][LO], self._naming(at)))
            self._segments[segment] = tuple(held)
        return self._segments[segment]

    def name(self, address: int) -> str | None:
        held = self.at(address)
        if not held:
            return None
        row = self.rows[held[0]]
        return f"{row[NAME]}[{(address - row[LO]) // row[STRIDE]}]" if row[COUNT] > 1 else row[NAME]

    def tags(self, address: int) -> frozenset[str]:
        return frozenset(tag for at in self.at(address) for tag in self.rows[at][TAGS].split())

    # texts

    def entry(self, at: int) -> Entry:
        """The whole entry of one row."""
        if at >= self.built_in:
            return self.added[at - self.built_in]
        from policyc.database import _texts

        row = self.rows[at]
        about, source = (_texts.MSRS if self.space == MSR else _texts.PORTS)[at]
        return Entry(
            self.space, row[NAME], row[LO], row[HI], row[COUNT], row[STRIDE], tuple(row[ALIASES].split()),
            about, row[ACCESS], row[VENDOR], row[MODELS], tuple(row[TAGS].split()), source,
        )  # fmt: skip

    @property
    def search(self) -> Search:
        if self._search is None:
            from policyc.database.search import Search

            self._search = Search(tuple(self.entry(at) for at in range(len(self.rows))))
        return self._search


def _row(entry: Entry) -> Row:
    return (
        entry.name, entry.lo, entry.hi, entry.members, entry.stride, entry.access, entry.vendor, entry.models,
        " ".join(entry.tags), " ".join(entry.aliases),
    )  # fmt: skip


def _last(row: Row) -> int:
    return row[HI] + (row[COUNT] - 1) * row[STRIDE]


def _edges(row: Row) -> Iterator[int]:
    """Ports at which the answer to "which rows hold it" may change because of this row."""
    if row[COUNT] == 1 or row[STRIDE] == 1:
        yield from (row[LO], _last(row) + 1)
        return
    for port in range(row[LO], _last(row) + 1, row[STRIDE]):
        yield from (port, port + 1)


def _holds(row: Row, port: int) -> bool:
    return row[LO] <= port <= _last(row) and (row[COUNT] == 1 or (port - row[LO]) % row[STRIDE] == 0)


class Database:
    """Every MSR and I/O port that policyc knows by name. Names are case-sensitive; search and suggestions are not."""

    def __init__(self, added: tuple[Entry, ...] = ()) -> None:
        self.version: str = _index.VERSION
        self.names: int = _index.NAMES + sum(len(entry.names()) for entry in added)
        self._msr = Space(MSR, _index.MSRS, tuple(entry for entry in added if entry.space == MSR))
        self._port = Space(IO, _index.PORTS, tuple(entry for entry in added if entry.space == IO))
        self._suggestions_left = MOST_SUGGESTIONS
        self._suggested: dict[tuple[str, str], list[tuple[str, int]]] = {}

    def msr(self, name: str) -> Intervals | None:
        """The indexes of an MSR, a family or one of its members; None if nothing has the name."""
        return self._msr.resolve(name)

    def port(self, name: str) -> Intervals | None:
        """The ports of a device, a register, a family or one of its members; None if nothing has the name."""
        return self._port.resolve(name)

    def msr_family(self, name: str) -> int | None:
        """How many members a family has; None for the name of a single MSR and for unknown names."""
        return self._msr.family(name)

    def port_family(self, name: str) -> int | None:
        """As msr_family, for ports."""
        return self._port.family(name)

    def msr_member(self, name: str, number: int) -> int | None:
        """The index of member ``number`` (from 0) of a family; None where there is none."""
        return self._msr.member(name, number)

    def port_member(self, name: str, number: int) -> int | None:
        """As msr_member, for ports."""
        return self._port.member(name, number)

    def msr_name(self, index: int) -> str | None:
        """The canonical name for messages, ``IA32_MTRR_PHYSBASE[3]`` for a member; None for a nameless index."""
        return self._msr.name(index)

    def port_name(self, port: int) -> str | None:
        """The name of the narrowest entry that holds the port."""
        return self._port.name(port)

    def canonical(self, space: str, name: str) -> str | None:
        """The name that the database prefers for what a name means; None if nothing has the name."""
        found = (self._msr if space == MSR else self._port).find(name)
        if found is None:
            return None
        row, number = found
        return row[NAME] if number is None else f"{row[NAME]}[{number}]"

    def listed(self, space: str) -> Iterator[tuple[str, int, int, int]]:
        """Every entry of a space: name, first and last address, members."""
        for row in (self._msr if space == MSR else self._port).rows:
            yield row[NAME], row[LO], _last(row), row[COUNT]

    def msr_unreadable(self, index: int) -> bool:
        """Whether every MSR known at this index is write-only."""
        held = self._msr.at(index)
        return bool(held) and all(self._msr.rows[at][ACCESS] == "w" for at in held)

    def msr_entry(self, index: int) -> Entry | None:
        """The entry that names the index in messages."""
        held = self._msr.at(index)
        return self._msr.entry(held[0]) if held else None

    def msr_entries(self, index: int) -> tuple[Entry, ...]:
        """Every meaning of the index: of several vendors or models; the one of msr_entry first."""
        return tuple(self._msr.entry(at) for at in self._msr.at(index))

    def port_entries(self, port: int) -> tuple[Entry, ...]:
        """Every entry that holds the port, the narrowest first."""
        return tuple(self._port.entry(at) for at in self._port.at(port))

    def msr_tags(self, index: int) -> frozenset[str]:
        """The tags of all meanings of the index."""
        return self._msr.tags(index)

    def msrs_tagged(self, *tags: str) -> Iterator[tuple[str, int, int, int, str, str, frozenset[str]]]:
        """Entries with one of the tags: name, index of member 0, members, stride, access, vendor, all tags.

        In the order of their indexes, users' own entries among the built-in ones.
        """
        for has, at in self._msr.tag_table():
            if not has.isdisjoint(tags):
                row = self._msr.rows[at]
                yield row[NAME], row[LO], row[COUNT], row[STRIDE], row[ACCESS], row[VENDOR], has

    def only_old_models(self, name: str) -> bool:
        """Whether an MSR of this name exists on some old models alone, and its number means another one elsewhere."""
        row = self._msr.by_name[name]
        return bool(row[MODELS]) and any(not self._msr.rows[at][MODELS] for at in self._msr.at(row[LO]))

    def ports_tagged(self, *tags: str) -> Iterator[Entry]:
        """Port entries with one of the tags, in the order of their first ports."""
        for has, at in self._port.tag_table():
            if not has.isdisjoint(tags):
                yield self._port.entry(at)

    def port_tags(self, port: int) -> frozenset[str]:
        """The tags of all entries that hold the port."""
        return self._port.tags(port)

    def entries(self, space: str) -> Iterator[Entry]:
        """Every entry of an address space (``msr`` or ``io``), users' own last."""
        chosen = self._msr if space == MSR else self._port
        return (chosen.entry(at) for at in range(len(chosen.rows)))

    def search_msr(self, query: str) -> list[Hit]:
        """MSRs by name, number or fragment, best first."""
        return self._msr.search.find(query, MSR_LAST)

    def search_port(self, query: str) -> list[Hit]:
        """Ports by name, number or fragment, best first."""
        return self._port.search.find(query, PORT_LAST)

    def suggest_msr(self, text: str) -> list[tuple[str, int]]:
        """Names close to a misspelt one, with their (first) index; at most three, nearest first."""
        return self._suggest(self._msr, text)

    def suggest_port(self, text: str) -> list[tuple[str, int]]:
        """As suggest_msr, for ports."""
        return self._suggest(self._port, text)

    def _suggest(self, space: Space, text: str) -> list[tuple[str, int]]:
        key = (space.space, text)
        if key not in self._suggested:
            if self._suggestions_left == 0:
                return []
            self._suggestions_left -= 1
            self._suggested[key] = space.search.close(text)
        return self._suggested[key]


def load(extra: tuple[tuple[str, str], ...] = ()) -> Database:
    """The built-in database and the entries of users' files.

    extra: the name to show and the YAML text of each file. PolicyError with everything that is wrong in them.
    """
    if not extra:
        return Database()
    from policyc.database.read import clashes, entries
    from policyc.vocabulary.span import Source

    problems: list[Diagnostic] = []
    placed = [each for name, text in extra for each in entries(Source(name, text), problems)]
    own = Database()
    known = (space.entry(at) for space in (own._msr, own._port) for at in range(len(space.rows)))
    clashes(known, placed, problems, numbers=True)
    if problems:
        raise PolicyError(sorted(problems, key=Diagnostic.sort_key))
    return Database(tuple(each.entry for each in placed))
