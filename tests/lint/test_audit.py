"""``policyc audit``: what is found in the images of others, at the byte and bit that the manuals give."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policyc.analyses.images import read_image
from policyc.cli import frame
from policyc.lint.images import AUDITED, Finding, audit
from policyc.lint.registry import codes, load
from policyc.lint.settings import Settings
from tests.corpus.images import images
from tests.corpus.lists import NAMES, naive_policy
from tests.corpus.lists import load as real
from tests.corpus.test_lists import COMPARE
from tests.lint.lint import DATABASE, lint

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "audit.md"
UPDATE = os.environ.get("POLICYC_UPDATE", "") not in ("", "0")
OPEN, SHUT = bytes(4096), b"\xff" * 4096
OVER_X2APIC = json.dumps(
    {
        "format_version": 1,
        "flags": 0,
        "ranges": [{"flags": 3, "base": 0x800, "nmsrs": 64, "bitmap": "fe" + "ff" * 7}],
    }
).encode()
OTHERWISE = {"S428", "P302", "P309"}
"""Rules that look at words in a policy: its lengths, and what exits by a rule of its own, not by the default."""


def findings(kind: str, data: bytes, settings: Settings | None = None) -> list[Finding]:
    return audit(kind, read_image(kind, data), data, DATABASE, settings or Settings())


def cleared(data: bytes, *places: tuple[int, int]) -> bytes:
    """data with single bits 0, by byte and bit."""
    changed = bytearray(data)
    for byte, bit in places:
        changed[byte] &= ~(1 << bit)
    return bytes(changed)


def told(capsys: Captured, folder: Path, files: dict[str, bytes], *words: str) -> tuple[int, str, str]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    status = frame.run(["audit", *(str(folder / name) for name in files), *words])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("name", [name for name in NAMES if real(name).target != "kvm"])
def test_an_image_is_judged_as_the_policy_that_makes_it(name: str) -> None:
    """The list in numbers is linted through the compiler; its image is built here by the manuals' formulas, and is the
    hypervisor's own."""
    each = real(name)
    made = images(each)
    for what, facts in each.expected.items():
        COMPARE[what](facts, made)
    asked = Settings(select=tuple(code for code in AUDITED if code not in OTHERWISE))
    audited = {one.diagnostic.code for kind, data in made.items() for one in findings(kind, data, asked)}
    linted = {one.code for one in lint(naive_policy(each), asked, waive=False).left}
    # Of a cell's ports alone, the policy says the least of MSRs: all exit.
    assert audited == linted - ({"P301", "P304", "P306"} if {*made} == {"io.bin"} else set())


