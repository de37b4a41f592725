"""manifest.json says what the bundle is, in the form of its schema, and nothing about where or when it was made."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policyc.bundle.read import manifest_schema
from policyc.bundle.schema import violation
from policyc.pipeline import compile_policy
from policyc.vocabulary.diagnostic import PolicyError
from tests.bundle.bundles import POLICY, compiled, files

ROOT = Path(__file__).parents[2]
WRITTEN = {each: each.read_text() for each in (ROOT / "examples").rglob("*.pol")}
MODULES = {
    (path.parent / name).resolve()
    for path, text in WRITTEN.items()
    for name in re.findall(r'^import "([^"]*)"', text, re.MULTILINE)
}
"""Examples that others import; they make no bundle of their own."""
EXAMPLES = sorted(each.relative_to(ROOT).as_posix() for each in WRITTEN if each not in MODULES)
SCHEMA = manifest_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def document(text: str = POLICY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(text)[-1].data)
    return found


def undescribed(value: object, schema: dict[str, Any], at: str = "") -> list[str]:
    """Members that the schema does not mention."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        return [
            found
            for key, member in value.items()
            for found in (
                [f"{at}.{key}"] if key not in known and other is None else undescribed(member, known.get(key, other))
            )
        ]
    if isinstance(value, list):
        first, rest = schema.get("prefixItems", []), schema.get("items", {})
        return [
            found
            for number, item in enumerate(value)
            for found in undescribed(item, first[number] if number < len(first) else rest, f"{at}[]")
        ]
    return []


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_s_manifest_is_of_the_schema_s_form(example: str) -> None:
    found = json.loads(compile_policy(str(ROOT / example)).files[-1].data)
    VALIDATOR.validate(found)
    assert violation(found, SCHEMA) is None
    assert undescribed(found, SCHEMA) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 2


def test_files_and_sources_are_listed_with_size_and_hash() -> None:
    found = document()
    expected = [
        {"path": each.name, "size": len(each.data), "sha256": hashlib.sha256(each.data).hexdigest()}
        for each in sorted(files()[:-1])
    ]
    assert found["files"] == expected
    assert found["sources"] == [
        {"path": "vm.pol", "size": len(POLICY), "sha256": hashlib.sha256(POLICY.encode()).hexdigest()}
    ]


def test_the_bytes_are_ascii_with_sorted_keys_and_lf() -> None:
    data = files()[-1].data
    assert data.isascii()
    assert data.endswith(b"\n}\n")
    assert b"\r" not in data

    def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
        return dict(pairs)

    json.loads(data, object_pairs_hook=in_order)


def test_an_interval_leads_to_the_line_that_decides_it() -> None:
    found = document()
    base = next(each for each in found["variants"] if each["profile"] is None and each["vcpu_class"] == 0)

    def lines(variant: dict[str, Any], access: str, address: int) -> list[int | None]:
        runs = found["decisions"][variant["decisions"][access]]
        chain = next(rules for lo, hi, rules in runs if lo <= address <= hi)
        return [None if rule < 0 else found["rules"][rule]["line"] for rule in chain]

    # Lines as numbered in bundles.POLICY: 4 com1, 5 EFER, 6 allow, 7 the conditional kill, 8 CMOS on vCPUs 1..3, 11.
    assert lines(base, "in width 1", 0x3F8) == [4]
    assert lines(base, "in width 1", 0x3F9) == [6]
    assert lines(base, "out width 1", 0x64) == [7, None]
    assert lines(base, "wrmsr", 0xC0000080) == [5]
    assert lines(base, "rdmsr", 0xC0000080) == [None]
    assert lines(base, "in width 1", 0x70) == [None]
    hardened = next(each for each in found["variants"] if each["profile"] and each["vcpu_class"] == 1)
    assert lines(hardened, "in width 1", 0x71) == [8]
    assert lines(hardened, "wrmsr", 0x1D9) == [11]
    assert {each["file"] for each in found["rules"]} == {"vm.pol"}
    assert [each["label"] for each in found["rules"]] == ["com1", None, None, None, None, None]
    assert [each["actions"] for each in found["rules"]] == [
        ["log(rate=5)", "exit"], ["exit"], ["passthrough"], ["kill"], ["count", "exit"], ["inject(gp)"],
    ]  # fmt: skip


def test_runs_cover_every_address_without_gap() -> None:
    found = document()
    for variant in found["variants"]:
        for access, number in variant["decisions"].items():
            runs = found["decisions"][number]
            assert runs[0][0] == 0
            assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(runs))
            assert runs[-1][1] == (0xFFFFFFFF if "msr" in access else 0xFFFF)


