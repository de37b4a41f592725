"""A report shows the user's line, the place in it, and nothing that a terminal would obey."""

from __future__ import annotations

import re

import pytest

from policyc.reports import concise
from policyc.reports.colour import Paint
from policyc.reports.text import render, report, summary
from policyc.vocabulary import codes
from policyc.vocabulary.codes import Code
from policyc.vocabulary.diagnostic import INFO, WARNING, Edit, Fix, Label
from policyc.vocabulary.span import Source, Span
from tests.growth import seconds
from tests.reports.marked import at, found, numbered, replace

VM = numbered(
    {
        4: "intercept msr 0xC00000G0 write",
        5: "intercept io 0x3ff..0x3f8",
        6: "intercept msr IA32_EFFER write",
        7: "intercept io 0xfff8..0x10007",
    }
)


def same(got: str, expected: str) -> None:
    assert got.splitlines() == expected.strip("\n").splitlines()


# the designed samples


def test_the_exact_digit_is_marked_inside_its_number() -> None:
    number = at(VM, "0xC00000G0", 4, "in this MSR index")
    helps = (
        "hex digits are 0-9 a-f A-F; `_` may separate groups: 0xC000_0080",
        "did you mean 0xC0000080 (IA32_EFER)? it is the only known MSR one digit away",
    )
    same(
        render(found("E011", "`G` is not a hexadecimal digit", number, at(VM, "G", 4), helps=helps)),
        """
error[E011]: `G` is not a hexadecimal digit  (bad-number)
 --> vm.pol:4:15
  |
4 | intercept msr 0xC00000G0 write
  |               ~~~~~~~~^~ in this MSR index
  |
  = help: hex digits are 0-9 a-f A-F; `_` may separate groups: 0xC000_0080
  = help: did you mean 0xC0000080 (IA32_EFER)? it is the only known MSR one digit away
""",
    )


def test_a_fix_is_shown_as_a_patch() -> None:
    place = at(VM, "0x3ff..0x3f8", 5, "empty: the low end must come first")
    same(
        render(
            found(
                "E021",
                "range starts at 0x3ff but ends at 0x3f8",
                place,
                notes=("ranges are inclusive at both ends: 0x3f8..0x3ff is 8 ports",),
                fixes=(replace(place, "0x3f8..0x3ff", "turn it round"),),
            )
        ),
        """
error[E021]: range starts at 0x3ff but ends at 0x3f8  (reversed-range)
 --> vm.pol:5:14
  |
5 | intercept io 0x3ff..0x3f8
  |              ^^^^^^^^^^^^ empty: the low end must come first
  |
  = note: ranges are inclusive at both ends: 0x3f8..0x3ff is 8 ports
  = fix (unsafe: the intent is not certain):
  |   - intercept io 0x3ff..0x3f8
  |   + intercept io 0x3f8..0x3ff
""",
    )


def test_helps_come_before_fixes() -> None:
    place = at(VM, "IA32_EFFER", 6, "not in the database (policyc-msr-db 2026.11, 1 417 names)")
    same(
        render(
            found(
                "E031",
                "no MSR is named `IA32_EFFER`",
                place,
                helps=("did you mean `IA32_EFER` (0xc0000080)?", "`policyc msr search effer` lists close names"),
                fixes=(replace(place, "IA32_EFER", "write IA32_EFER")._replace(doubt="changes what is intercepted"),),
            )
        ),
        """
error[E031]: no MSR is named `IA32_EFFER`  (unknown-msr)
 --> vm.pol:6:15
  |
6 | intercept msr IA32_EFFER write
  |               ^^^^^^^^^^ not in the database (policyc-msr-db 2026.11, 1 417 names)
  |
  = help: did you mean `IA32_EFER` (0xc0000080)?
  = help: `policyc msr search effer` lists close names
  = fix (unsafe: changes what is intercepted):
  |   - intercept msr IA32_EFFER write
  |   + intercept msr IA32_EFER write
""",
    )


def test_notes_come_before_helps() -> None:
    same(
        render(
            found(
                "E022",
                "I/O port 0x10007 does not exist",
                at(VM, "0x10007", 7, "ports end at 0xffff"),
                notes=(
                    "a multi-byte IN/OUT that runs past 0xffff always exits, whatever the bitmap says",
                    "this range would drop 8 ports (0x10000..0x10007) if it were cut silently",
                ),
                helps=("write 0xfff8..0xffff",),
            )
        ),
        """
error[E022]: I/O port 0x10007 does not exist  (port-out-of-range)
 --> vm.pol:7:22
  |
7 | intercept io 0xfff8..0x10007
  |                      ^^^^^^^ ports end at 0xffff
  |
  = note: a multi-byte IN/OUT that runs past 0xffff always exits, whatever the bitmap says
  = note: this range would drop 8 ports (0x10000..0x10007) if it were cut silently
  = help: write 0xfff8..0xffff
""",
    )


