"""``policyc report`` as a command: what it reads, what it refuses, and that a page is written whole or not at all."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from policyc.vocabulary.intervals import subtract
from tests.cli import sample
from tests.demand import need_git


def data(text: str) -> dict[str, Any]:
    """The values that a page holds."""
    (block,) = re.findall(r'<script type="application/json" id="data">(.*)</script>', text)
    found: dict[str, Any] = json.loads(block)
    return found


def runs(side: dict[str, Any], number: int) -> list[tuple[int, int, Any]]:
    """First and last address and outcome of the runs of a list, as the page's script spells them out."""
    found = side["runs"][number]
    if isinstance(found, list):
        ends = list(accumulate(found[0::2]))
        return [
            (end - size, end - 1, side["outcomes"][each])
            for end, size, each in zip(ends, found[0::2], found[1::2], strict=True)
        ]
    below, over, at = runs(side, found["base"]), [], 0
    for gap, size, outcome in zip(*[iter(found["over"])] * 3, strict=True):
        over.append((at + gap, at + gap + size - 1, side["outcomes"][outcome]))
        at += gap + size
    covered = tuple((lo, hi) for lo, hi, _ in over)
    rest = [(*pair, outcome) for lo, hi, outcome in below for pair in subtract(((lo, hi),), covered)]
    return sorted([*rest, *over], key=itemgetter(0))


