"""`python -m bench` fails where a commit makes a command dearer by more than a quarter, and only there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import growth
from bench.common.figures import Figure, Result, grown

BASELINE = json.loads(growth.BASELINE.read_text(encoding="ascii"))


@pytest.mark.parametrize("version", BASELINE)
def test_the_baseline_has_every_command_and_no_other(version: str) -> None:
    assert set(BASELINE[version]) == set(growth.COMMANDS)


def steady(value: float) -> dict[str, tuple[Figure, ...]]:
    return {"growth": (Figure("check", value, "x fixed program", steady=True),)}


@pytest.mark.parametrize(("rise", "fails"), [(1.3, True), (1.24, False), (0.5, False)])
def test_a_rise_of_more_than_a_quarter_over_the_commit_before_is_named(rise: float, fails: bool) -> None:
    assert grown(steady(2.0 * rise), steady(2.0)) == (["growth, check"] if fails else [])


def test_what_is_new_or_blurred_by_load_is_not_compared() -> None:
    assert grown(steady(2.0), {}) == []
    timed = {"run": (Figure("out", 2.0, "x plain loop"),)}
    assert grown({"run": (Figure("out", 9.0, "x plain loop"),)}, timed) == []


@pytest.mark.parametrize(("rise", "status"), [(1.3, 1), (1.2, 0)])
def test_the_command_fails_on_a_rise_over_the_baseline(
    rise: float, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "VERSION", "3.11")
    monkeypatch.setattr(growth, "lacking", lambda: "")
    monkeypatch.setattr(
        growth, "measure", lambda: BASELINE["3.11"] | {"--version": BASELINE["3.11"]["--version"] * rise}
    )
    words = ["growth", "--against", "none", "--json", str(tmp_path / "b.json"), "--plots", str(tmp_path)]
    assert command.main(words) == status
    assert ("OVER" in capsys.readouterr().out) == bool(status)


def test_the_command_fails_on_a_rise_over_the_commit_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "lacking", lambda: "")
    monkeypatch.setattr(growth, "result", lambda quick: Result(steady(2.0)["growth"]))
    words = ["growth", "--json", str(tmp_path / "b.json"), "--plots", str(tmp_path)]
    monkeypatch.setattr(command, "previous", lambda: "none")
    assert command.main(words) == 0
    monkeypatch.setattr(command, "previous", lambda: "HEAD")
    monkeypatch.setattr(command, "checkout", lambda revision, folder: _nowhere())
    monkeypatch.setattr(command, "elsewhere", lambda *args: steady(1.5))
    assert command.main(words) == 1


class _nowhere:
    def __enter__(self) -> Path:
        return Path()

    def __exit__(self, *_: object) -> None:
        pass


def test_a_python_without_a_baseline_is_told_so_and_held_to_the_commit_before_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "VERSION", "9.9")
    monkeypatch.setattr(growth, "measure", lambda: {"--version": 1.0})
    (figure,) = growth.result(False).figures
    assert figure == Figure("--version", 1.0, "x fixed program", None, steady=True)
    assert "9.9" in capsys.readouterr().err


def test_this_python_has_a_baseline_where_ci_runs() -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the project's machines have Python 3.11")
    assert growth.VERSION in BASELINE
