"""Files that are no policies, imports that lead nowhere, language versions, waivers: what is wrong and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.pipeline import front as pipeline_front
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import PolicyError
from tests.semantics.frontend import FILES, HEAD, Told, brief, database, front, told

BYTES: list[tuple[str, str | bytes, Told]] = [
    ("latin-1", b"language 1\n# caf\xe9\n", Told("E002", "2:6", "byte 0xe9 is not UTF-8 text", "save the file as UTF-8 | outside comments, a policy is plain ASCII")),
    ("UTF-16 with mark", "language 1\n".encode("utf-16"), Told("E002", "1:1", "the file is UTF-16, not UTF-8", "save it as UTF-8")),
    ("UTF-16 without", "language 1\n".encode("utf-16-le"), Told("E002", "1:1", "the file is UTF-16, not UTF-8", "save it as UTF-8")),
    ("UTF-16 the other way", "language 1\n".encode("utf-16-be"), Told("E002", "1:1", "the file is UTF-16, not UTF-8", "save it as UTF-8")),
    ("UTF-32", "language 1\n".encode("utf-32"), Told("E002", "1:1", "the file is UTF-32, not UTF-8", "save it as UTF-8")),
    ("nothing but NUL", bytes(1000), Told("E002", "1:1", "the file holds a NUL byte", "is this a policy? `policyc show` draws raw images")),
    ("NUL", b"language 1\nintercept msr 0x10\0\n", Told("E002", "2:19", "the file holds a NUL byte", "is this a policy? `policyc show` draws raw images")),
    ("MSR bitmap", bytes(4096), Told("E002", "1:1", "this is not a policy but a VMX MSR bitmap, or one VMX I/O bitmap", "`policyc show` draws a raw image | `policyc decompile` makes a policy of it")),
    ("IOPM", b"\xff" * 12288, Told("E002", "1:1", "this is not a policy but an SVM IOPM", "`policyc show` draws a raw image | `policyc decompile` makes a policy of it")),
    ("long line", b"# " + b"x" * (1 << 20), Told("E004", "1:1", "a line has more than 1,048,576 characters", "inside braces a line may end after a comma | split a long list over several rules")),
    ("merge conflict", HEAD + "<<<<<<< ours\nallow io 1\n=======\nallow io 2\n>>>>>>> theirs\n", Told("E005", "3:1", "a merge conflict is not resolved", "keep one side, and delete the marker lines")),
    ("bidi", HEAD + "allow io 0x80 # \u202e\n", Told("E006", "3:17", "the text holds an invisible character, U+202E", "delete it")),
    ("escape", HEAD + "allow io 0x80 # \x1b[2J\n", Told("E006", "3:17", "the text holds an invisible character, U+001B", "delete it")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BYTES], ids=[case[0] for case in BYTES])
def test_what_is_no_text_is_refused_at_its_place(text: str | bytes, expected: Told) -> None:
    assert told(text) == [expected]


STATEMENTS: list[tuple[str, list[Told]]] = [
    ('import "none.pol"', [Told("E036", "3:8", "there is no file `none.pol`", "check the path")]),
    ('import "loop.pol"', [Told("E042", "pool.pol:2:8", "this import leads back to itself: vm.pol -> loop.pol -> pool.pol -> loop.pol", "move what both need to a third file")]),
    ('import "bad.pol"', [Told("E001", "bad.pol:2:11", "`mrs` is not `msr` or `io`", "say `msr`")]),
    ('import "targets.pol"', [
        Told("E001", "targets.pol:2:8", "`target` stands in the main file only", "move it to the main file"),
        Told("E001", "targets.pol:3:1", "`default` stands in the main file only", "move it to the main file"),
    ]),
    ("language 1", [Told("E081", "3:1", "`language` must be the first statement of the file", "move it to the top")]),
    ("intercept msr 0x11 # policyc: ignore", [Told("X900", "3:20", "this waiver cannot be read: a waiver names the codes it accepts in brackets", 'write it like this: # policyc: ignore[S409] reason="why" until=2027-01-31 by=@who')]),
    ("intercept msr 0x11 # policyc: ignore[S409] until=2027-02-29", [Told("X900", "3:20", "this waiver cannot be read: `2027-02-29` is not a date like 2027-01-31", 'write it like this: # policyc: ignore[S409] reason="why" until=2027-01-31 by=@who')]),
    ("intercept msr 0x11 # policyc: ignore[S409] until=2027-13-01", [Told("X900", "3:20", "this waiver cannot be read: `2027-13-01` is not a date like 2027-01-31", 'write it like this: # policyc: ignore[S409] reason="why" until=2027-01-31 by=@who')]),
    ("intercept msr 0x11 # policyc: ignore[E001]", [Told("X904", "3:38", "E001 is a compile error and cannot be waived", "mend the statement")]),
    ("intercept msr 0x11 # policyc: ignore[syntax-error]", [Told("X904", "3:38", "syntax-error is a compile error and cannot be waived", "mend the statement")]),
    ("intercept msr 0x11 # policyc: ignore[Z999]", [Told("X904", "3:38", "there is no code `Z999`", "codes begin with P, R, S, T, X or Y")]),
    ("intercept msr " + "{" * 40 + "}" * 40, [Told("E004", "3:47", "braces nest more than 32 deep", "sets are flat: name the inner set with `let` and use its name")]),
]  # fmt: skip

LOOPS: dict[str, str | bytes] = {
    **FILES,
    "loop.pol": 'language 1\nimport "pool.pol"\n',
    "pool.pol": 'language 1\nimport "loop.pol"\n',
    "bad.pol": "language 1\nintercept mrs 0x10\n",
    "targets.pol": "language 1\ntarget vmx\ndefault exit\n",
}


@pytest.mark.parametrize(("text", "expected"), STATEMENTS, ids=[text[:60] for text, _ in STATEMENTS])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", LOOPS) == expected


def test_what_a_policy_should_say_first() -> None:
    assert told("intercept msr 0x11\n") == [
        Told("Y701", "1:1", "the policy does not say its language version", "begin with: language 1"),
        Told(
            "Y702", "1:1", "the policy does not say its default", "say `default passthrough` or `default exit`"
        ),
    ]  # fmt: skip
    assert told("language 1\ndefault io exit\n") == [
        Told(
            "Y702", "1:1", "the policy does not say its default for MSRs",
            "say `default msr passthrough` or `default msr exit`",
        )
    ]  # fmt: skip


def test_a_language_of_the_future() -> None:
    assert told("language 9\ndefault exit\n") == [
        Told("E081", "1:10", "this policyc does not know language 9", "write language 1, or use a newer policyc")
    ]


def on_disk(folder: Path, text: str) -> list[Told]:
    main = folder / "vm.pol"
    main.write_text(HEAD + text)
    with pytest.raises(PolicyError) as caught:
        pipeline_front(str(main), database=database())
    return [
        brief(each)._replace(at=brief(each).at.rsplit("/", 1)[-1].removeprefix("vm.pol:"))
        for each in caught.value.diagnostics
    ]


def test_imports_that_the_disk_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    (folder / "dir.pol").mkdir(parents=True)
    (tmp_path / "outside.pol").write_text("allow io 0x80\n")
    (folder / "one.pol").write_text("language 1\n")
    (folder / "two.pol").symlink_to("one.pol")
    got = {
        text: on_disk(folder, text)
        for text in ('import "dir.pol"\n', 'import "../outside.pol"\n', 'import "/etc/passwd"\n')
    }
    assert [(each.code, each.at) for each in got['import "dir.pol"\n']] == [("E003", "3:8")]
    assert [(each.code, each.at) for each in got['import "../outside.pol"\n']] == [("E073", "3:8")]
    assert got['import "../outside.pol"\n'][0].remedy == "move the file into the folder of the main file"
    assert [(each.code, each.at) for each in got['import "/etc/passwd"\n']] == [("E073", "3:8")]
    twice = on_disk(folder, 'import "one.pol"\nimport "two.pol"\n')
    assert [(each.code, each.at) for each in twice] == [("E072", "4:8")]


def test_independent_mistakes_are_all_told_in_source_order() -> None:
    text = (
        "intercept msr 0xC00000G0 write\nintercept io 0x3ff..0x3f8\nintercept msr IA32_EFFER write\n"
        "intercept io 0xfff8..0x10007\nfrobnicate io 0x10\nintercept io 0x80 write\nintercept msr { 0x10 0x11 }\n"
    )
    assert [(each.code, each.at) for each in told(HEAD + text)] == [
        ("E011", "3:15"), ("E021", "4:14"), ("E031", "5:15"), ("E022", "6:22"), ("E001", "7:1"), ("E051", "8:19"),
        ("E001", "9:22"),
    ]  # fmt: skip


def test_the_reference_samples_say_what_they_should() -> None:
    _, found = front(
        HEAD + "intercept msr 0xC00000G0 write\nintercept io 0x3ff..0x3f8\n\nintercept io 0xfff8..0x10007\n"
    )
    digit, turned, port = found
    assert digit.primary is not None
    assert (digit.primary.span.text, digit.primary.text) == ("0xC00000G0", "in this MSR index")
    assert [each.span.text for each in digit.secondary] == ["G"]
    assert turned.primary is not None
    assert turned.primary.text == "empty: the low end must come first"
    assert turned.notes == ("ranges are inclusive at both ends: 0x3f8..0x3ff is 8 ports",)
    assert [(fix.safe, fix.edits[0].text) for fix in turned.fixes] == [(False, "0x3f8..0x3ff")]
    assert port.primary is not None
    assert port.primary.text == "ports end at 0xffff"
    assert port.notes == (
        "a multi-byte IN or OUT that runs past 0xffff always exits, whatever the bitmap says",
        "cut silently, this range would lose 8 ports (0x10000..0x10007)",
    )


RESERVED = {"E082"}
"""Codes that nothing can cause yet: E082 waits for a second language version."""


def test_every_code_of_the_front_end_is_pinned_by_a_test() -> None:
    here = Path(__file__).parent
    suites = [
        *here.glob("test_*.py"),
        *(path for name in ("syntax", "ir") for path in (here.parent / name).glob("test_*.py")),
    ]
    pinned = set(re.findall(r"\b[EXY]\d{3}\b", "".join(path.read_text(encoding="utf-8") for path in suites)))
    front_end = {code for code in CODES if code[0] == "E" or code in ("Y701", "Y702", "Y706", "Y712", "X900", "X904")}
    assert front_end - pinned == set()


def test_a_reserved_code_is_not_used_yet() -> None:
    import policyc

    root = Path(policyc.__file__).parent
    sources = [path for path in root.rglob("*.py") if path.name not in ("codes.py",)]
    assert not [path for path in sources if any(f'"{code}"' in path.read_text(encoding="utf-8") for code in RESERVED)]
