"""Entries from YAML: every field checked, every mistake told with its place and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from policyc.database import nodes
from policyc.database.entry import ACCESSES, MSR_TAGS, PORT_TAG_FAMILIES, PORT_TAGS, VENDORS, Entry
from policyc.vocabulary.access import IO, MSR, MSR_LAST, PORT_LAST
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Source, Span

FIELDS = (
    "name", "index", "ports", "count", "stride", "aliases", "about", "access", "vendor", "models", "tags", "source",
)  # fmt: skip
LAST = {MSR: MSR_LAST, IO: PORT_LAST}
LONGEST_NAME, LONGEST_LINE, MOST_ALIASES, MOST_MEMBERS = 64, 100, 24, 8192
"""Characters of a name and of a line; aliases of an entry; members of a family."""
MOST_NAMES = 200_000
"""Names of the whole database, members counted: what a family may unfold to."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_ALIAS = re.compile(r"[A-Za-z_]\w*(\{\}\w*)?\Z", re.ASCII)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+(_[0-9a-fA-F]+)*\Z|(0|[1-9][0-9]*)\Z", re.ASCII)
_RANGE = re.compile(r"(\w+)[ ]*\.\.[ ]*(\w+)\Z", re.ASCII)
_TAG_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")


class Placed(NamedTuple):
    """An entry and where its file says its name and its aliases (in the order of Entry.aliases)."""

    entry: Entry
    span: Span
    aliases: tuple[Span, ...]


def entries(source: Source, problems: list[Diagnostic]) -> list[Placed]:
    """The good entries of one text; what is wrong with the others is appended to problems (D001..D006)."""
    try:
        root = nodes.read(source)
    except nodes.Refused as refused:
        problems.append(refused.diagnostic)
        return []
    if root is None:
        return []
    if not isinstance(root, nodes.List):
        said = "a database file is a list of entries"
        problems.append(error("D002", said, nodes.head(root.span), helps=("begin each entry with `- name: ...`",)))
        return []
    found = []
    for node in root.items:
        placed = _Reader(problems).entry(node)
        if placed is not None:
            found.append(placed)
    return found


