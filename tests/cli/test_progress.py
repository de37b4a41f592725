"""Long work says on a terminal what it is at."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from policyc import pipeline
from policyc.cli import console
from policyc.proof import exhaustive

POLICY = "language 1\ntarget vmx, svm\ndefault passthrough\nintercept io 0x80 on vcpu 0\nprofile run {\n}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_literal_loop_tells_each_variant_on_each_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "_compare", lambda *_: None)
    (tmp_path / "vm.pol").write_text(POLICY)
    told: list[tuple[str, int, int]] = []
    pipeline.check_policy(
        str(tmp_path / "vm.pol"), exhaustive=True, progress=lambda what, done, total: told.append((what, done, total))
    )
    assert told == [
        ("vmx, vCPUs rest", 0, 8),
        ("svm, vCPUs rest", 1, 8),
        ("vmx, vCPUs 0", 2, 8),
        ("svm, vCPUs 0", 3, 8),
        ("vmx, profile run, vCPUs rest", 4, 8),
        ("svm, profile run, vCPUs rest", 5, 8),
        ("vmx, profile run, vCPUs 0", 6, 8),
        ("svm, profile run, vCPUs 0", 7, 8),
    ]


@pytest.mark.parametrize("patient", [True, False])
def test_a_step_is_shown_once_the_work_has_taken_a_second_and_then_wiped(
    monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with console.Progress("checking vm.pol") as progress:
        if not patient:
            progress._show()  # what the timer does after a second
        progress.step("vmx", 0, 2)
        progress.step("svm", 1, 2)
    wipe = "\r\x1b[K"
    shown = ["checking vm.pol", "checking vm.pol: vmx (1 of 2)", "checking vm.pol: svm (2 of 2)"]
    assert terminal.getvalue() == ("" if patient else "".join(f"{wipe}{each} ..." for each in shown) + wipe)
