"""What a test needs of the machine: absent, the test is skipped with the reason; demanded, its absence is a failure.

``POLICYC_DEMAND=headers,cc,kvm`` names, comma separated, the tools that this run promises to have: a machine that is
set up to run them cannot pass by having lost one. The names in use: TOOLS.
"""

from __future__ import annotations

import os
from shutil import which

import pytest

TOOLS = (
    "headers",
    "cc",
    "clang",
    "clang-tidy",
    "cppcheck",
    "valgrind",
    "nasm",
    "bochs",
    "qemu",
    "kvm",
    "registry",
    "git",
    "chromium",
)


def demanded() -> frozenset[str]:
    """The tools that POLICYC_DEMAND names; a name that no test asks for is a mistake of whoever set it."""
    words = frozenset(word.strip() for word in os.environ.get("POLICYC_DEMAND", "").split(",") if word.strip())
    unknown = sorted(words - set(TOOLS))
    if unknown:
        pytest.fail(f"POLICYC_DEMAND names {', '.join(unknown)}; known are {', '.join(TOOLS)}", pytrace=False)
    return words


def need(tool: str, present: bool, how: str) -> None:
    """Skip the running test without ``tool``, or fail it where the tool is demanded. how: how to get the tool."""
    assert tool in TOOLS, f"{tool!r} is missing in tests/demand.py TOOLS"
    if present:
        return
    if tool in demanded():
        pytest.fail(f"{tool} is demanded (POLICYC_DEMAND) and not here: {how}", pytrace=False)
    pytest.skip(f"needs {tool}: {how}")


def need_git() -> None:
    """For tests that make a repository or ask for one."""
    need("git", which("git") is not None, "apt-get install git")