def test_two_places_of_one_file_stand_in_the_order_of_lines() -> None:
    source = numbered(
        {
            9: "com1: intercept io 0x3f8..0x3ff -> forward(uart)",
            21: "intercept io 0x3f0..0x3f8 out -> kill",
        }
    )
    same(
        render(
            found(
                "E201",
                "two rules decide `out 0x3f8` differently",
                at(source, "0x3f0..0x3f8", 21, "this rule says kill"),
                at(source, "0x3f8..0x3ff", 9, "rule `com1` says forward(uart)"),
                notes=(
                    "overlap: port 0x3f8, out, width 1/2/4 - 1 port of 9",
                    "rules of one file have no order, so neither wins",
                ),
                helps=(
                    "cut the overlap:          intercept io 0x3f0..0x3f7 out -> kill",
                    "or state who wins:        override intercept io 0x3f0..0x3f8 out -> kill",
                ),
            )
        ),
        """
error[E201]: two rules decide `out 0x3f8` differently  (conflicting-actions)
  --> vm.pol:21:14
   |
 9 | com1: intercept io 0x3f8..0x3ff -> forward(uart)
   |                    ------------ rule `com1` says forward(uart)
...
21 | intercept io 0x3f0..0x3f8 out -> kill
   |              ^^^^^^^^^^^^ this rule says kill
   |
   = note: overlap: port 0x3f8, out, width 1/2/4 - 1 port of 9
   = note: rules of one file have no order, so neither wins
   = help: cut the overlap:          intercept io 0x3f0..0x3f7 out -> kill
   = help: or state who wins:        override intercept io 0x3f0..0x3f8 out -> kill
""",
    )


def test_a_lint_code_looks_like_an_error_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codes.CODES, "R601", Code("unreachable-rule", "error", "a rule that never takes effect"))
    source = numbered(
        {
            3: "allow msr 0x0..0x1fff except { IA32_MISC_ENABLE }",
            12: "intercept msr IA32_DEBUGCTL write -> inject(gp)",
        }
    )
    same(
        render(
            found(
                "R601",
                "this rule can never take effect",
                at(source, "IA32_DEBUGCTL", 12, "... so IA32_DEBUGCTL (0x1d9) is passed through, not trapped"),
                at(source, "0x0..0x1fff", 3, "`allow` here covers 0x1d9 write ..."),
                notes=("decided by allow: 1 of 1 MSR writes of this rule; the guest can set LBR/BTF freely",),
            )
        ),
        """
error[R601]: this rule can never take effect  (unreachable-rule)
  --> vm.pol:12:15
   |
 3 | allow msr 0x0..0x1fff except { IA32_MISC_ENABLE }
   |           ----------- `allow` here covers 0x1d9 write ...
...
12 | intercept msr IA32_DEBUGCTL write -> inject(gp)
   |               ^^^^^^^^^^^^^ ... so IA32_DEBUGCTL (0x1d9) is passed through, not trapped
   |
   = note: decided by allow: 1 of 1 MSR writes of this rule; the guest can set LBR/BTF freely
""",
    )


# lines


def test_other_files_follow_with_their_own_line_numbers() -> None:
    main = numbered({2: 'import "uart.pol"', 3: "allow io 0x3f8"})
    other = numbered({100: "intercept io 0x3f8..0x3ff"}, "lib/uart.pol")
    same(
        render(
            found(
                "E203",
                "this allow opens what another module intercepts",
                at(main, "0x3f8", 3, "opened here"),
                at(other, "0x3f8..0x3ff", 100, "intercepted here"),
            )
        ),
        """
error[E203]: this allow opens what another module intercepts  (allow-cuts-module)
   --> vm.pol:3:10
    |
  3 | allow io 0x3f8
    |          ^^^^^ opened here
   ::: lib/uart.pol:100:14
    |
100 | intercept io 0x3f8..0x3ff
    |              ------------ intercepted here
""",
    )


