"""Every MSR number agrees with the one that Linux uses, name by name: Debian's msr-index.h is the independent source."""

from __future__ import annotations

import glob
import re
from pathlib import Path

import pytest

from policyc.database.names import load
from tests.demand import need

HEADERS = sorted(glob.glob("/usr/src/linux-headers-*/arch/x86/include/asm/msr-index.h"))
HOW = "apt-get install linux-headers-amd64"

NO_REGISTER = re.compile(
    # Constants in hexadecimal whose names begin like those of registers.
    r"MSR_(IA32_VMX_MISC_PREEMPTION_TIMER_SCALE|IA32_MISC_ENABLE_\w+)\Z"
)
BITS = re.compile(r"\(?[0-9]+\)?|.*(BIT|<<|GENMASK|~).*")
"""What the header gives a bit, a mask or a count for a value; registers have hexadecimal numbers or other names."""

DELIBERATE: dict[str, str] = {}
"""Names that policyc gives another number than Linux, and why. There are none; a new one needs its reason here."""

FIRST_OF_FAMILY = frozenset(
    # Linux names only the first register of a row; here the name means the whole row.
    {
        "MSR_LBR_NHM_FROM",
        "MSR_LBR_NHM_TO",
        "MSR_LBR_CORE_FROM",
        "MSR_LBR_CORE_TO",
        "MSR_AMD_PSTATE_DEF_BASE",
        "MSR_F15H_PERF_CTL",
        "MSR_F15H_PERF_CTR",
        "MSR_F15H_NB_PERF_CTL",
        "MSR_F15H_NB_PERF_CTR",
        "MSR_F16H_L2I_PERF_CTL",
        "MSR_F16H_L2I_PERF_CTR",
        "MSR_AMD_SAMP_BR_FROM",
    }
)


def registers(text: str) -> dict[str, int]:
    """Name and number of every MSR the header defines, written as a number or by way of another name."""
    found: dict[str, int] = {}
    bits: set[str] = set()
    for name, value in re.findall(r"^#define\s+(MSR_\w+)\s+([^/\n]+?)\s*(?:/\*.*)?$", text, re.MULTILINE):
        if NO_REGISTER.match(name) or BITS.fullmatch(value) or value in bits:
            bits.add(name)
            continue
        words = re.fullmatch(r"\(?(MSR_\w+|0x[0-9a-fA-F]+)(?: \+ (\d+)\))?", value)
        assert words is not None, f"{name} {value}: neither a register nor a known bit"
        base = found[words[1]] if words[1] in found else int(words[1], 16)
        found[name] = base + int(words[2] or 0)
    return found


@pytest.fixture(scope="module")
def linux() -> dict[str, int]:
    need("headers", bool(HEADERS), HOW)
    return registers(Path(HEADERS[-1]).read_text(encoding="utf-8"))


def test_the_header_was_understood(linux: dict[str, int]) -> None:
    assert len(linux) > 400
    assert linux["MSR_EFER"] == 0xC000_0080
    assert linux["MSR_F15H_PERF_CTL3"] == 0xC001_0206


def test_every_name_of_linux_has_the_number_of_linux(linux: dict[str, int]) -> None:
    database = load()
    wrong = {}
    for name, number in linux.items():
        found = database.msr(name)
        if found is None:
            wrong[name] = "has no entry"
        elif found[0][0] != number and name not in DELIBERATE:
            wrong[name] = f"is {found[0][0]:#x} here and {number:#x} there"
        elif found != ((number, number),) and name not in FIRST_OF_FAMILY:
            wrong[name] = "is a family here"
    assert wrong == {}


def test_every_number_of_linux_has_a_name_and_a_line_of_words(linux: dict[str, int]) -> None:
    database = load()
    for number in linux.values():
        assert database.msr_name(number)
        entry = database.msr_entry(number)
        assert entry is not None
        assert entry.about.endswith(".")


def test_the_rows_that_linux_numbers_by_a_macro_have_its_stride(linux: dict[str, int]) -> None:
    database = load()
    # MSR_IA32_MCx_CTL(x) is MC0_CTL + 4*x, MSR_IA32_MCx_CTL2(x) is MC0_CTL2 + x, MSR_AMD64_MCx_MASK(x) is MC0_MASK + x
    for bank in range(32):
        assert database.msr(f"MSR_IA32_MC{bank}_CTL") == ((0x400 + 4 * bank,) * 2,)
        assert database.msr(f"MSR_IA32_MC{bank}_MISC") == ((0x403 + 4 * bank,) * 2,)
        assert database.msr(f"MSR_IA32_MC{bank}_CTL2") == ((0x280 + bank,) * 2,)
    assert database.msr("MSR_AMD64_MC5_MASK") == ((0xC001_0049,) * 2,)
