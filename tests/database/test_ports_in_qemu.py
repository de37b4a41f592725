"""The port entries against a machine: QEMU's own list of who answers which port, after its firmware has run."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest

from policyc.database.names import load
from policyc.vocabulary.intervals import Intervals, normal, subtract, union
from tests.demand import need

pytestmark = pytest.mark.slow

FIRMWARE_SECONDS = 60
"""How long SeaBIOS may take, on a loaded machine, to give power management its ports."""
DEVICES = (
    *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    *("-device", "pvpanic"),
    *("-chardev", "null,id=log", "-device", "isa-debugcon,iobase=0x402,chardev=log"),
    *("-serial", "null", "-parallel", "null", "-device", "isa-fdc", "-machine", "vmport=on"),
)

# What QEMU calls each region, and the entries that together must have its very ports.
BOTH = {
    "acpi-cnt": "ACPI_PM1A_CNT",
    "acpi-evt": "ACPI_PM1A_EVT",
    "acpi-tmr": "ACPI_PM_TIMER",
    "apm-io": "APM",
    "dma-chan dma-cont": "DMA1 DMA2",
    "dma-page": "DMA_PAGE0 DMA_PAGE1 DMA_PAGE2 DMA_PAGE3 DMA_PAGE5 DMA_PAGE6 DMA_PAGE7 DMA_PAGE_REFRESH",
    "elcr": "ELCR",
    "fwcfg": "FW_CFG_SELECTOR",
    "fwcfg.dma": "FW_CFG_DMA",
    "i8042-cmd": "KBC_COMMAND",
    "i8042-data": "KBC_DATA",
    "ioport80": "POST",
    "ioportF0": "FPU_CLEAR_BUSY",
    "isa-debug-exit": "ISA_DEBUG_EXIT",
    "isa-debugcon": "BOCHS_INFO",
    "kvmvapic": "KVMVAPIC",
    "parallel": "LPT1",
    "pci-conf-data": "PCI_CONFIG_DATA",
    "pcspk": "SYSTEM_CONTROL_B",
    "pic": "PIC1 PIC2",
    "pit": "PIT",
    "pm-smbus": "SMBUS",
    "port92": "SYSTEM_CONTROL_A",
    "pvpanic": "PVPANIC",
    "rtc": "CMOS_DATA",
    "rtc-index": "CMOS_INDEX",
    "serial": "COM1",
    "vbe": "VBE",
    "vmport": "VMPORT_COMMAND",
}
OF = {
    "pc": BOTH
    | {
        "acpi-cpu-hotplug": "ACPI_CPU_HOTPLUG",
        "acpi-gpe0": "ACPI_GPE0_PIIX4",
        "acpi-pci-hotplug": "ACPI_PCI_HOTPLUG",
        "ide": "IDE0 IDE0_CONTROL IDE1 IDE1_CONTROL",
        "pci-conf-idx piix3-reset-control": "PCI_CONFIG_ADDRESS",
        "piix3-reset-control": "RESET_CONTROL",
    },
    "q35": BOTH
    | {
        "acpi-cpu-hotplug": "ACPI_CPU_HOTPLUG_Q35",
        "acpi-gpe0": "ACPI_GPE0_Q35",
        "acpi-pci-hotplug": "ACPI_PCI_HOTPLUG_Q35",
        "acpi-smi": "SMI_EN SMI_STS",
        "lpc-reset-control": "RESET_CONTROL",
        "pci-conf-idx lpc-reset-control": "PCI_CONFIG_ADDRESS",
        "sm-tco": "TCO",
    },
}
# QEMU leaves out registers that it does not have.
PARTS = {"fdc": "FDC FDC_DIR", "vga": "MDA VGA"}

Regions = dict[str, Intervals]


def regions(listing: str) -> Regions:
    """Ports by region, of the I/O space in ``info mtree -f``."""
    found: dict[str, list[tuple[int, int]]] = {}
    inside = False
    for line in listing.splitlines():
        words = line.split()
        if line.startswith("FlatView"):
            inside = False
        elif "Root memory region: io" in line:
            inside = True
        elif inside and len(words) >= 5 and words[1].startswith("(prio"):
            lo, _, hi = words[0].partition("-")
            found.setdefault(words[4], []).append((int(lo, 16), int(hi, 16)))
    return {name: normal(each) for name, each in found.items()}


def asked(machine: str) -> Regions:
    """What QEMU lists once the firmware has placed the power management block."""
    program = shutil.which("qemu-system-x86_64")
    need("qemu", program is not None, "apt-get install qemu-system-x86")
    assert program is not None
    command = [program, "-machine", machine, "-display", "none", "-qmp", "stdio", *DEVICES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None

        def say(execute: str, **arguments: str) -> str:
            print(json.dumps({"execute": execute, "arguments": arguments}), file=qemu.stdin, flush=True)
            for line in qemu.stdout or ():
                answer = json.loads(line)
                if "return" in answer:
                    return str(answer["return"])
            raise AssertionError("QEMU ended")

        try:
            say("qmp_capabilities")
            for _ in range(FIRMWARE_SECONDS):
                found = regions(say("human-monitor-command", **{"command-line": "info mtree -f"}))
                if "acpi-evt" in found and "pm-smbus" in found:
                    return found
                time.sleep(1)
            raise AssertionError(f"no power management block; QEMU lists {sorted(found)}")
        finally:
            qemu.kill()


@pytest.fixture(scope="module", params=["pc", "q35"])
def machine(request: pytest.FixtureRequest) -> tuple[str, Regions]:
    return request.param, asked(request.param)


def ports(names: str) -> Intervals:
    database = load()
    return union(*(database.port(name) or () for name in names.split()))


def test_each_device_has_the_ports_that_qemu_gives_it(machine: tuple[str, Regions]) -> None:
    name, found = machine
    for region, entries in OF[name].items():
        assert union(*(found[each] for each in region.split())) == ports(entries), region


def test_qemu_answers_no_port_of_a_device_that_its_entries_lack(machine: tuple[str, Regions]) -> None:
    for region, entries in PARTS.items():
        assert subtract(machine[1][region], ports(entries)) == (), region
