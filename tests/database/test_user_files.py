"""A user's own database file: what it adds, and what each mistake or attack in it is answered with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.database import nodes
from policyc.database.names import load
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from tests.growth import seconds

GOOD = """\
# The site's own registers.
- name: SITE_SCRATCH
  index: 0xc0001f00
  count: 4
  aliases: [SCRATCH, "SCRATCH{}"]
  about: Scratch register of our own hypervisor.
  access: rw
  vendor: any
  tags: [switch]
  source: our own manual
- name: SITE_DOOR
  ports: 0x5658..0x5659
  about: Door to our hypervisor.
  access: rw
  vendor: any
  tags: ["device:door", backdoor]
  source: our own manual
"""


def entry(**changes: str | None) -> str:
    """One good entry with some of its lines changed, or left out (None)."""
    fields: dict[str, str | None] = {
        "name": "SITE_A", "index": "0xc0001f00", "about": "Ours.", "access": "rw", "vendor": "any", "source": "ours",
    }  # fmt: skip
    fields |= changes
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "- " + "\n  ".join(lines) + "\n"


def problems(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(PolicyError) as caught:
        load((("site.yaml", text),))
    return caught.value.diagnostics


def test_own_entries_are_found_like_the_built_in_ones() -> None:
    database = load((("site.yaml", GOOD),))
    assert database.msr("SITE_SCRATCH") == ((0xC000_1F00, 0xC000_1F03),)
    assert database.msr("SCRATCH2") == ((0xC000_1F02, 0xC000_1F02),)
    assert database.msr_name(0xC000_1F02) == "SITE_SCRATCH[2]"
    assert "switch" in database.msr_tags(0xC000_1F03)
    tagged = [index for _, index, *_ in database.msrs_tagged("switch")]
    assert 0xC000_1F00 in tagged
    assert tagged == sorted(tagged)
    assert database.port("SITE_DOOR") == ((0x5658, 0x5659),)
    assert "device:door" in database.port_tags(0x5659)
    assert database.names == load().names + 7
    assert database.search_msr("scratch")[0].entry.name == "SITE_SCRATCH"
    assert database.msr_entry(0xC000_1F00).source == "our own manual"  # type: ignore[union-attr]


def test_an_empty_file_adds_nothing() -> None:
    assert load((("site.yaml", "# nothing yet\n"),)).names == load().names


MISTAKES = [
    # text, code, line, column, part of the message, part of a remedy
    (entry(index="0xc0001g00"), "D003", 2, 10, "`0xc0001g00` is not a number", "0xc0000080"),
    (entry(index="010"), "D003", 2, 10, "`010` is not a number", "like 0xc0000080"),
    (entry(index="1:30"), "D003", 2, 10, "`1:30` is not a number", ""),
    (entry(index='"0x10"'), "D003", 2, 10, "`0x10` is not a number", ""),
    (entry(index="0x100000000"), "D003", 2, 10, "0x100000000 is outside 0x0..0xffffffff", ""),
    (entry(index="-1"), "D003", 2, 10, "`-1` is not a number", ""),
    (entry(name="site_a"), "D003", 1, 9, "`site_a` cannot be a canonical name", "upper-case"),
    (entry(access="ro"), "D003", 4, 11, "`ro` is not one of r, w, rw", ""),
    (entry(vendor="acme"), "D003", 5, 11, "`acme` is not one of any, intel", ""),
    (entry(tags="[hott]"), "D003", 7, 10, "`hott` is not a tag of MSRs", "did you mean `hot`?"),
    (entry(tags="hot"), "D003", 7, 9, "a list is meant here", "[ONE, TWO]"),
    (entry(about="x" * 101), "D003", 3, 10, "not one short line", "at most 100"),
    (entry(about=None), "D002", 1, 3, "the entry has no `about`", "add `about: ...`"),
    (entry(index=None), "D002", 1, 3, "either `index` (an MSR) or `ports`", "write one"),
    (entry(ports="0x10"), "D002", 1, 3, "either `index` (an MSR) or `ports`", "write one"),
    (entry(alias="[X]"), "D002", 7, 3, "an entry has no field `alias`", "did you mean `aliases`?"),
    (entry(stride="2"), "D002", 7, 11, "`stride` without a `count`", "add `count"),
    (entry(count="9000"), "D003", 7, 10, "9000 is outside 1..8192", ""),
    (entry(index="0xffffffff", count="2"), "D003", 7, 10, "would stand at 0x100000000", "lower"),
    (entry(index=None, ports="0x10..0x8"), "D003", 6, 10, "range starts at 0x10 but ends at 0x8", "low end"),
    (entry(aliases="['A{}']"), "D003", 7, 13, "numbers a member, and this is no family", "count"),
    (entry(name="IA32_EFER"), "D004", 1, 9, "`IA32_EFER` is already a name of IA32_EFER", "another name"),
    (entry(aliases="[COM1]"), "D004", 7, 13, "`COM1` is already a name of COM1", "another name"),
    (entry() + entry(index="0xc0001f01"), "D004", 7, 9, "`SITE_A` is already a name of SITE_A", "another name"),
    (entry() + entry(name="SITE_B"), "D005", 7, 9, "0xc0001f00 is already SITE_A", "alias"),
    (entry(name="A\n  name: B"), "D002", 2, 3, "`name` is given twice", ""),
    ("name: X\n", "D002", 1, 1, "a list of entries", "begin each entry"),
    ("- just text\n", "D002", 1, 3, "an entry is a mapping", "one field a line"),
    ("- name: [A\n", "D001", 2, 1, "this is not YAML", ""),
    (entry(name="&a SITE_A"), "D001", 1, 9, "anchors and aliases are not read", "write each entry out"),
    (entry(about="*a"), "D001", 3, 10, "`*a`: anchors and aliases are not read", ""),
    (entry(about="!!python/object/apply:os.system [x]"), "D001", 3, 10, "YAML tags are not read", "delete"),
    (entry() + "---\n" + entry(), "D001", 7, 1, "a second document", "one list"),
    ("[" * 9, "D006", 1, 5, "nested deeper than 4 levels", "flat"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "column", "message", "remedy"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_a_remedy(
    text: str, code: str, line: int, column: int, message: str, remedy: str
) -> None:
    found = problems(text)
    assert len(found) == 1, [each.message for each in found]
    first = found[0]
    assert first.primary is not None
    span = first.primary.span
    assert (first.code, span.source.name, span.line, span.column) == (code, "site.yaml", line, column)
    assert message in first.message
    assert remedy in " ".join(first.helps)


def test_all_mistakes_of_a_file_are_told_in_its_order() -> None:
    text = entry(access="ro") + entry(name="SITE_B", vendor="acme") + entry(name="SITE_C", index="0xc0001f02")
    assert [each.message.split()[0] for each in problems(text)] == ["`ro`", "`acme`"]


def test_places_are_right_after_umlauts_and_carriage_returns() -> None:
    text = "# Gerät\r\n" + entry(access="ro").replace("\n", "\r\n")
    span = problems(text)[0].primary.span  # type: ignore[union-attr]
    assert (span.line, span.column, span.text) == (5, 11, "ro")


BOMB = "- &a [x]\n" + "".join(f"- &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9))
HOSTILE = {
    "an alias bomb": BOMB,
    "very many values": "- [" + "x, " * 150_000 + "]\n",
    "a very long file": "#" * (nodes.LARGEST + 1),
    "a very long name": entry(name="A" * 100_000),
    "a very long number": entry(index="9" * 100_000),
    "families that unfold": "".join(
        entry(name=f"F{n}", index=hex(n << 20), count="8192", aliases=f"['F{n}_{{}}', 'G{n}_{{}}']") for n in range(60)
    ),
    "a NUL": entry(about="a\0b"),
    "a lone surrogate": entry(about="\ud800"),
    "deep brackets": "[" * 100_000,
    "an endless key": "? " * 20_000,
    "brackets in flow": "- {a: " * 20_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_quickly(what: str) -> None:
    def load() -> None:
        found = problems(HOSTILE[what])
        assert {each.code for each in found} <= {"D001", "D003", "D006"}
        assert all(len(each.message) < 300 for each in found)

    assert seconds(load, 5) < 5


def test_the_sample_of_the_page_is_a_file_that_loads() -> None:
    """Under other names and numbers, for the database has those of the page already."""
    page = (Path(nodes.__file__).parent / "README.md").read_text(encoding="utf-8")
    sample = page.split("```yaml\n")[1].split("```")[0]
    sample = re.sub(r"name: \w+", lambda name: f"{name[0]}_OF_OURS", re.sub(r"\n  aliases: [^\n#]*", "", sample))
    for before, after in (("0xc0000080", "0xc0001f00"), ("0x200", "0x1f00"), ("0x3f8..0x3ff", "0x7f8..0x7ff")):
        sample = sample.replace(before, after)
    found = load((("README.md", sample),))
    assert found.msr("IA32_EFER_OF_OURS") == ((0xC0001F00, 0xC0001F00),)
    assert found.port("COM1_OF_OURS") == ((0x7F8, 0x7FF),)