def test_one_line_between_two_places_is_shown_rather_than_elided() -> None:
    source = Source("vm.pol", "let io A = 0x60\n# keyboard\nlet io A = 0x64\n")
    primary = at(source, "A", 3)
    got = render(found("E071", "`A` is defined twice", primary, at(source, "A", 1, "first defined here")))
    same(
        got,
        """
error[E071]: `A` is defined twice  (redefinition)
 --> vm.pol:3:8
  |
1 | let io A = 0x60
  |        - first defined here
2 | # keyboard
3 | let io A = 0x64
  |        ^
""",
    )


def test_places_on_one_line_do_not_hide_each_others_words() -> None:
    source = Source("vm.pol", "intercept io 0x60 -> kill, drop")
    labels = (
        at(source, "drop", 1, "and this too"),
        at(source, "kill", 1, "this ends the chain"),
        at(source, "io", 1, "x"),
    )
    same(
        render(found("E064", "two terminal actions in one rule", *labels)),
        """
error[E064]: two terminal actions in one rule  (two-terminals)
 --> vm.pol:1:28
  |
1 | intercept io 0x60 -> kill, drop
  |           --         ----  ^^^^ and this too
  |           |          |
  |           |          this ends the chain
  |           |
  |           x
""",
    )


def test_a_place_over_several_lines_shows_its_ends() -> None:
    source = Source("vm.pol", "allow msr { 0x1,\n  0x2,\n  # three\n  0x3 }\n")
    start, end = source.text.index("{"), source.text.index("}") + 1
    same(
        render(found("E211", "an assertion does not hold", Label(Span(source, start, end), "this set"))),
        """
error[E211]: an assertion does not hold  (assert-failed)
 --> vm.pol:1:11
  |
1 | allow msr { 0x1,
  |           ^^^^^^ ...
...
4 |   0x3 }
  |   ^^^^^ this set
""",
    )


def test_a_point_has_one_mark_even_at_the_end_of_the_file() -> None:
    source = Source("vm.pol", "profile a {\n")
    end = len(source.text)
    got = render(found("E001", "the block is never closed", Label(Span(source, end, end), "the file ends here")))
    same(
        got,
        """
error[E001]: the block is never closed  (syntax-error)
 --> vm.pol:2:1
  |
2 |
  | ^ the file ends here
""",
    )


def test_a_point_after_the_last_character_of_a_line() -> None:
    source = Source("vm.pol", "allow io\r\n")
    assert render(found("E001", "m", Label(Span(source, 8, 8), "here"))).splitlines()[-1] == "  |         ^ here"


def test_tabs_count_as_one_column_and_are_four_wide() -> None:
    source = Source("vm.pol", "\tallow\tio 0x60")
    lines = render(found("E001", "m", at(source, "io", 1))).splitlines()
    assert lines[1] == " --> vm.pol:1:8"
    assert lines[3:] == ["1 |     allow    io 0x60", "  |              ^^"]


def test_marks_stand_below_wide_and_combining_characters() -> None:
    source = Source("vm.pol", "# 漢字 e\u0301 \u202e x")
    lines = render(found("E006", "m", at(source, "x", 1))).splitlines()
    assert lines[3] == "1 | # 漢字 e\u0301 \\u202e x"
    # "# " 2, two wide characters 4, " e" 2, the accent 0, " " 1, the escape 6, " " 1
    assert lines[4] == "  | " + " " * 16 + "^"


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    source = Source("evil\x1b[2J\n.pol", "allow \x1b[31m io \x9b\x07\x00")
    place = Label(Span(source, 6, 7), "an \x1b escape")
    got = render(
        found("E006", "text \x1b[0m", place, notes=("\x07",), helps=("\r",), fixes=(replace(place, "\x1b", "\x1b"),))
    )
    assert all(char == "\n" or char.isprintable() for char in got)
    assert "evil\\x1b[2J\\x0a.pol:1:7" in got


def test_a_long_line_is_cut_around_the_place() -> None:
    source = Source("vm.pol", "allow msr { " + "0x10, " * 200 + "HERE, " + "0x20, " * 200 + "}")
    lines = render(found("E031", "m", at(source, "HERE", 1, "this"))).splitlines()
    assert len(lines[3]) <= 4 + 120 + 6
    assert lines[3].startswith("1 | ...")
    assert lines[3].endswith("...")
    where = lines[4].index("^")
    assert lines[3][where : where + 4] == "HERE"
    assert lines[4].endswith("^^^^ this")