class _Reader:
    """Reads one entry. Methods report what is wrong and give a value that lets the reading go on."""

    def __init__(self, problems: list[Diagnostic]) -> None:
        self.problems = problems
        self.before = len(problems)

    def entry(self, node: nodes.Node) -> Placed | None:
        if not isinstance(node, nodes.Map):
            self.say(
                "D002", "an entry is a mapping", nodes.head(node.span), "write `- name: ...`, then one field a line"
            )
            return None
        given = self.fields(node)
        for needed in ("name", "about", "access", "vendor", "source"):
            if needed not in given:
                self.say("D002", f"the entry has no `{needed}`", nodes.head(node.span), f"add `{needed}: ...`")
        if ("index" in given) == ("ports" in given):
            said = "an entry has either `index` (an MSR) or `ports`"
            self.say("D002", said, nodes.head(node.span), "write one of the two")
        if len(self.problems) > self.before:
            return None
        return self.values(given)

    def fields(self, node: nodes.Map) -> dict[str, nodes.Node]:
        given: dict[str, nodes.Node] = {}
        where: dict[str, Span] = {}
        for key, value in node.items:
            name = key.value if isinstance(key, nodes.Text) else ""
            if name not in FIELDS:
                close = nearest(name, FIELDS, 1)
                remedy = f"did you mean `{close[0]}`?" if close else f"the fields are {', '.join(FIELDS)}"
                self.say("D002", f"an entry has no field `{name[:40]}`", nodes.head(key.span), remedy)
            elif name in given:
                first = (Label(where[name], "first here"),)
                self.problems.append(error("D002", f"`{name}` is given twice", key.span, secondary=first))
            else:
                given[name], where[name] = value, key.span
        return given

    def values(self, given: dict[str, nodes.Node]) -> Placed | None:
        space = MSR if "index" in given else IO
        name = self.name(given["name"])
        if space == MSR:
            lo = hi = self.number(given["index"], MSR_LAST)
        else:
            lo, hi = self.ports(given["ports"])
        count = self.number(given["count"], MOST_MEMBERS, 1) if "count" in given else 1
        stride = self.number(given["stride"], LAST[space], 1) if "stride" in given else 1
        self.family(given, lo, hi, count, stride, LAST[space])
        aliases = self.each(given.get("aliases"), lambda text: self.alias(text, count), MOST_ALIASES)
        tags = self.each(given.get("tags"), lambda text: self.tag(text, space), len(MSR_TAGS))
        made = Entry(
            space, name, lo, hi, count, stride,
            tuple(text.value for text in aliases),
            self.line(given["about"]),
            self.word(given["access"], ACCESSES),
            self.word(given["vendor"], VENDORS),
            self.line(given["models"]) if "models" in given else "",
            tuple(sorted({text.value for text in tags})),
            self.line(given["source"]),
        )  # fmt: skip
        if len(self.problems) > self.before:
            return None
        return Placed(made, given["name"].span, tuple(text.span for text in aliases))

    def say(self, code: str, said: str, span: Span, *helps: str) -> None:
        self.problems.append(error(code, said, span, helps=helps))

    def text(self, node: nodes.Node) -> str:
        if isinstance(node, nodes.Text):
            return node.value
        self.say("D003", "one value is meant here, not a list or a mapping", nodes.head(node.span), "write plain text")
        return ""

    def name(self, node: nodes.Node) -> str:
        text = self.text(node)
        if text and not (_NAME.match(text) and len(text) <= LONGEST_NAME):
            said = f"`{text[:40]}` cannot be a canonical name"
            remedy = f"upper-case letters, digits and `_`, at most {LONGEST_NAME}; other spellings go to `aliases`"
            self.say("D003", said, node.span, remedy)
        return text

    def number(self, node: nodes.Node, last: int, first: int = 0) -> int:
        text = self.text(node)
        if not isinstance(node, nodes.Text) or node.quoted or not _NUMBER.match(text) or len(text) > 40:
            if isinstance(node, nodes.Text):
                self.say("D003", f"`{text[:40]}` is not a number", node.span, "write it like 0xc0000080 or 128")
            return first
        value = int(text.replace("_", ""), 0)
        if not first <= value <= last:
            limits = f"{first:#x}..{last:#x}" if last > 0xFFF and first == 0 else f"{first}..{last}"
            self.say("D003", f"{text} is outside {limits}", node.span, f"numbers here lie in {limits}")
            return first
        return value

    def ports(self, node: nodes.Node) -> tuple[int, int]:
        pair = _RANGE.match(node.value) if isinstance(node, nodes.Text) else None
        if pair is None:
            lo = self.number(node, PORT_LAST)
            return lo, lo
        ends = [nodes.Text(text, False, node.span) for text in pair.groups()]
        lo, hi = (self.number(end, PORT_LAST) for end in ends)
        if lo > hi:
            self.say("D003", f"range starts at {lo:#x} but ends at {hi:#x}", node.span, "the low end comes first")
        return lo, max(lo, hi)

    def family(self, given: dict[str, nodes.Node], lo: int, hi: int, count: int, stride: int, last: int) -> None:
        if "stride" in given and count == 1:
            self.say("D002", "`stride` without a `count`", given["stride"].span, "add `count: ...`, or delete it")
        if count > 1 and hi != lo:
            self.say("D002", "members of a family are single ports", given["ports"].span, "write the first port alone")
        elif lo + (count - 1) * stride > last:
            said = f"the last member would stand at {lo + (count - 1) * stride:#x}, past {last:#x}"
            self.say("D003", said, given["count"].span, "lower `count` or `stride`")

    def each(self, node: nodes.Node | None, check: Callable[[nodes.Text], None], most: int) -> tuple[nodes.Text, ...]:
        if node is None:
            return ()
        if not isinstance(node, nodes.List):
            self.say("D003", "a list is meant here", nodes.head(node.span), "write it in brackets: [ONE, TWO]")
            return ()
        if len(node.items) > most:
            self.say("D006", f"{len(node.items)} values where at most {most} fit", nodes.head(node.span), "keep fewer")
            return ()
        found = []
        for item in node.items:
            self.text(item)
            if isinstance(item, nodes.Text):
                check(item)
                found.append(item)
        return tuple(found)

    def alias(self, text: nodes.Text, count: int) -> None:
        if not _ALIAS.match(text.value) or len(text.value) > LONGEST_NAME:
            remedy = f"letters, digits and `_`, at most {LONGEST_NAME}; one {{}} for a family member's number"
            self.say("D003", f"`{text.value[:40]}` cannot be a name", text.span, remedy)
        elif "{}" in text.value and count == 1:
            self.say("D003", f"`{text.value}` numbers a member, and this is no family", text.span, "add `count: ...`")

    def tag(self, text: nodes.Text, space: str) -> None:
        known = MSR_TAGS if space == MSR else PORT_TAGS
        if text.value in known:
            return
        if space == IO:
            head = next((head for head in PORT_TAG_FAMILIES if text.value.startswith(head)), "")
            if head and _TAG_NAME.match(text.value.removeprefix(head)):
                return
        close = nearest(text.value, known, 1)
        remedy = f"did you mean `{close[0]}`?" if close else f"the tags are {', '.join(sorted(known))}"
        self.say(
            "D003", f"`{text.value[:40]}` is not a tag of {'MSRs' if space == MSR else 'ports'}", text.span, remedy
        )

    def word(self, node: nodes.Node, known: tuple[str, ...]) -> str:
        text = self.text(node)
        if isinstance(node, nodes.Text) and text not in known:
            self.say("D003", f"`{text[:40]}` is not one of {', '.join(known)}", node.span, f"write {known[0]}, for one")
        return text

    def line(self, node: nodes.Node) -> str:
        text = self.text(node)
        if isinstance(node, nodes.Text) and (not text or len(text) > LONGEST_LINE or not text.isprintable()):
            remedy = f"write one line of at most {LONGEST_LINE} printable characters"
            self.say("D003", "this is not one short line", nodes.head(node.span), remedy)
        return text


