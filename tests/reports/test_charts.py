"""A map's characters say what the intervals say."""

from __future__ import annotations

import pytest

from policyc.reports.charts import ASCII, BLOCKS, chart, signs
from policyc.reports.tables import table


def test_one_character_a_stretch() -> None:
    read, write = ((0, 3), (8, 11)), ((4, 11), (13, 13))
    assert chart(0, 15, read, write, ASCII, 4, 1) == ["0x0 rw#+"]
    assert chart(0, 15, read, write, BLOCKS, 4, 1) == ["0x0 ▀▄█▒"]
    assert chart(0, 15, (), (), ASCII, 4, 1) == ["0x0 ...."]


def test_rows_begin_with_their_first_address() -> None:
    assert chart(0x100, 0x1FF, ((0x1FF, 0x1FF),), ((0x1FF, 0x1FF),), ASCII, 8, 2) == [
        "0x100 ........",
        "0x180 .......+",
    ]


def test_one_direction_of_part_of_a_stretch_is_some() -> None:
    assert chart(0, 7, ((0, 1),), (), ASCII, 2, 1) == ["0x0 +."]


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", BLOCKS), ("ascii", ASCII), (None, ASCII), ("x", ASCII)])
def test_blocks_only_where_they_can_be_printed(encoding: str | None, expected: object) -> None:
    assert signs(encoding) == expected


def test_tables_leave_empty_columns_out_and_let_long_cells_hang_over() -> None:
    assert table([("a", "", "x"), ("bbb", "", "y" * 50)]) == ["  a    x", f"  bbb  {'y' * 50}"]
    assert table([("c" * 45, "z"), ("d", "z")], "") == [f"{'c' * 45}  z", f"{'d':<40}  z"]
    assert table([]) == []