def test_far_places_of_a_long_line_each_get_a_row() -> None:
    source = Source("vm.pol", "allow msr { ONE, " + "0x10, " * 200 + "TWO }")
    lines = render(found("E031", "m", at(source, "TWO", 1, "b"), at(source, "ONE", 1, "a"))).splitlines()
    shown = [line for line in lines if line.startswith("1 |")]
    assert ["ONE" in line for line in shown] == [True, False]
    assert ["TWO" in line for line in shown] == [False, True]


def test_a_place_longer_than_the_window_still_ends() -> None:
    source = Source("vm.pol", "x" * 10_000)
    lines = render(found("E012", "m", Label(Span(source, 0, 10_000), "long"))).splitlines()
    assert lines[3:] == [f"1 | {'x' * 120}...", f"  | {'^' * 120} long"]


def test_a_line_of_a_mebibyte_costs_no_more_than_its_window() -> None:
    source = Source("vm.pol", "x" * (1 << 20))
    places = [Label(Span(source, at, at + 5), "here") for at in range(0, 1 << 20, 10_000)]

    def renders() -> None:
        for place in places:
            lines = render(found("E012", "m", place)).splitlines()
            assert len(lines[3]) <= 4 + 120 + 6
            assert lines[4].endswith("^^^^^ here")

    assert seconds(renders, 1) < 1


def test_tabs_of_a_long_line_are_counted_in_columns() -> None:
    source = Source("vm.pol", "\t" * 500 + "HERE" + "\t" * 500)
    lines = render(found("E031", "m", at(source, "HERE", 1))).splitlines()
    where = lines[4].index("^")
    assert lines[3][where : where + 4] == "HERE"
    assert len(lines[3]) <= 4 + 120 + 6


# patches, counts, colours


def test_a_patch_shows_only_lines_that_change_and_joins_edits_of_one_line() -> None:
    source = Source("vm.pol", "language 1\nallow io 0x1 in, out\nallow io 0x2\n")
    first, second = at(source, "0x1", 2), at(source, "in, out", 2)
    fix = Fix("t", (Edit(second.span, "inout"), Edit(first.span, "0x3")), True)
    lines = render(found("E001", "m", first, fixes=(fix,))).splitlines()
    assert lines[-3:] == ["  = fix (t):", "  |   - allow io 0x1 in, out", "  |   + allow io 0x3 inout"]


def test_a_patch_that_adds_a_line_takes_none_away() -> None:
    source = Source("vm.pol", "allow io 0x1\n")
    start = Label(Span(source, 0, 0))
    fix = replace(start, "default passthrough\n", "state it", safe=True)
    assert render(found("Y702", "m", start, fixes=(fix,))).splitlines()[-1] == "  |   + default passthrough"
    assert "  |   -" not in render(found("Y702", "m", start, fixes=(fix,)))


def test_a_diagnostic_without_a_place() -> None:
    got = render(found("T513", "kvm is left out", None, notes=("why",), severity=WARNING))
    same(got, "warning[T513]: kvm is left out  (target-left-out)\n  = note: why")


def test_the_last_line_counts_what_was_found() -> None:
    one = found("E001", "m", None)
    warning, info = one._replace(severity=WARNING), one._replace(severity=INFO)
    assert summary([one, one, one, warning], "nothing written") == "3 errors, 1 warning; nothing written"
    assert summary([info]) == "1 remark"
    assert summary([]) == ""
    assert report([]) == ""


def test_colour_adds_nothing_but_colour() -> None:
    number = at(VM, "0xC00000G0", 4, "in this MSR index")
    diagnostic = found("E011", "m", number, at(VM, "G", 4), notes=("n",), fixes=(replace(number, "0x1", "t"),))
    coloured = render(diagnostic, Paint(True))
    assert "\x1b[1;31merror[E011]\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(diagnostic)


def test_a_name_of_a_hundred_thousand_characters_is_shortened_wherever_it_stands() -> None:
    name = "start" + "a" * 100_000 + "end"
    source = Source("vm.pol", f"intercept io {name}\n")
    said = f"no port is named `{name}`"
    place = at(source, name, 1)._replace(text=said)
    helps = (said, "intercept io { " + "0x1, " * 10_000 + "}")
    fix = replace(place, "x", said)._replace(doubt=said)
    got = render(found("E032", said, place, notes=(said,), helps=helps, fixes=(fix,)))
    assert max(map(len, got.splitlines())) < 1200
    assert got.startswith("error[E032]: no port is named `startaaa")
    assert "aaaend`" in got.splitlines()[0]
    assert len(concise.line(found("E032", said, place))) < 400