def test_classes_of_vcpus_lead_to_images_and_share_what_is_alike() -> None:
    found = document()
    assert found["vcpu_classes"] == [{"name": "rest", "vcpus": [[0, 0], [4, 4095]]}, {"name": "1-3", "vcpus": [[1, 3]]}]
    images = {(each["profile"], each["vcpu_class"]): each["images"]["vmx"] for each in found["variants"]}
    assert images == {
        (None, 0): {"msr.bin": "msr.bin", "io.bin": "io.bin"},
        (None, 1): {"msr.bin": "msr.bin", "io.bin": "vcpus/1-3/io.bin"},
        ("hardened", 0): {"msr.bin": "profiles/hardened/msr.bin", "io.bin": "profiles/hardened/io.bin"},
        ("hardened", 1): {"msr.bin": "profiles/hardened/msr.bin", "io.bin": "profiles/hardened/vcpus/1-3/io.bin"},
    }


def test_settings_name_the_fields_of_the_manuals() -> None:
    settings = document()["settings"]
    # SDM vol. 3D appendix B: I/O bitmap A and B, MSR bitmap, primary controls. APM vol. 2 appendix B: VMCB offsets.
    assert {0x2000, 0x2002, 0x2004, 0x4002} <= {each["encoding"] for each in settings if each["target"] == "vmx"}
    assert {0x040, 0x048, 0x00C} <= {each["encoding"] for each in settings if each["target"] == "svm"}


def test_what_the_guest_owns_is_an_obligation() -> None:
    found = document()
    base = found["variants"][0]
    owed = {each["name"]: each["means"] for each in found["obligations"][base["obligations"]["vmx"]]}
    assert owed["IA32_STAR"] == "host"  # no VMCS field holds it: SDM vol. 3C chapter 25.4
    assert owed["IA32_FS_BASE"] == "vmcs"
    shut = document("language 1\ntarget vmx\ndefault exit\n")
    owed = {each["name"]: each["means"] for each in shut["obligations"][shut["variants"][0]["obligations"]["vmx"]]}
    assert "IA32_STAR" not in owed


def test_excess_counts_exits_that_nobody_asked_for() -> None:
    found = document("language 1\ntarget vmx\ndefault passthrough\nintercept io 0x80 in width 1\n")
    excess = found["variants"][0]["excess"]
    # One bit for port 0x80: besides `in` of width 1, these exit too: out at 0x80, and in and out of width 2 at 0x7f
    # and 0x80, of width 4 at 0x7d..0x80. Eight more run past 0xffff: width 2 at 0xffff, width 4 at 0xfffd..0xffff.
    assert excess["past_last_port"] == 8
    assert excess["total"] == 1 + 2 * (2 + 4) + 8
    assert excess["by_rule"] == [[0, 13]]


def test_a_left_out_target_has_its_reason() -> None:
    found = document("language 1\ndefault msr passthrough\ndefault io exit\nallow io 0x80\n")
    assert found["targets"] == ["vmx"]
    assert [(each["target"], each["code"]) for each in found["left_out"]] == [("kvm", "T503")]
    assert found["left_out"][0]["reason"]


def test_proof_counts_are_those_of_the_compile() -> None:
    found = document()
    compared = {(each["subject"], each["kind"]): each["accesses"] for each in found["proof"]["compared"]}
    # 4 variants; 2^32 MSRs; 65536 ports at 3 widths.
    assert compared["map", "rdmsr"] == 4 << 32
    assert compared["vmx", "in"] == 4 * 3 * 65536
    assert sum(compared.values()) == compiled().proof.accesses


@pytest.mark.parametrize("limit", ["MAX_MANIFEST", "MAX_BUNDLE"])
def test_a_bundle_that_could_not_be_read_again_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"policyc.bundle.manifest.{limit}", 1000)
    (tmp_path / "vm.pol").write_text(POLICY)
    with pytest.raises(PolicyError) as caught:
        compile_policy(str(tmp_path / "vm.pol"))
    assert [each.code for each in caught.value.diagnostics] == ["E004"]


# the checker of the product against an independent one


def places(value: object) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            pairs += [(value, key), *places(value[key])]
    return pairs


# No text that ends in a line feed: Python's `$`, which the other validator uses, wrongly matches before one.
ODD = (None, True, -1, 0, 1 << 70, "", "../x", "x" * 5000, [], {}, [1], [-1, 2, 3], {"a": 1}, 1.5)


def test_the_checker_agrees_with_an_independent_validator_on_mangled_manifests() -> None:
    whole = document()
    choose = random.Random(20261124)
    verdicts = {True: 0, False: 0}
    for _ in range(200):
        mangled = copy.deepcopy(whole)
        container, key = choose.choice(places(mangled))
        how = choose.randrange(3)
        if how == 0:
            del container[key]
        else:
            container[key] = choose.choice(ODD)
        valid = VALIDATOR.is_valid(mangled)
        assert (violation(mangled, SCHEMA) is None) == valid, (how, key)
        verdicts[valid] += 1
    assert min(verdicts.values()) > 10
