"""Rules that clash, claims that break, tests that fail: through the whole front end."""

from __future__ import annotations

import pytest

from tests.semantics.frontend import FILES, HEAD, Told, told

CASES: list[tuple[str, list[Told]]] = [
    (
        "com1: intercept io 0x3f8..0x3ff -> forward(uart)\nintercept io 0x3f0..0x3f8 out -> kill",
        [
            Told(
                "E201",
                "4:14",
                "two rules decide `out 0x3f8` differently",
                "cut the overlap:          intercept io 0x3f0..0x3f7 out -> kill | or state who wins:        override intercept io 0x3f0..0x3f8 out -> kill",
            ),
        ],
    ),
    (
        "intercept msr IA32_DEBUGCTL write -> inject(gp)\nintercept msr 0x1d0..0x1df -> count",
        [
            Told(
                "E201",
                "4:15",
                "two rules decide `wrmsr IA32_DEBUGCTL (0x1d9)` differently",
                "state who wins:           override intercept msr IA32_DEBUGCTL write -> inject(gp)",
            ),
        ],
    ),
    (
        'import "a.pol"\nimport "c.pol"',
        [
            Told(
                "E201",
                "c.pol:2:14",
                "two rules decide `out 0x3f8` differently",
                "decide it in vm.pol:      intercept io 0x3f8 out -> kill | cut the overlap:          intercept io 0x3f0..0x3f7 out -> kill",
            ),
        ],
    ),
    (
        'import "a.pol"\nimport "c.pol"\nintercept io 0x3f8 out',
        [],
    ),
    (
        "profile a {\n    default exit\n}\nprofile b {\n    default passthrough\n}\nprofile c extends a, b {\n}",
        [
            Told(
                "E201",
                "9:9",
                "the profiles that `c` extends have different defaults for msr",
                "state it here: default msr passthrough, or default msr exit",
            ),
        ],
    ),
    (
        "profile a {\n    deny msr 0x10\n}\nprofile b {\n    allow msr 0x10\n}\nprofile c extends a, b {\n}",
        [
            Told(
                "E201",
                "7:15",
                "two rules decide `msr IA32_TSC (0x10)` differently",
                "decide it in `c`:         deny msr 0x10 | cut the overlap:          delete allow msr 0x10",
            ),
        ],
    ),
    (
        "override intercept io 0x80 -> kill\noverride intercept io 0x80 -> drop",
        [
            Told(
                "E202",
                "4:23",
                "two override rules decide `io 0x80` differently",
                "cut the overlap:          delete override intercept io 0x80 -> drop | or take `override` from one of them",
            ),
        ],
    ),
    (
        'import "a.pol"\nimport "b.pol"',
        [
            Told(
                "E203",
                "b.pol:3:10",
                "an `allow` of b.pol opens `in 0x3f8`, which a.pol intercepts",
                "say so:                   override allow io 0x3f8 in | or keep it, in vm.pol:    intercept io 0x3f8 -> forward(uart)",
            ),
        ],
    ),
    (
        "intercept msr 0x1ff0 write\nassert intercepted msr 0x1ff0..0x1ff1 write",
        [
            Told(
                "E211",
                "4:1",
                "`wrmsr 0x1ff1` is not intercepted, against what is asserted",
                "`policyc explain vm.pol wrmsr 0x1ff1` shows the whole decision",
            ),
        ],
    ),
    (
        "assert not intercepted io 0xfffe in width 4",
        [
            Told(
                "E211",
                "3:1",
                "`in 0xfffe width 4` is intercepted, against what is asserted",
                "`policyc explain vm.pol in 0xfffe --width 4` shows the whole decision",
            ),
        ],
    ),
    (
        "intercept io 0x64 out -> drop\nassert action io 0x64 out width 1 == kill",
        [
            Told(
                "E211",
                "4:1",
                "`out 0x64 width 1` ends in drop, not in kill as asserted",
                "`policyc explain vm.pol out 0x64` shows the whole decision",
            ),
        ],
    ),
    (
        "allow msr 0x3a\nnever allow msr IA32_FEATURE_CONTROL write",
        [
            Told(
                "E212",
                "4:1",
                "`wrmsr IA32_FEATURE_CONTROL (0x3a)` passes through, and must never",
                "`policyc explain vm.pol wrmsr 0x3a` shows the whole decision",
            ),
        ],
    ),
    (
        'import "baseline.pol"\nintercept msr 0x3a\nprofile debug {\n    allow msr 0x3a\n}',
        [
            Told(
                "E212",
                "baseline.pol:2:1",
                "`wrmsr IA32_FEATURE_CONTROL (0x3a)` passes through, and must never",
                "`policyc explain vm.pol wrmsr 0x3a --profile debug` shows the whole decision",
            ),
        ],
    ),
    (
        'test "t" {\n    wrmsr 0x10 => exit\n    rdmsr 0x11 => passthrough\n}',
        [
            Told(
                "E213",
                "4:5",
                'the test "t" expects an exit for `wrmsr IA32_TSC (0x10)`, and it ends in passthrough',
                "mend the rule, or expect it: => passthrough",
            ),
        ],
    ),
    (
        "intercept io 0x64 out when value == 0xfe and cpl > 1 on vcpu { 2, 4..5 } -> kill\n"
        "assert not intercepted io 0x64 out width 1",
        [
            Told(
                "E211",
                "4:1",
                "`out 0x64 width 1` is intercepted, against what is asserted",
                "`policyc explain vm.pol out 0x64 --value 0xfe --cpl 2 --vcpu 2` shows the whole decision",
            ),
        ],
    ),
    (
        'intercept io 0x64 out when value == 0xfe -> kill\ntest "reset" {\n    out 0x64 value 0xfe => kill\n    out 0x64 value 0xff => kill\n}',
        [
            Told(
                "E213",
                "6:5",
                'the test "reset" expects kill for `out 0x64 width 1`, and it ends in passthrough',
                "mend the rule, or expect it: => passthrough",
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", FILES) == expected
