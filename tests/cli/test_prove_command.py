"""`prove` says that a statement holds, or refutes it with one access and the two rules."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.cli.sample import TEXT, line_of, write

Captured = pytest.CaptureFixture[str]


def proved(capsys: Captured, *words: str, status: int) -> list[str]:
    assert frame.run(["prove", *words]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def policy(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"language 1\n{text}")
    return str(path)


def test_what_holds_is_said_in_one_line(tmp_path: Path, capsys: Captured) -> None:
    vm = write(tmp_path)
    for relation, word in (("implies", "implies"), ("equivalent", "is equivalent to")):
        (line,) = proved(capsys, relation, vm, vm, status=0)
        assert line.startswith(f"{vm} {word} {vm}: proven for every access")
    closed = policy(tmp_path, "closed.pol", "default exit\n")
    (line,) = proved(capsys, "disjoint", closed, vm, status=0)
    assert line.startswith(f"{closed} is disjoint from {vm}")


def test_what_fails_is_refuted_with_an_access_and_both_rules(tmp_path: Path, capsys: Captured) -> None:
    vm = write(tmp_path)
    lax = tmp_path / "lax.pol"
    lax.write_text(TEXT.replace("{ 0x1b, 0x3a } rw", "0x1b rw"))
    head, first, second = proved(capsys, "implies", str(lax), vm, status=1)
    assert head == f"{lax} does not imply {vm}: `rdmsr IA32_FEATURE_CONTROL (0x3a)` is the proof"
    at = line_of("default passthrough")
    assert first.split() == [str(lax), "passthrough", f"{lax}:{at}", "default", "passthrough"]
    at = line_of("{ 0x1b, 0x3a }")
    assert second.split()[:3] == [vm, "inject(gp)", f"{vm}:{at}"]


def test_the_counterexample_is_there_for_programs(tmp_path: Path, capsys: Captured) -> None:
    vm = write(tmp_path)
    other = tmp_path / "other.pol"
    other.write_text(TEXT.replace("    deny msr IA32_DEBUGCTL write\n", "    deny msr 0x79 write\n"))
    document: dict[str, Any] = json.loads(
        "\n".join(proved(capsys, "implies", str(other), vm, "--format", "json", status=1))
    )
    assert (document["format_version"], document["relation"], document["holds"]) == (1, "implies", False)
    found = document["counterexample"]
    assert (found["kind"], found["address"], found["profile"], found["vcpu"]) == ("wrmsr", 0x1D9, "hardened", 1)
    assert (found["a"]["does"], found["a"]["rule"]) == ("passthrough", None)
    assert (found["b"]["does"], found["b"]["rule"]) == ("inject(gp)", {"file": vm, "line": line_of("DEBUGCTL")})
    out = proved(capsys, "implies", str(other), vm, status=1)
    assert out[-1].strip().startswith("under profile hardened")


def test_a_profile_may_be_asked_for_alone(tmp_path: Path, capsys: Captured) -> None:
    vm = write(tmp_path)
    other = tmp_path / "other.pol"
    other.write_text(
        TEXT.replace("intercept io 0x64 out -> kill\n", "").replace(
            "hardened {", "hardened {\nintercept io 0x64 out -> kill\n"
        )
    )
    proved(capsys, "equivalent", vm, str(other), status=1)
    proved(capsys, "equivalent", vm, str(other), "--profile", "hardened", status=0)


def test_many_policies_are_held_to_a_baseline(tmp_path: Path, capsys: Captured) -> None:
    baseline = policy(
        tmp_path,
        "baseline.pol",
        "never allow msr { 0x1b, 0x3a }\nnever allow io 0x64 out\nprofile x { never allow io 1 }\n",
    )
    good = write(tmp_path)
    (line,) = proved(capsys, "never", baseline, good, status=0)
    assert line == f"{good}: keeps 2 `never allow` of {baseline}; 1 are for profiles that it does not have"
    bad = policy(tmp_path, "bad.pol", "default passthrough\nintercept msr 0x1b\nintercept io 0x64\n")
    assert frame.run(["prove", "never", baseline, bad, good]) == 1
    out, err = capsys.readouterr()
    assert out.count("keeps") == 1
    assert err.count("E212") == 1
    assert "`rdmsr IA32_FEATURE_CONTROL (0x3a)` passes through" in err
    assert frame.run(["prove", "never", baseline, bad, good, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["holds"], document["kept"]) == (False, [{"file": good, "claims": 2}])
    assert [each["code"] for each in document["diagnostics"]] == ["E212"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("implies", "a.pol", "b.pol", "c.pol"), "`c.pol` is one word too many"),
        (("implies", "-", "-"), "standard input can be read once"),
        (("follows", "a.pol", "b.pol"), "cannot be `follows`"),
        (("never", "plain.pol", "plain.pol"), "has no `never allow`"),
        (("implies", "plain.pol", "none.pol"), "none.pol"),
    ],
)
def test_misuse_is_told(words, said, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy(tmp_path, "plain.pol", "default exit\n")
    assert frame.run(["prove", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_bundle_and_an_image_are_proven_like_their_policy(tmp_path: Path, capsys: Captured) -> None:
    vm, bundle = write(tmp_path), str(tmp_path / "vm.bundle")
    assert frame.run(["compile", vm, "-o", bundle]) == 0
    capsys.readouterr()
    proved(capsys, "equivalent", bundle, vm, status=0)
    proved(capsys, "equivalent", f"{bundle}/msr.bin", vm, status=0)
    strict = policy(tmp_path, "strict.pol", "default exit\n")
    proved(capsys, "implies", strict, f"{bundle}/io.bin", status=0)
    head, image, rule = proved(capsys, "implies", f"{bundle}/io.bin", strict, status=1)
    assert head.endswith("`in 0x0 width 1` is the proof")
    assert image.split() == [f"{bundle}/io.bin", "passthrough", "by", "default"]
    assert rule.split() == [strict, "exit", f"{strict}:2", "default", "exit"]


def test_an_image_altered_along_with_its_digest_is_refuted_as_an_image_only(tmp_path: Path, capsys: Captured) -> None:
    vm, bundle = write(tmp_path), tmp_path / "vm.bundle"
    assert frame.run(["compile", vm, "-o", str(bundle)]) == 0
    capsys.readouterr()
    image, manifest = bundle / "io.bin", bundle / "manifest.json"
    image.write_bytes(bytes(image.stat().st_size))
    told = json.loads(manifest.read_text())
    (entry,) = (each for each in told["files"] if each["path"] == "io.bin")
    entry["sha256"] = sha256(image.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(told))
    proved(capsys, "equivalent", str(bundle), vm, status=0)
    head, *_ = proved(capsys, "equivalent", str(image), vm, status=1)
    assert head.startswith(f"{image} is not equivalent to {vm}")
