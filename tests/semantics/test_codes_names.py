"""Names that mean nothing, or something else than is needed."""

from __future__ import annotations

import pytest

from tests.semantics.frontend import FILES, HEAD, Told, told

CASES: list[tuple[str, list[Told]]] = [
    (
        "intercept msr IA32_EFFER write",
        [
            Told(
                "E031",
                "3:15",
                "no MSR is named `IA32_EFFER`",
                "did you mean `IA32_EFER` (0xc0000080)? | `policyc msr ia32_effer` lists close names; a set of your own is made with `let msr`",
            ),
        ],
    ),
    (
        "intercept msr ia32_efer write",
        [
            Told("E031", "3:15", "no MSR is named `ia32_efer`", "write IA32_EFER"),
        ],
    ),
    (
        "intercept msr VMX_ALL",
        [
            Told(
                "E031",
                "3:15",
                "no MSR is named `VMX_ALL`",
                "`policyc msr vmx_all` lists close names; a set of your own is made with `let msr`",
            ),
        ],
    ),
    (
        "intercept io COM9_DATA",
        [
            Told(
                "E032",
                "3:14",
                "no I/O port is named `COM9_DATA`",
                "did you mean `COM1_DATA` (0x3f8) or `COM2_DATA` (0x2f8) or `COM3_DATA` (0x3e8)? | `policyc port com9_data` lists close names; a set of your own is made with `let io`",
            ),
        ],
    ),
    (
        "intercept io UART",
        [
            Told(
                "E032",
                "3:14",
                "no I/O port is named `UART`",
                "`policyc port uart` lists close names; a set of your own is made with `let io`",
            ),
        ],
    ),
    (
        "let const A = B | 1",
        [
            Told("E033", "3:15", "there is no constant `B`", "define it: let const B = 0x..."),
        ],
    ),
    (
        "let const A = B\nintercept msr 0x10 write -> mask(and=~A)\nintercept io 0x80 -> log(rate=A)\n"
        "assert action msr 0x10 write == const(A)\nprofile p {\n    default io exit -> log(rate=A), drop\n}",
        [
            Told("E033", "3:15", "there is no constant `B`", "define it: let const B = 0x..."),
        ],
    ),
    (
        "let const EFER_RO = 0x500\nintercept msr 0x10 -> mask(and=~EFER_R0)",
        [
            Told("E033", "4:33", "there is no constant `EFER_R0`", "did you mean `EFER_RO`?"),
        ],
    ),
    (
        "intercept msr serial.COM1",
        [
            Told("E033", "3:15", "no module is imported as `serial`", 'import it: import "std/serial.pol" as serial'),
        ],
    ),
    (
        'import "b.pol" as b\nintercept io b.Y',
        [
            Told("E034", "4:16", "the module `b` has no `Y`", "did you mean `b.X`?"),
        ],
    ),
    (
        "intercept msr IA32_PMC[99]",
        [
            Told("E034", "3:15", "`IA32_PMC` has 8 members, and 99 is not one of them", "write IA32_PMC[0..7]"),
        ],
    ),
    (
        "profile late extends rum {\n}\nprofile run {\n}",
        [
            Told("E035", "3:22", "there is no profile `rum`", "did you mean `run`?"),
        ],
    ),
    (
        'profile run {\n}\ntest "t" {\n    rdmsr 0x10 profile rum => passthrough\n}',
        [
            Told("E035", "6:24", "there is no profile `rum`", "did you mean `run`?"),
        ],
    ),
    (
        "target vmx, smv",
        [
            Told("E037", "3:13", "there is no target `smv`", "did you mean `svm`?"),
        ],
    ),
    (
        "target xen",
        [
            Told("E037", "3:8", "there is no target `xen`", "targets are vmx, svm, kvm"),
        ],
    ),
    (
        "intercept msr 0x10 -> logg",
        [
            Told("E038", "3:23", "there is no action `logg`", "did you mean `log`?"),
        ],
    ),
    (
        "intercept msr 0x10 -> emulate",
        [
            Told(
                "E038",
                "3:23",
                "there is no action `emulate`",
                "actions are log, count, trace, exit, passthrough, const, mask, shadow, drop, inject, forward, notify, kill",
            ),
        ],
    ),
    (
        "intercept msr COM1",
        [
            Told("E041", "3:15", "`COM1` is an I/O port (0x3f8), not an MSR", "say `io COM1`"),
        ],
    ),
    (
        "let io UARTS = 0x3f8 len 8\nintercept msr UARTS",
        [
            Told(
                "E041",
                "4:15",
                "`UARTS` is a set of ports, and MSRs are meant here",
                "a set holds MSRs or ports, never both",
            ),
        ],
    ),
    (
        'import "b.pol" as b\nintercept io b',
        [
            Told("E043", "4:14", "`b` is a module, not an address", "name a set of it: b.NAME"),
        ],
    ),
    (
        "let msr A = A",
        [
            Told("E042", "3:9", "`A` is defined by itself: A -> A", "write one of them with numbers"),
        ],
    ),
    (
        "let msr A = B\nlet msr B = { C }\nlet msr C = { A, 0x10 }\nintercept msr A",
        [
            Told("E042", "3:9", "`A` is defined by itself: A -> B -> C -> A", "write one of them with numbers"),
        ],
    ),
    (
        "let const A = 1 | B\nlet const B = A << 1",
        [
            Told("E042", "3:11", "`A` is defined by itself: A -> B -> A", "write one of them with numbers"),
        ],
    ),
    (
        "profile a extends b {\n}\nprofile b extends a {\n}",
        [
            Told("E042", "5:19", "the profile `a` extends itself: a -> b -> a", "leave one `extends` out"),
        ],
    ),
    (
        "let msr A = { 0x10, 0x11 }\nintercept msr A..0x20",
        [
            Told("E043", "4:15", "`A` is 2 MSRs, and one number is needed here", "name one of them"),
        ],
    ),
    (
        "intercept msr IA32_EFER[0]",
        [
            Told("E043", "3:15", "`IA32_EFER` is one register, not a family", "write IA32_EFER"),
        ],
    ),
    (
        "intercept io 0x10 out when value == IA32_EFER",
        [
            Told("E033", "3:37", "there is no constant `IA32_EFER`", "define it: let const IA32_EFER = 0x..."),
        ],
    ),
    (
        "intercept io COM1 + 8",
        [
            Told("E043", "3:14", "`COM1` is 8 ports, and one number is needed here", "name one of them"),
        ],
    ),
    (
        "let msr A = 0x10\nlet msr A = 0x11",
        [
            Told("E071", "4:9", "`A` is defined twice", "give one of them another name"),
        ],
    ),
    (
        "let msr IA32_EFER = 0x10",
        [
            Told(
                "E071",
                "3:9",
                "`IA32_EFER` is the name of an MSR (0xc0000080), and this makes it something else",
                "choose another name, such as IA32_EFER_SET: database names mean the same in every policy",
            ),
        ],
    ),
    (
        "a: intercept msr 0x10\na: intercept msr 0x11",
        [
            Told("E071", "4:1", "the label `a` is used twice", "rename one"),
        ],
    ),
    (
        "default passthrough",
        [
            Told("E071", "3:1", "the default is stated twice", "keep one of them"),
        ],
    ),
    (
        "profile run {\n}\nprofile run {\n}",
        [
            Told("E071", "5:9", "the profile `run` is defined twice", "give one another name"),
        ],
    ),
    (
        "intercept msr 0x10 -> forward(f)\nintercept io 0x60 -> forward(f)",
        [
            Told("E071", "4:22", "the handler `f` already serves MSRs, which have another signature", "use two names"),
        ],
    ),
    (
        'import "b.pol"\nimport "lib/b.pol"',
        [
            Told("E071", "4:8", "two imports are called `b`", "give one another name with `as`"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_mistake_is_told_once_where_it_is_with_its_remedy(text: str, expected: list[Told]) -> None:
    assert told(HEAD + text + "\n", FILES) == expected
