"""What the benches share: the interface of each, and figures that can be compared, kept and drawn."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from xml.dom.minidom import parseString

import pytest

from bench.__main__ import BENCHES
from bench.common import plots
from bench.common.cost import process, turns
from bench.common.figures import Figure, Result, aligned, from_json, number, table, to_json

HERE = Path(__file__).parents[2] / "bench"
FOUND = {
    "startup": (Figure("check", 5.25, "x bare", 6.0), Figure("compile", 13.0, "x bare", 12.0)),
    "run": (Figure("out", 101_234.5, "exits/s", more=True),),
}


def test_every_file_is_a_bench_that_the_one_command_knows() -> None:
    found = {path.stem for path in HERE.glob("*.py") if "\ndef result(" in path.read_text(encoding="utf-8")}
    assert found == set(BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_has_the_interface(name: str) -> None:
    bench = import_module(f"bench.{name}")
    assert bench.SUMMARY
    assert "\n" not in bench.SUMMARY
    assert bench.__doc__
    assert isinstance(bench.lacking(), str)
    assert callable(bench.result)


def test_a_table_sets_the_commit_before_beside_and_marks_broken_promises() -> None:
    before = {"startup": (Figure("check", 5.0, "x bare"),)}
    assert table(FOUND, before).splitlines() == [
        "| bench   | what    | measured | unit    | at most | before | change |",
        "| ------- | ------- | -------: | ------- | ------: | -----: | -----: |",
        "| startup | check   |     5.25 | x bare  |       6 |      5 |   +5 % |",
        "| startup | compile |       13 | x bare  | 12 OVER |        |    new |",
        "| run     | out     |  101,234 | exits/s |         |        |    new |",
    ]


def test_without_a_commit_before_nothing_is_said_of_it() -> None:
    assert "before" not in table(FOUND)


def test_figures_come_back_from_json_as_they_were() -> None:
    assert from_json(to_json(FOUND, {"commit": "abc"})) == FOUND


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.01234, "0.0123"),
        (0.998, "0.998"),
        (5.481, "5.48"),
        (54.81, "54.8"),
        (548.1, "548"),
        (12345.6, "12,346"),
        (2.0, "2"),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_first_column_is_flush_left_and_numbers_right() -> None:
    assert aligned([["what", "n"], ["a", "10"]]).splitlines() == ["| what |  n |", "| ---- | -: |", "| a    | 10 |"]


def test_plots_are_xml_whatever_the_names() -> None:
    rows = [plots.Bar("a < b & c", 1.0), plots.Bar("peer", 3.0, ours=False)]
    drawn = parseString(plots.bars(rows, "times", {"a < b & c": 2.0}))
    assert len(drawn.getElementsByTagName("rect")) == 3
    lines = parseString(plots.lines({"<one>": [(10, 1), (100, 20)], "two": [(10, 2), (100, 2)]}, "n", "ms"))
    assert len(lines.getElementsByTagName("polyline")) == 2


def test_points_of_a_plot_stand_where_their_values_are() -> None:
    """Over logarithmic axes, ten times as much is the same step everywhere."""
    drawn = parseString(plots.lines({"one": [(1, 1), (10, 10), (100, 100)]}, "n", "ms"))
    path = drawn.getElementsByTagName("polyline")[0].getAttribute("points")
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in path.split())
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx(y1 - y2)


def test_the_cheapest_of_all_turns_counts_and_turns_alternate() -> None:
    order: list[str] = []
    costs = {"a": [3.0, 1.0, 2.0], "b": [5.0, 6.0, 4.0]}

    def attempt(name: str) -> float:
        order.append(name)
        return costs[name][order.count(name) - 1]

    assert turns({"a": lambda: attempt("a"), "b": lambda: attempt("b")}, 3) == {"a": 1.0, "b": 4.0}
    assert "".join(order) == "ababab"


def test_a_command_that_fails_is_not_timed() -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        process(["sh", "-c", "exit 3"])


def test_nothing_is_drawn_where_nothing_is_returned() -> None:
    assert Result(()).plots == {}
