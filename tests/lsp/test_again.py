"""What an edited policy is told is what it would be told if it were new, whatever was edited before."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from policyc import pipeline
from policyc.database.names import load
from policyc.lsp.analysis import Analysis, Session
from policyc.semantics.decide import decide_all
from policyc.semantics.policy import Policy
from policyc.syntax.format import stripped
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, PolicyError
from tests.syntax.test_reparse import told

LINES = (
    "intercept msr 0x10 write", "intercept msr 0x10..0x20 -> kill", "allow msr 0x18", "allow msr { 0x10, A }",
    "intercept io 0x60 -> drop", "intercept io B out -> log, kill", "allow io 0x60..0x64 in", "let msr A = { 0x1, 0x2 }",
    "let msr A = { 0x1, C }", "let io B = 0x60 len 4", "let const K = 0x10", "let const K = 0x1000", "let msr C = 0x30",
    "intercept msr K..0x40 -> drop", "intercept msr IA32_EFER write when value & K != 0 -> kill", "allow msr IA32_EFER",
    "override intercept msr 0x10 -> drop", "uart: intercept io 0x3f8 -> forward(uart)", "uart: allow io 0x3f9",
    "intercept msr 0x12 -> forward(uart)", "intercept io p.UART -> kill", "intercept io p.NONE",
    'import "part.pol" as p', 'import "part.pol"', "never allow msr 0x18 write", "assert intercepted msr 0x10 write",
    "assert not intercepted io 0x60", "default passthrough", "default exit", "target vmx", "target vmx, kvm", "language 1",
    "profile run {\n    allow msr 0x10\n}", "profile late extends run {\n    deny msr A\n    default exit\n}",
    'test "t" {\n    rdmsr 0x10 => exit\n    out 0x60 profile run => passthrough\n}', "allow msr 0x5000", "deny msr A",
    "intercept msr 0x800..0x8ff", "intercept io 0x3f8..0x3ff on vcpu 0 -> kill", "# why", "intercept msr 0x1g", "## what",
)  # fmt: skip
PARTS = (
    "let io UART = 0x3f8 len 8\n",
    "let io UART = 0x2f8\nintercept io 0x80 -> kill\n",
    "let io U = 0x1\n",
    "allow io UART\n",
)


def errors(found: tuple[Diagnostic, ...]) -> list[Any]:
    return told([each for each in found if each.severity == ERROR])


def anew(path: str, texts: dict[str, str], database: Any) -> tuple[Policy | None, list[Any]]:
    """What the pipeline says, which remembers nothing."""
    try:
        front = pipeline.front(path, database=database, buffers={name: text.encode() for name, text in texts.items()})
    except PolicyError as reason:
        return None, errors(reason.diagnostics)
    try:
        pipeline.judge(front, database)
    except PolicyError as reason:
        return front.policy, errors(reason.diagnostics)
    return front.policy, []


def edited(draw: random.Random, text: str) -> str:
    """The text after a line is added, deleted, changed or broken; half the time, after a digit is."""
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    way = draw.randrange(8)
    digits = [place for place, char in enumerate(lines[at]) if char.isdigit()]
    if way < 4 and digits:
        place = draw.choice(digits)
        lines[at] = lines[at][:place] + draw.choice("0123456789") + lines[at][place + 1 :]
    elif way == 4:
        lines[at] = draw.choice(LINES)
    elif way == 5 and len(lines) > 8:
        del lines[at]
    elif way == 6 and lines[at]:
        place = draw.randrange(len(lines[at]))
        lines[at] = lines[at][:place] + draw.choice("01xA} ") + lines[at][place + 1 :]
    else:
        lines.insert(at, draw.choice(LINES))
    return "\n".join(lines)


def same(analysis: Analysis, path: str, texts: dict[str, str], database: Any) -> None:
    policy, wrong = anew(path, texts, database)
    assert errors(analysis.errors) == wrong, texts[path]
    assert stripped(analysis.policy) == stripped(policy), texts[path]
    if policy is not None and not wrong:
        assert analysis.maps is not None
        assert stripped(analysis.maps[next(iter(analysis.maps))]) is not None
        assert {key: each.columns for key, each in analysis.maps.items()} == {
            key: each.columns for key, each in decide_all(policy).items()
        }, texts[path]


@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_policy_decisions_and_errors_are_those_of_the_whole(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    database = load()
    path, part = str(tmp_path / "x.pol"), str(tmp_path / "part.pol")
    Path(part).write_text(PARTS[0])
    texts = {path: "language 1\ntarget vmx\ndefault exit\nintercept msr 0x40 -> drop\nlet msr A = 0x50"}
    session = Session(path)
    good = dict(texts)
    for _ in range(60):
        analysis = session.analyse(texts, database)
        same(analysis, path, texts, database)
        if not analysis.errors:
            good = dict(texts)
        elif draw.randrange(3):
            texts = dict(good)
        if draw.randrange(12) == 0:
            texts[part] = draw.choice(PARTS)
        texts[path] = edited(draw, texts[path])
