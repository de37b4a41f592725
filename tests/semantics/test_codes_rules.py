"""Access words, widths, conditions and actions that do not go together."""

from __future__ import annotations

import pytest

from tests.semantics.frontend import FILES, HEAD, Told, told

CASES: list[tuple[str, list[Told]]] = [
    (
        "intercept io 0x70 write",
        [
            Told("E051", "3:19", "`write` is for MSRs", "for ports say `out`"),
        ],
    ),
    (
        "intercept msr 0x10 in",
        [
            Told("E051", "3:20", "`in` is for ports", "for MSRs say `read`"),
        ],
    ),
    (
        "intercept msr 0x10 inout",
        [
            Told("E051", "3:20", "`inout` is for ports", "for MSRs say `rw`"),
        ],
    ),
    (
        "default io outside -> kill",
        [
            Told(
                "E051", "3:12", "only MSRs lie outside the bitmaps; every port has a bit", "say `default msr outside`"
            ),
        ],
    ),
    (
        "intercept io 0x70 width 3",
        [
            Told("E052", "3:25", "an IN or OUT has 1, 2 or 4 bytes, not 3", "say `width 1`, `width 2` or `width 4`"),
        ],
    ),
    (
        'test "t" {\n    in 0x70 width 8 => exit\n}',
        [
            Told("E052", "4:19", "an IN or OUT has 1, 2 or 4 bytes, not 8", "say `width 1`, `width 2` or `width 4`"),
        ],
    ),
    (
        "intercept msr 0x10 width 4",
        [
            Told("E053", "3:26", "MSR accesses have no width", "leave `width` out"),
        ],
    ),
    (
        'test "t" {\n    rdmsr 0x10 width 8 => passthrough\n}',
        [
            Told("E053", "4:22", "MSR accesses have no width", "leave `width` out"),
        ],
    ),
    (
        "intercept msr 0x10 -> const(1)",
        [
            Told(
                "E061",
                "3:23",
                "`const` answers reads, and this rule also covers writes",
                "say `read`, and give the writes a rule of their own",
            ),
        ],
    ),
    (
        "intercept io 0x70 -> const(1)",
        [
            Told(
                "E061",
                "3:22",
                "`const` answers reads, and this rule also covers writes",
                "say `in`, and give the writes a rule of their own",
            ),
        ],
    ),
    (
        "deny io 0x70",
        [
            Told(
                "E061",
                "3:1",
                "`deny` raises #GP, which no port access does on real hardware",
                "say `intercept io ... -> drop`: reads give all ones, writes are ignored",
            ),
        ],
    ),
    (
        "deny msr 0x10 -> kill",
        [
            Told("E061", "3:18", "`deny` injects an exception, and `kill` does not", "say `intercept`"),
        ],
    ),
    (
        "allow msr 0x10 -> log",
        [
            Told(
                "E061",
                "3:19",
                "what is allowed does not exit, so nothing can be done with it",
                "say `intercept ... -> ..., passthrough` to act and then pass it on",
            ),
        ],
    ),
    (
        "profile run {\n    default passthrough -> log\n}",
        [
            Told(
                "E061",
                "4:28",
                "a default of `passthrough` does not exit, so it has no action",
                "say `default exit -> ...`, or leave the action out",
            ),
        ],
    ),
    (
        "profile run {\n    default msr exit -> shadow\n}",
        [
            Told(
                "E061",
                "4:25",
                "`shadow` is for registers that a rule names, not for a default",
                "write a rule for them",
            ),
        ],
    ),
    (
        "intercept msr 0x0..0xfffff -> shadow",
        [
            Told(
                "E061",
                "3:31",
                "a shadow of 1,048,576 addresses is too large",
                "shadow the registers that the guest uses",
            ),
        ],
    ),
    (
        "intercept msr IA32_PRED_CMD -> mask(and=1)",
        [
            Told("E062", "3:32", "`IA32_PRED_CMD` (0x49) cannot be read, so its value cannot be masked", "say `write`"),
        ],
    ),
    (
        "intercept io 0x70 in width 1 -> const(0x100)",
        [
            Told("E063", "3:33", "0x100 does not fit an access of 8 bits", "say `width 2, 4`"),
        ],
    ),
    (
        'test "t" {\n    out 0x70 value 0x100 => passthrough\n}',
        [
            Told("E063", "4:20", "0x100 does not fit an access of 8 bits", "say `width 2` or `width 4`"),
        ],
    ),
    (
        'test "t" {\n    rdmsr 0x10 cpl 4 => passthrough\n}',
        [
            Told("E063", "4:20", "there is no privilege level 4", "levels are 0..3"),
        ],
    ),
    (
        "intercept msr 0x10 -> kill, drop",
        [
            Told("E064", "3:29", "`kill` and `drop` cannot both be the last action", "keep one of the two"),
        ],
    ),
    (
        "intercept msr 0x10 -> log, log",
        [
            Told("E064", "3:28", "`log` is given twice", "once is enough"),
        ],
    ),
    (
        "intercept msr 0x10 -> kill, log",
        [
            Told("E065", "3:29", "`log` can never run: `kill` before it is final", "write -> log, kill"),
        ],
    ),
    (
        "intercept msr 0x10 -> forward(if)",
        [
            Told(
                "E066",
                "3:31",
                "`if` cannot be the name of a C function",
                "letters, digits and `_`, no `_` first, no word of C or C++",
            ),
        ],
    ),
    (
        "intercept msr 0x10 -> forward(0x10)",
        [
            Told(
                "E066",
                "3:31",
                "`0x10` cannot be the name of a C function",
                "letters, digits and `_`, no `_` first, no word of C or C++",
            ),
        ],
    ),
    (
        "intercept msr 0x10 -> inject(pf)",
        [
            Told(
                "E067",
                "3:30",
                "`pf` is not an exception to inject",
                "a page fault needs an address in CR2, which a rule cannot give: use forward(...)",
            ),
        ],
    ),
    (
        "intercept msr 0x10 -> inject",
        [
            Told("E067", "3:23", "`inject` needs its vector", "write inject(gp)"),
        ],
    ),
    (
        "intercept msr 0x10 read -> const(value=1, value=2)",
        [
            Told("E067", "3:43", "`value` is given twice", "write const(0x0)"),
        ],
    ),
    (
        "intercept msr 0x10 -> mask",
        [
            Told("E067", "3:23", "`mask` needs `and`, `or` or both", "write mask(and=~0x400, or=0x1)"),
        ],
    ),
    (
        "intercept msr 0x10 -> mask(0x1)",
        [
            Told("E067", "3:28", "`mask` needs its arguments named", "write mask(and=~0x400, or=0x1)"),
        ],
    ),
    (
        "intercept msr 0x10 -> kill(1)",
        [
            Told("E067", "3:23", "`kill` has no arguments", "write kill"),
        ],
    ),
    (
        "intercept msr 0x10 -> shadow(value=1)",
        [
            Told("E067", "3:30", "`shadow` has no argument `value`", "write shadow(init=0x0)"),
        ],
    ),
    (
        "default msr outside",
        [
            Told(
                "E067",
                "3:1",
                "`default msr outside` says nothing without an action",
                "write default msr outside -> inject(gp)",
            ),
        ],
    ),
    (
        'test "t" {\n    in 0x70 value 1 => passthrough\n}',
        [
            Told("E067", "4:19", "`in` carries no value", "leave `value` out"),
        ],
    ),
    (
        "intercept io 0x64 in when value == 1",
        [
            Told("E068", "3:27", "reads carry no value, so this condition can never hold", "say `write` or `out`"),
        ],
    ),
    (
        "intercept io 0x64 out width 1 when value == 0x100",
        [
            Told(
                "E068",
                "3:36",
                "this condition can never hold",
                "the bits outside a mask are 0, and a value has the width of its access",
            ),
        ],
    ),
    (
        "intercept io 0x64 out when cpl <= 3",
        [
            Told("E068", "3:28", "this condition always holds", "leave it out"),
        ],
    ),
    (
        "intercept io 0x64 out when value & 0x1 == 2",
        [
            Told(
                "E068",
                "3:28",
                "this condition can never hold",
                "the bits outside a mask are 0, and a value has the width of its access",
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", FILES) == expected
