"""The port entries against facts that were not read from them: Linux's own table, and arithmetic of the UART."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import policyc

FOLDER = Path(policyc.__file__).parent / "database" / "port"


class Port(NamedTuple):
    name: str
    lo: int
    hi: int
    entry: dict[str, Any]


def read(path: Path) -> list[Port]:
    ports = []
    for entry in yaml.safe_load(path.read_text()):
        lo, _, hi = str(entry["ports"]).partition("..")
        ports.append(Port(entry["name"], int(lo, 0), int(hi or lo, 0), entry))
    return ports


PORTS = [port for path in sorted(FOLDER.glob("*.yaml")) for port in read(path)]
BY_NAME = {name: (port.lo, port.hi) for port in PORTS for name in (port.name, *port.entry.get("aliases", ()))}

# standard_io_resources of Linux's arch/x86/kernel/setup.c, and the ranges that its drivers ask for.
LINUX = {
    "PIC1": (0x20, 0x21),
    "PIT": (0x40, 0x43),
    "KBC_DATA": (0x60, 0x60),
    "KBC_COMMAND": (0x64, 0x64),
    "CMOS": (0x70, 0x71),
    "PIC2": (0xA0, 0xA1),
    "DMA2": (0xC0, 0xDF),
    "IDE1": (0x170, 0x177),
    "IDE0": (0x1F0, 0x1F7),
    "COM2": (0x2F8, 0x2FF),
    "IDE1_CONTROL": (0x376, 0x376),
    "VGA": (0x3C0, 0x3DF),
    "IDE0_CONTROL": (0x3F6, 0x3F6),
    "COM1": (0x3F8, 0x3FF),
    "PCI_CONFIG": (0xCF8, 0xCFF),
    "FW_CFG": (0x510, 0x51B),
    "ACPI_PM1A_EVT": (0x600, 0x603),
    "ACPI_PM1A_CNT": (0x604, 0x605),
    "ACPI_PM_TIMER": (0x608, 0x60B),
    "ACPI_GPE0_Q35": (0x620, 0x62F),
    "ACPI_GPE0_PIIX4": (0xAFE0, 0xAFE3),
}


@pytest.mark.parametrize("name", LINUX)
def test_a_range_is_the_one_proc_ioports_shows(name: str) -> None:
    assert BY_NAME[name] == LINUX[name]


@pytest.mark.parametrize(("com", "base"), [("COM1", 0x3F8), ("COM2", 0x2F8), ("COM3", 0x3E8), ("COM4", 0x2E8)])
def test_uart_registers_lie_at_the_offsets_of_serial_reg_h(com: str, base: int) -> None:
    offsets = {"RBR": 0, "THR": 0, "DLL": 0, "IER": 1, "DLM": 1, "IIR": 2, "FCR": 2, "LCR": 3, "MCR": 4, "LSR": 5}
    offsets |= {"MODEM_STATUS": 6, "SCR": 7}
    assert {name: BY_NAME[f"{com}_{name}"] for name in offsets} == {
        name: (base + offset, base + offset) for name, offset in offsets.items()
    }


def test_each_name_is_used_once() -> None:
    names = [name for port in PORTS for name in (port.name, *port.entry.get("aliases", ()))]
    assert len(names) == len(set(names))


def test_ranges_nest_or_lie_apart() -> None:
    for one in PORTS:
        for other in PORTS:
            apart = one.hi < other.lo or other.hi < one.lo
            nested = (one.lo <= other.lo and other.hi <= one.hi) or (other.lo <= one.lo and one.hi <= other.hi)
            assert apart or nested, (one.name, other.name)


def test_no_two_entries_say_the_same_range() -> None:
    ranges = [(port.lo, port.hi) for port in PORTS]
    assert len(ranges) == len(set(ranges))


def test_files_are_in_the_order_of_their_ports() -> None:
    for path in FOLDER.glob("*.yaml"):
        ranges = [(port.lo, -port.hi) for port in read(path)]
        assert ranges == sorted(ranges), path.name


@pytest.mark.parametrize(
    "name", ["KBC_COMMAND", "SYSTEM_CONTROL_A", "RESET_CONTROL", "ACPI_PM1A_CNT", "ISA_DEBUG_EXIT"]
)
def test_ports_that_end_the_machine_are_tagged_reset(name: str) -> None:
    assert "reset" in next(port.entry["tags"] for port in PORTS if port.name == name)


def test_the_pc_platform_is_covered() -> None:
    assert len(PORTS) >= 150