def clashes(known: Iterable[Entry], added: Iterable[Placed], problems: list[Diagnostic], *, numbers: bool) -> None:
    """D004: names used twice, among known and added together. D005: numbers with two meanings, if ``numbers``.

    Two MSR entries may share a number where their vendors or their models differ; port ranges may nest.
    """
    owners: dict[str, tuple[str, Span | None]] = {}
    for entry in known:
        for name in entry.names():
            owners[name] = (entry.name, None)
    taken: dict[tuple[int, str, str], Placed] = {}
    for placed in added:
        _names(placed, owners, problems)
        if len(owners) > MOST_NAMES:
            said = f"the database would have more than {MOST_NAMES:,} names"
            problems.append(error("D006", said, placed.span, helps=("lower the `count` of a family",)))
            return
        if numbers and placed.entry.space == MSR:
            _numbers(placed, taken, problems)


def _names(placed: Placed, owners: dict[str, tuple[str, Span | None]], problems: list[Diagnostic]) -> None:
    entry = placed.entry
    spelt = [(entry.name, placed.span), *zip(entry.aliases, placed.aliases, strict=True)]
    for text, span in spelt:
        unfolded = range(entry.members) if "{}" in text else range(1)
        for name in (text.replace("{}", str(number)) for number in unfolded):
            if name in owners:
                owner, where = owners[name]
                secondary = () if where is None else (Label(where, "first used here"),)
                said = f"`{name}` is already a name of {owner}"
                helps = ("choose another name; each name means one thing",)
                problems.append(error("D004", said, span, secondary=secondary, helps=helps))
                break
            owners[name] = (entry.name, span)


def _numbers(placed: Placed, taken: dict[tuple[int, str, str], Placed], problems: list[Diagnostic]) -> None:
    entry = placed.entry
    vendors = ("any", "intel", "amd") if entry.vendor == "any" else (entry.vendor, "any")
    for number in range(entry.lo, entry.last + 1, entry.stride):
        other = next((taken[key] for vendor in vendors if (key := (number, vendor, entry.models)) in taken), None)
        if other is not None:
            said = f"{number:#x} is already {other.entry.shown(number)}"
            secondary = (Label(other.span, "defined here"),)
            helps = ("make it an alias, or say which vendor or models have it so",)
            problems.append(error("D005", said, placed.span, secondary=secondary, helps=helps))
            return
        taken[number, entry.vendor, entry.models] = placed