def report(*words: str | Path) -> dict[str, Any]:
    place = Path("page.html")
    assert frame.run(["report", *map(str, words), "-o", str(place)]) == 0
    return data(place.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    assert frame.run(["compile", sample.write(tmp_path), "-o", "vm.bundle"]) == 0
    return tmp_path / "vm.bundle"


def test_the_page_is_called_like_the_policy_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    assert frame.run(["report", sample.write(folder)]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["vm.html"]
    assert frame.run(["report", sample.write(folder), "-o", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "vm.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    policy = sample.write(tmp_path)
    (tmp_path / "vm.html").write_text("old")
    Path(policy).write_text("nonsense\n")
    assert frame.run(["report", policy]) == 1
    assert (tmp_path / "vm.html").read_text() == "old"
    assert frame.run(["report", policy, "-o", "no/such/folder.html"]) == 1
    Path(policy).write_text(sample.TEXT)
    assert frame.run(["report", policy, "-o", "no/such/folder.html"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vm.html", "vm.pol"]


def test_a_page_never_takes_the_place_of_what_it_is_made_of(bundle: Path, tmp_path: Path) -> None:
    policy = tmp_path / "vm.pol"
    shutil.copy(policy, "old.pol")
    shutil.copy(policy, "policy.html")
    Path("link").symlink_to("vm.pol")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for words in (
        ["vm.pol", "-o", "vm.pol"],
        ["vm.pol", "-o", "./link"],
        ["old.pol", "vm.pol", "-o", "old.pol"],
        ["policy.html"],
        ["vm.bundle", "-o", "vm.bundle/manifest.json"],
        ["vm.bundle", "vm.pol", "-o", "vm.bundle/page.html"],
        ["vm.pol", "-o", ""],
    ):
        assert frame.run(["report", *words]) == 2, words
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_bundle_that_is_the_current_folder_stays_whole(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that the manifest does not name would make every command refuse the bundle."""
    monkeypatch.chdir(bundle)
    assert frame.run(["report", "."]) == 2
    assert "vm.html would lie in the bundle ." in capsys.readouterr().err
    assert frame.run(["show", "."]) == 0
    assert frame.run(["report", ".", "-o", "../vm.html"]) == 0
    assert "<title>vm.bundle - policyc report</title>" in Path("../vm.html").read_text()


def test_a_page_is_ascii_whatever_the_policy_is_called(tmp_path: Path) -> None:
    """So that a standard output in Latin-1 does not garble it."""
    policy = Path(sample.write(tmp_path)).rename("gäste→.pol")
    assert frame.run(["report", str(policy), str(policy), "-o", "page.html"]) == 0
    page = Path("page.html").read_bytes()
    assert page.isascii()
    assert "<title>gäste→.pol → gäste→.pol - policyc report</title>" in html.unescape(page.decode())


def test_a_policy_has_its_statements_comments_and_all_findings(tmp_path: Path) -> None:
    found = report(sample.write(tmp_path))
    (side,) = found["sides"]
    line = sample.line_of("efer: override")
    (rule,) = [each for each in side["rules"] if each[1] == line]
    assert rule[2:4] == ["efer", "efer: override intercept msr IA32_EFER write -> log, mask(and=~EFER_RO)"]
    codes = {each["code"] for each in found["findings"]["list"]}
    assert any(code.startswith("S4") for code in codes)
    levels = [each["severity"] for each in found["findings"]["list"]]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    assert {(each["profile"], each["target"]) for each in found["views"]} == {
        (profile, target) for profile in (None, "hardened") for target in ("vmx", "svm")
    }


def test_a_bundle_is_drawn_from_itself_alone(bundle: Path, tmp_path: Path) -> None:
    shutil.move(bundle, tmp_path / "elsewhere")
    (tmp_path / "vm.pol").unlink()
    found = report("elsewhere")
    (side,) = found["sides"]
    line = sample.line_of("efer: override")
    (rule,) = [each for each in side["rules"] if each[1] == line]
    assert rule[2] == "efer"
    assert re.fullmatch(r"efer: intercept msr 0xc0000080 write -> log, mask\(and=0x[0-9a-f]+\)", rule[3])
    assert side["files"] == ["vm.pol"]
    assert not side["unenforced"]
    codes = {each["code"] for each in found["findings"]["list"]}
    assert any(code.startswith("S4") for code in codes)
    assert not any(code[0] in "RYX" for code in codes)
    assert "A bundle has no text" in found["findings"]["note"]


def test_a_policy_and_its_bundle_give_the_same_runs(bundle: Path, tmp_path: Path) -> None:
    one, other = report(tmp_path / "vm.pol"), report(bundle)

    def told(found: dict[str, Any]) -> list[Any]:
        (side,) = found["sides"]
        out = []
        for view in found["views"]:
            for number in view["sides"][0]["columns"]:
                out.append(runs(side, number))
        return out

    assert told(one) == told(other)


def test_profiles_add_to_the_page_what_they_say_themselves(tmp_path: Path) -> None:
    lines = ["language 1", *(f"intercept io {port:#x} -> log" for port in range(0x1000, 0x2000, 8))]
    own = [
        line
        for number in range(20)
        for line in (f"profile p{number} {{", f"intercept io {0x8000 + number:#x} -> kill", "}")
    ]
    (tmp_path / "base.pol").write_text("\n".join(lines))
    (tmp_path / "profiles.pol").write_text("\n".join(lines + own))
    base, profiles = (report(f"{name}.pol", "--no-findings") for name in ("base", "profiles"))
    assert len(profiles["views"]) == 21 * len(base["views"])
    one, other = (len(json.dumps(each["sides"])) for each in (base, profiles))
    assert one < other < 1.5 * one


def test_an_altered_bundle_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = bundle / "io.bin"
    image.write_bytes(bytes(8192))
    assert frame.run(["report", str(bundle)]) == 2
    assert "io.bin was altered" in capsys.readouterr().err
    assert not Path("vm.html").exists()


def test_an_image_that_does_not_do_what_the_manifest_says_is_shown(tmp_path: Path) -> None:
    """Somebody opened the UART and made the hash fit."""
    (tmp_path / "uart.pol").write_text("language 1\ntarget vmx\ndefault passthrough\nintercept io 0x3f8..0x3ff\n")
    assert frame.run(["compile", "uart.pol"]) == 0
    bundle = tmp_path / "uart.bundle"
    image, manifest = bundle / "io.bin", bundle / "manifest.json"
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    opened = bytearray(image.read_bytes())
    opened[0x3F8 // 8] = 0
    image.write_bytes(opened)
    text = manifest.read_text()
    assert before in text
    manifest.write_text(text.replace(before, hashlib.sha256(opened).hexdigest()))
    found = report(bundle)
    (side,) = found["sides"]
    assert side["unenforced"]
    (vmx,) = found["views"]
    drawn = runs(side, vmx["sides"][0]["columns"][2])
    (outcome,) = [each for lo, hi, each in drawn if lo <= 0x3F8 <= hi]
    kind, exits, ((_, actions, _, reason, _),) = outcome
    assert (found["kinds"][kind], exits, actions, reason) == ("passes", 0, "exit", "unenforced")
    assert drawn[-1][1] == 65535


def edited(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> str:
    """The bundle with another manifest."""
    manifest = bundle / "manifest.json"
    document = json.loads(manifest.read_text())
    edit(document)
    manifest.write_text(json.dumps(document))
    return str(bundle)


@pytest.mark.parametrize("command", [["report"], ["diff", "vm.pol"]], ids=lambda words: words[0])
@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document["variants"][0]["decisions"].pop("out width 4"),
        lambda document: document["variants"][0]["decisions"].update(
            rdmsr=document["variants"][0]["decisions"]["in width 1"]
        ),
        lambda document: document["variants"][0]["defaults"].pop("io"),
        lambda document: document.update(variants=document["variants"][1:]),
        lambda document: document["rules"][1].update(conditions=["cpl == 0x0"]),
    ],
    ids=["no decisions", "decisions of another space", "no default", "no base policy", "no last rule"],
)
def test_a_manifest_that_does_not_tell_all_is_refused(
    command: list[str], edit: Callable[[dict[str, Any]], None], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.run([*command, edited(bundle, edit)]) == 2
    assert "cannot read the bundle" in capsys.readouterr().err


def test_a_target_that_nobody_knows_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["targets"] = ["vmx", "tdx"]
        for each in document["variants"]:
            each["images"]["tdx"] = each["images"].pop("svm")

    assert frame.run(["report", edited(bundle, rename)]) == 2
    assert "no target is named tdx" in capsys.readouterr().err


def test_an_image_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kvm.pol").write_text("language 1\ntarget kvm\ndefault passthrough\nintercept msr 0x10\n")
    assert frame.run(["compile", "kvm.pol"]) == 0
    filter_ = tmp_path / "kvm.bundle" / "kvm_filter.json"
    before, after = filter_.read_bytes(), b'{"format_version": 1}'
    filter_.write_bytes(after)

    def rehash(document: dict[str, Any]) -> None:
        for each in document["files"]:
            if each["sha256"] == hashlib.sha256(before).hexdigest():
                each.update(sha256=hashlib.sha256(after).hexdigest(), size=len(after))

    assert frame.run(["report", edited(tmp_path / "kvm.bundle", rehash)]) == 2
    assert "not a filter" in capsys.readouterr().err


def test_a_bundle_of_one_profile_shows_that_one(tmp_path: Path) -> None:
    policy = sample.write(tmp_path)
    assert frame.run(["compile", policy, "--profile", "hardened", "-o", "one.bundle"]) == 0
    assert {each["profile"] for each in report("one.bundle")["views"]} == {"hardened"}
    assert {each["profile"] for each in report(policy, "--profile", "hardened")["views"]} == {"hardened"}


def test_two_are_compared_profile_by_profile(bundle: Path, tmp_path: Path) -> None:
    changed = tmp_path / "new.pol"
    changed.write_text(sample.TEXT.replace("intercept io 0x64 out -> kill", "intercept io 0x64 out -> log, exit"))
    found = report(bundle, changed)
    assert [side["said"] for side in found["sides"]] == [str(bundle), str(changed)]
    said = {tuple(map(tuple, found["changes"][each["changes"]]["said"])) for each in found["views"]}
    assert said == {(("changes", "changes 1 port for out"),)}


def test_profiles_that_come_and_go_are_told(tmp_path: Path) -> None:
    """A new profile is compared with the old base policy, also when it alone is asked for."""
    old, new = tmp_path / "old.pol", tmp_path / "new.pol"
    text = "language 1\ntarget vmx\ndefault passthrough\nprofile NAME {\n    intercept io 0x61 -> kill\n}\n"
    old.write_text(text.replace("NAME", "gone"))
    new.write_text(text.replace("NAME", "fresh"))
    found = report(old, new)
    assert found["gone"] == ["gone"]
    assert [(each["profile"], each["base"]) for each in found["views"]] == [(None, None), ("fresh", None)]
    found = report(old, new, "--profile", "fresh")
    assert found["gone"] == []
    (view,) = found["views"]
    assert (view["profile"], view["base"]) == ("fresh", None)
    assert found["changes"][view["changes"]]["said"] == [["closes", "closes 1 port for in and out"]]
    assert frame.run(["report", str(old), str(new), "--profile", "gone"]) == 2


@pytest.mark.parametrize("script", ["</script>", "<!--", "&lt;", "\u2028"])
def test_no_text_ends_the_data_block(script: str) -> None:
    from policyc.reports.page import data_block

    block = data_block({"text": script})
    assert block.isascii()
    assert not set("<>&") & set(block)
    assert json.loads(block) == {"text": script}


def test_the_same_policy_gives_the_same_page(tmp_path: Path) -> None:
    policy = sample.write(tmp_path)
    pages = []
    for _ in range(2):
        assert frame.run(["report", policy, "-o", "page.html"]) == 0
        pages.append(Path("page.html").read_bytes())
    assert pages[0] == pages[1]


def test_another_revision_is_compared_with(tmp_path: Path) -> None:
    import subprocess

    need_git()
    policy = Path(sample.write(tmp_path))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    policy.write_text(sample.TEXT.replace("intercept io 0x64 out -> kill\n", ""))
    found = report("--against", "git:HEAD", "vm.pol")
    said = found["changes"][found["views"][0]["changes"]]["said"]
    assert said == [["opens", "opens 1 port for out"]]
    assert frame.run(["report", "git:HEAD:vm.pol"]) == 0
    assert "<title>HEAD:vm.pol - policyc report</title>" in Path("vm.html").read_text()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-"], 2, "a report quotes files by their names"),
        (["vm.pol", "vm.pol", "vm.pol"], 2, "one is drawn, or two are compared"),
        (["msr.bin"], 2, "msr.bin is a raw image"),
        (["vm.pol", "--profile", "nope"], 2, "vm.pol has no profile `nope`"),
        (["vm.bundle", "--target", "kvm"], 2, "vm.bundle has no images for kvm"),
        (["vmx.pol", "svm.pol"], 2, "vmx.pol is for vmx, svm.pol for svm"),
        (["nothing.pol"], 2, "nothing.pol"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    words: list[str], status: int, message: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(bundle / "msr.bin", "msr.bin")
    for target in ("vmx", "svm"):
        Path(f"{target}.pol").write_text(f"language 1\ntarget {target}\ndefault exit\n")
    assert frame.run(["report", *words]) == status
    assert message in capsys.readouterr().err


def test_findings_can_be_left_out(tmp_path: Path) -> None:
    assert report(sample.write(tmp_path), "--no-findings")["findings"] is None
