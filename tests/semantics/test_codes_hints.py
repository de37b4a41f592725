"""What is legal and yet worth a word."""

from __future__ import annotations

import pytest

from tests.semantics.frontend import FILES, HEAD, Told, told

CASES: list[tuple[str, list[Told]]] = [
    (
        "intercept io 378",
        [
            Told("Y706", "3:14", "`378` is decimal: 0x17a", "did you mean 0x378 (LPT1_DATA)? | if not, write 0x17a"),
        ],
    ),
    (
        "intercept msr 10",
        [
            Told("Y706", "3:15", "`10` is decimal: 0xa", "did you mean 0x10 (IA32_TSC)? | if not, write 0xa"),
        ],
    ),
    (
        "intercept msr IA32_STAR..IA32_LSTAR",
        [
            Told("Y712", "3:15", "`IA32_STAR..IA32_LSTAR` is 0xc0000081..0xc0000082, 2 MSRs", ""),
        ],
    ),
    (
        "intercept io { 0x60, 378..379 }",
        [
            Told("Y706", "3:22", "`378` is decimal: 0x17a", "did you mean 0x378 (LPT1_DATA)? | if not, write 0x17a"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", FILES) == expected