@pytest.mark.parametrize(
    ("kind", "code", "clear", "access"),
    [  # SDM vol. 3C "MSR-Bitmap Address": write low at 0x800, write high at 0xc00. APM vol. 2, 15.11: two bits an MSR.
        ("msr.bin", "S401", [(0x800 + 0x3A // 8, 0x3A % 8)], ("write", 0x3A, 0x3A, 0x807, 2)),
        ("msr.bin", "S415", [(0x611 // 8, 0x611 % 8)], ("read", 0x611, 0x611, 0xC2, 1)),
        ("msr.bin", "S406", [(0xC00 + 0x10, 0)], ("write", 0xC0000080, 0xC0000080, 0xC10, 0)),
        ("msrpm.bin", "S411", [(0x1B * 2 // 8, 0x1B * 2 % 8 + 1)], ("write", 0x1B, 0x1B, 6, 7)),
        ("io.bin", "S409", [(0xCF9 // 8, 1)], ("io", 0xCF9, 0xCF9, 0x19F, 1)),
        ("iopm.bin", "S418", [(0x70 // 8, 0)], ("io", 0x70, 0x70, 0xE, 0)),
    ],
)
def test_the_bit_that_opens_is_named(
    kind: str, code: str, clear: list[tuple[int, int]], access: tuple[str, int, int, int, int]
) -> None:
    size = {"msr.bin": 4096, "io.bin": 8192, "msrpm.bin": 8192, "iopm.bin": 12288}[kind]
    shut = b"\xff" * size
    assert code not in {each.diagnostic.code for each in findings(kind, shut)}
    (found,) = [each for each in findings(kind, cleared(shut, *clear)) if each.diagnostic.code == code]
    (part,) = found.parts
    assert part.first is not None
    assert (part.access, part.lo, part.hi, part.first.byte, part.first.bit) == access
    assert (part.last, part.exits) == (part.first, False)
    assert found.source == load(code).rule.source


def test_costs_are_told_with_the_bits_that_are_set() -> None:
    data = bytearray(OPEN)
    data[0xC20] |= 0b011
    (found,) = [each for each in findings("msr.bin", bytes(data)) if each.diagnostic.code == "P301"]
    (part,) = found.parts
    assert (part.access, part.lo, part.hi, str(part.first), str(part.last), part.exits) == (
        "write", 0xC0000100, 0xC0000101, "byte 0xc20 bit 0", "byte 0xc20 bit 1", True,
    )  # fmt: skip


def test_an_image_of_msrs_says_nothing_of_ports() -> None:
    everything = {part.access for each in findings("msr.bin", OPEN) for part in each.parts}
    assert everything <= {"read", "write"}
    assert {part.access for each in findings("io.bin", OPEN * 2) for part in each.parts} == {"io"}


def test_half_of_a_device_shows_both_halves() -> None:
    data = bytearray(8192)
    data[0xCF8 // 8] = 0b00001111
    (found,) = [each for each in findings("io.bin", bytes(data)) if each.diagnostic.code == "S408"]
    assert [(part.lo, part.hi, part.exits) for part in found.parts] == [
        (0xCF8, 0xCFB, True),
        (0xCFC, 0xCFF, False),
    ]


def test_the_threat_and_the_choice_of_rules_count() -> None:
    assert {each.diagnostic.code for each in findings("msr.bin", OPEN, Settings(select=("S401", "S411")))} == {
        "S401",
        "S411",
    }
    assert not [
        each for each in findings("msr.bin", OPEN, Settings(threat="monitor")) if each.diagnostic.severity == "error"
    ]


class TestKnownBad:
    """The mistakes of known_bad.json that a raw image shows, as images."""

    @pytest.mark.parametrize(("base", "length"), [(0x0, 0x1F), (0xC000, 0x3F), (0xD000, 0xFF)])
    def test_lengths_that_are_last_offsets(self, base: int, length: int) -> None:
        data = cleared(b"\xff" * 8192, *((port // 8, port % 8) for port in range(base, base + length)))
        (found,) = [each for each in findings("io.bin", data) if each.diagnostic.code == "S428"]
        assert [(part.lo, part.hi) for part in found.parts] == [
            (base, base + length - 1),
            (base + length, base + length),
        ]
        right = cleared(data, ((base + length) // 8, (base + length) % 8))
        assert "S428" not in {each.diagnostic.code for each in findings("io.bin", right)}

    def test_swapped_directions_of_x2apic(self) -> None:
        """jailhouse svm.c: writes of the read-only 0x80d are trapped, and reads of the write-only 0x83f."""
        data = bytearray(8192)
        data[0x80D * 2 // 8] |= 1 << 0x80D * 2 % 8 + 1
        data[0x83F * 2 // 8] |= 1 << 0x83F * 2 % 8
        found = [each for each in findings("msrpm.bin", bytes(data)) if each.diagnostic.code == "S419"]
        assert {part.lo for each in found for part in each.parts} == {0x80D, 0x83F}

    def test_one_port_of_the_pci_configuration(self) -> None:
        data = bytearray(8192)
        data[0xCF8 // 8] = 1
        assert "S408" in {each.diagnostic.code for each in findings("io.bin", bytes(data))}

    def test_a_feature_control_that_passes(self) -> None:
        assert "S401" in {each.diagnostic.code for each in findings("msr.bin", cleared(SHUT, (0x807, 2)))}

    def test_everything_passes(self) -> None:
        assert {"S401", "S403", "S404", "S405"} <= {each.diagnostic.code for each in findings("msr.bin", OPEN)}

    def test_a_filter_over_x2apic(self) -> None:
        (found,) = [each for each in findings("kvm_filter.json", OVER_X2APIC) if each.diagnostic.code == "T502"]
        assert found.diagnostic.message == "range 0 of kvm_filter.json denies 0x800, and KVM filters no x2APIC MSR"
        assert [(part.access, part.lo, str(part.first)) for part in found.parts] == [
            ("read", 0x800, "range 0 byte 0x0 bit 0"),
            ("write", 0x800, "range 0 byte 0x0 bit 0"),
        ]


class TestCommand:
    def test_text_has_access_name_byte_bit_and_source(self, tmp_path: Path, capsys: Captured) -> None:
        status, out, err = told(capsys, tmp_path, {"msr.bin": cleared(SHUT, (0x807, 2))}, "--select", "S401")
        assert status == 1
        assert out == f"{tmp_path}/msr.bin (msr.bin): 1 error\n"
        first, second, _, last = err.strip().splitlines()
        assert first.startswith("error[S401]: ")
        assert second == "  write 0x3a  IA32_FEATURE_CONTROL  passes: byte 0x807 bit 2"
        assert last.startswith("  = source: Intel SDM vol. 3C")

    def test_nothing_found_is_0_and_says_so(self, tmp_path: Path, capsys: Captured) -> None:
        assert told(capsys, tmp_path, {"io.bin": b"\xff" * 8192}, "--ignore", "P") == (
            0,
            f"{tmp_path}/io.bin (io.bin): nothing found\n",
            "",
        )

    def test_the_level_that_fails(self, tmp_path: Path, capsys: Captured) -> None:
        files = {"msr.bin": cleared(SHUT, (0x807, 2))}
        assert told(capsys, tmp_path, files, "--fail-on", "never")[0] == 0
        only_infos = {"io.bin": bytes(16) + b"\x01" + bytes(8175)}  # Port 0x80 exits.
        assert told(capsys, tmp_path, only_infos, "--select", "P309")[0] == 0
        assert told(capsys, tmp_path, only_infos, "--select", "P309", "--fail-on", "info")[0] == 1

    def test_concise_has_byte_and_bit_where_line_and_column_stand(self, tmp_path: Path, capsys: Captured) -> None:
        words = ("--select", "S401", "--format", "concise")
        _, out, _ = told(capsys, tmp_path, {"msr.bin": cleared(SHUT, (0x807, 2))}, *words)
        assert out.startswith(f"{tmp_path}/msr.bin:0x807:2: error[S401] feature-control: ")

    def test_github_names_the_file(self, tmp_path: Path, capsys: Captured) -> None:
        words = ("--select", "S401", "--format", "github")
        _, out, _ = told(capsys, tmp_path, {"msr.bin": cleared(SHUT, (0x807, 2))}, *words)
        assert out.startswith(f"::error file={tmp_path}/msr.bin,title=S401 feature-control::")
        assert "%0Anote: write 0x3a passes: byte 0x807 bit 2%0A" in out

    def test_json_has_every_access(self, tmp_path: Path, capsys: Captured) -> None:
        words = ("--select", "S405", "--format", "json")
        _, out, _ = told(capsys, tmp_path, {"msr.bin": OPEN}, *words)
        document: dict[str, Any] = json.loads(out)
        assert document["format_version"] == 1
        (found,) = document["findings"]
        assert {
            "access": "write",
            "lo": 0x2FF,
            "hi": 0x2FF,
            "names": ["IA32_MTRR_DEF_TYPE"],
            "exits": False,
            "first": {"byte": 0x85F, "bit": 7, "range": None},
            "last": {"byte": 0x85F, "bit": 7, "range": None},
        } in found["accesses"]

    def test_sarif_is_valid_and_points_to_bytes(self, tmp_path: Path, capsys: Captured) -> None:
        files = {"msr.bin": OPEN, "io.bin": bytes(8192), "kvm_filter.json": OVER_X2APIC}
        _, out, _ = told(capsys, tmp_path, files, "--format", "sarif")
        document = json.loads(out)
        schema = json.loads((ROOT / "tests" / "reports" / "sarif-2.1.0.json").read_text())
        jsonschema.Draft4Validator(schema).validate(document)
        results = document["runs"][0]["results"]
        (found,) = [each for each in results if each["ruleId"] == "S401"]
        assert found["locations"][0]["physicalLocation"]["region"] == {"byteOffset": 0x807, "byteLength": 1}
        (found,) = [each for each in results if each["ruleId"] == "T502"]
        assert "region" not in found["locations"][0]["physicalLocation"], "its bits stand in JSON, not at bytes"

    def test_a_dump_is_read_as_decompile_reads_it(self, tmp_path: Path, capsys: Captured) -> None:
        text = f"u8 map[4096] = {{ {', '.join(map(str, cleared(SHUT, (0x807, 2))))} }};\n"
        status, out, _ = told(capsys, tmp_path, {"vmx.c": text.encode()}, "--format", "concise", "--select", "S4")
        assert (status, out.count("S401")) == (1, 1)

    def test_others_are_looked_at_where_one_is_no_image(self, tmp_path: Path, capsys: Captured) -> None:
        status, out, err = told(capsys, tmp_path, {"a.txt": b"hello\n", "msr.bin": OPEN}, "--format", "concise")
        assert status == 2
        assert "a.txt is no image" in err
        assert "S401" in out


def table() -> list[str]:
    rows = ["| list | image | found | remarks |", "|---|---|---|---|"]
    for name in NAMES:
        for kind, data in images(real(name)).items():
            found = findings(kind, data)
            grave, rest = (
                " ".join(
                    dict.fromkeys(
                        each.diagnostic.code for each in found if (each.diagnostic.severity == "info") == info
                    )
                )
                for info in (False, True)
            )
            rows.append(f"| {name} | `{kind}` | {grave or 'nothing'} | {rest} |")
    return rows


def test_the_table_is_what_audit_finds() -> None:
    text = PAGE.read_text(encoding="utf-8")
    body = "\n".join(table())
    wanted, count = re.subn(
        r"<!-- table: corpus -->.*?<!-- end -->",
        lambda _: f"<!-- table: corpus -->\n\n{body}\n\n<!-- end -->",
        text,
        flags=re.S,
    )
    assert count == 1
    if UPDATE:
        PAGE.write_text(wanted, encoding="utf-8")
    assert text == wanted, "stale: POLICYC_UPDATE=1 pytest tests/lint/test_audit.py"


def test_every_rule_that_is_asked_exists_and_the_page_names_the_others() -> None:
    assert set(AUDITED) <= set(codes())
    page = PAGE.read_text(encoding="utf-8")
    for code in codes():
        if code[0] in "PS" and code not in AUDITED:
            assert code in page, f"docs/audit.md does not say why {code} is not asked of images"
