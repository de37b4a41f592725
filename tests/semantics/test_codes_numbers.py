"""Numbers, ranges and lengths: what is wrong, where, and what to write."""

from __future__ import annotations

import pytest

from tests.semantics.frontend import FILES, HEAD, Told, told

CASES: list[tuple[str, list[Told]]] = [
    (
        "intercept msr 0xC00000G0 write",
        [
            Told(
                "E011",
                "3:15",
                "`G` is not a hexadecimal digit",
                "hex digits are 0-9 a-f A-F; `_` may separate groups: 0xC000_0080 | did you mean 0xC0000080 (IA32_EFER)? it is the only known MSR one digit away",
            ),
        ],
    ),
    (
        "intercept msr 0b102",
        [
            Told(
                "E011",
                "3:15",
                "`2` is not a binary digit",
                "binary digits are 0 and 1; `_` may separate groups: 0xC000_0080",
            ),
        ],
    ),
    (
        "intercept msr 12ab",
        [
            Told(
                "E011",
                "3:15",
                "`a` is not a decimal digit",
                "decimal digits are 0-9; `_` may separate groups: 0xC000_0080 | write 0x12ab if you mean a hexadecimal number",
            ),
        ],
    ),
    (
        "intercept io 3f8h",
        [
            Told(
                "E011",
                "3:14",
                "`f` is not a decimal digit",
                "decimal digits are 0-9; `_` may separate groups: 0xC000_0080 | write 0x3f8 for the assembler's 3f8h",
            ),
        ],
    ),
    (
        "intercept msr 0x",
        [
            Told("E011", "3:15", "`0x` has no digits", "write the digits after the prefix"),
        ],
    ),
    (
        "intercept msr 0xC000__0080",
        [
            Told(
                "E011",
                "3:15",
                "`_` in `0xC000__0080` does not stand between two digits",
                "`_` may separate groups of digits: 0xC000_0080",
            ),
        ],
    ),
    (
        "intercept msr 0x1_ffff_ffff_ffff_ffff",
        [
            Told(
                "E012",
                "3:15",
                "`0x1_ffff_ffff_ffff_ffff` does not fit 64 bits",
                "an MSR index has 32 bits, an I/O port 16, a value 64",
            ),
        ],
    ),
    (
        "let const A = 1 << 64",
        [
            Told("E012", "3:20", "a shift by 64 leaves nothing of 64 bits", "shift by 0..63"),
        ],
    ),
    (
        "let const A = 0xffffffffffffffff + 1",
        [
            Told(
                "E012",
                "3:15",
                "`0xffffffffffffffff + 1` is 0x10000000000000000, which does not fit 64 bits",
                "the largest number is 0xffff_ffff_ffff_ffff",
            ),
        ],
    ),
    (
        "intercept msr 0777",
        [
            Told(
                "E013",
                "3:15",
                "a leading zero is not octal here; `0777` could mean two numbers",
                "write 777 (0x309) or 0x1ff",
            ),
        ],
    ),
    (
        "intercept msr 089",
        [
            Told("E013", "3:15", "a leading zero is not octal here; `089` could mean two numbers", "write 89 (0x59)"),
        ],
    ),
    (
        "intercept io 0x3ff..0x3f8",
        [
            Told("E021", "3:14", "range starts at 0x3ff but ends at 0x3f8", "turn it round"),
        ],
    ),
    (
        "intercept msr 0xc0000102..0xc0000100 write",
        [
            Told("E021", "3:15", "range starts at 0xc0000102 but ends at 0xc0000100", "turn it round"),
        ],
    ),
    (
        "intercept msr 0x10 on vcpu 3..1",
        [
            Told("E021", "3:28", "vCPUs start at 3 but end at 1", "write 1..3"),
        ],
    ),
    (
        "intercept io 0xfff8..0x10007",
        [
            Told("E022", "3:22", "I/O port 0x10007 does not exist", "write 0xfff8..0xffff"),
        ],
    ),
    (
        "intercept io 0x10000",
        [
            Told("E022", "3:14", "I/O port 0x10000 does not exist", "a port has 16 bits: count its digits"),
        ],
    ),
    (
        "intercept msr 0x100000000",
        [
            Told("E023", "3:15", "MSR index 0x100000000 does not exist", "an MSR index has 32 bits: count its digits"),
        ],
    ),
    (
        "intercept io 0x3f8 len 0",
        [
            Told("E024", "3:24", "a length of 0 covers nothing", "delete the item"),
        ],
    ),
    (
        "intercept io 0xfff8 len 16",
        [
            Told("E024", "3:14", "0xfff8 len 0x10 ends at 0x10007", "write 0xfff8..0xffff"),
        ],
    ),
    (
        "intercept msr 0x10 on vcpu 2 len 0",
        [
            Told("E024", "3:34", "a length of 0 covers nothing", "delete the item"),
        ],
    ),
    (
        "intercept msr 0x10 on vcpu 4096",
        [
            Told("E025", "3:28", "vCPU 4096 is above 4095, the last one", "vCPUs are 0..4095"),
        ],
    ),
    (
        'test "t" {\n    rdmsr 0x10 on vcpu 5000 => passthrough\n}',
        [
            Told("E025", "4:24", "vCPU 5000 is above 4095, the last one", "vCPUs are 0..4095"),
        ],
    ),
    (
        "intercept io { 0x60,\n               0x3f8..0x3g0 }",
        [
            Told(
                "E011",
                "4:23",
                "`g` is not a hexadecimal digit",
                "hex digits are 0-9 a-f A-F; `_` may separate groups: 0xC000_0080",
            ),
        ],
    ),
    (
        "intercept msr 0x10 -> log(rate=0x1ffffffff)",
        [
            Told(
                "E063",
                "3:32",
                "a rate of 8589934591 does not fit 32 bits",
                "a rate is in events a second; 0 is no limit",
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", FILES) == expected
