"""The bundled modules: what they may hold, and every set against the database's entry for that device."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc import resources
from policyc.database.names import Database, load
from policyc.pipeline import front
from policyc.semantics.policy import Policy
from policyc.syntax import tree
from policyc.syntax.parser import parse
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.intervals import Intervals, union
from policyc.vocabulary.span import Source

FOLDER = Path(resources.folder("std"))
MODULES = sorted(path.stem for path in FOLDER.glob("*.pol"))

# What each set must equal: the union of these entries of the database.
SETS = {
    "acpi_piix4": {
        "PM": "ACPI_PM_PIIX4",
        "PM1A_EVT": "ACPI_PM1A_EVT",
        "PM1A_CNT": "ACPI_PM1A_CNT",
        "PM_TIMER": "ACPI_PM_TIMER",
        "GPE0": "ACPI_GPE0_PIIX4",
        "PCI_HOTPLUG": "ACPI_PCI_HOTPLUG",
        "CPU_HOTPLUG": "ACPI_CPU_HOTPLUG",
        "SMBUS": "SMBUS",
        "ALL": "ACPI_PM_PIIX4 ACPI_GPE0_PIIX4",
    },
    "acpi_q35": {
        "PM": "ACPI_PM_Q35",
        "PM1A_EVT": "ACPI_PM1A_EVT",
        "PM1A_CNT": "ACPI_PM1A_CNT",
        "PM_TIMER": "ACPI_PM_TIMER",
        "GPE0": "ACPI_GPE0_STS_Q35 ACPI_GPE0_EN_Q35",
        "SMI": "SMI_EN SMI_STS",
        "TCO": "TCO",
        "PCI_HOTPLUG": "ACPI_PCI_HOTPLUG_Q35",
        "CPU_HOTPLUG": "ACPI_CPU_HOTPLUG_Q35",
        "SMBUS": "SMBUS",
        "ALL": "ACPI_PM_ICH9",
    },
    "cmos": {
        "INDEX": "CMOS_INDEX",
        "DATA": "CMOS_DATA",
        "CMOS": "CMOS",
        "EXTENDED": "CMOS_EXTENDED",
        "ALL": "CMOS_INDEX CMOS_DATA CMOS_EXTENDED_INDEX CMOS_EXTENDED_DATA",
    },
    "dma": {
        "DMA1": "DMA1",
        "DMA2": "DMA2",
        "PAGES": "DMA_PAGES",
        "HIGH_PAGES": "DMA_HIGH_PAGES",
        "EXTENDED_MODES": "DMA1_EXTENDED_MODE DMA2_EXTENDED_MODE",
        "ALL": "DMA1 DMA2 DMA_PAGES DMA_HIGH_PAGES DMA1_EXTENDED_MODE DMA2_EXTENDED_MODE",
    },
    "floppy": {"FIRST": "FDC FDC_DIR", "SECOND": "FDC2 FDC2_DIR", "ALL": "FDC FDC_DIR FDC2 FDC2_DIR"},
    "ide": {
        "PRIMARY": "IDE0",
        "PRIMARY_CONTROL": "IDE0_CONTROL",
        "SECONDARY": "IDE1",
        "SECONDARY_CONTROL": "IDE1_CONTROL",
        "ALL": "IDE0 IDE0_CONTROL IDE1 IDE1_CONTROL",
    },
    "kbc": {"DATA": "KBC_DATA", "COMMAND": "KBC_COMMAND", "ALL": "KBC_DATA KBC_STATUS"},
    "mtrr": {
        "CAPABILITY": "IA32_MTRRCAP",
        "VARIABLE": "IA32_MTRR_PHYSBASE IA32_MTRR_PHYSMASK",
        "FIXED": "IA32_MTRR_FIX64K_00000 IA32_MTRR_FIX16K_80000 IA32_MTRR_FIX16K_A0000 IA32_MTRR_FIX4K_C0000 "
        "IA32_MTRR_FIX4K_C8000 IA32_MTRR_FIX4K_D0000 IA32_MTRR_FIX4K_D8000 IA32_MTRR_FIX4K_E0000 "
        "IA32_MTRR_FIX4K_E8000 IA32_MTRR_FIX4K_F0000 IA32_MTRR_FIX4K_F8000",
        "DEFAULT_TYPE": "IA32_MTRR_DEF_TYPE",
        "ALL": "IA32_MTRR_PHYSBASE IA32_MTRR_PHYSMASK IA32_MTRR_FIX64K_00000 IA32_MTRR_FIX16K_80000 "
        "IA32_MTRR_FIX16K_A0000 IA32_MTRR_FIX4K_C0000 IA32_MTRR_FIX4K_C8000 IA32_MTRR_FIX4K_D0000 "
        "IA32_MTRR_FIX4K_D8000 IA32_MTRR_FIX4K_E0000 IA32_MTRR_FIX4K_E8000 IA32_MTRR_FIX4K_F0000 "
        "IA32_MTRR_FIX4K_F8000 IA32_MTRR_DEF_TYPE",
    },
    "parallel": {
        "LPT1": "LPT1",
        "LPT2": "LPT2",
        "LPT3": "LPT3",
        "ECP": "LPT1_ECP LPT2_ECP",
        "ALL": "LPT1 LPT2 LPT3 LPT1_ECP LPT2_ECP",
    },
    "pci": {"ADDRESS": "PCI_CONFIG_ADDRESS", "DATA": "PCI_CONFIG_DATA", "ALL": "PCI_CONFIG"},
    "pic": {"PIC1": "PIC1", "PIC2": "PIC2", "ELCR": "ELCR1 ELCR2", "ALL": "PIC1 PIC2 ELCR", "IMCR": "IMCR"},
    "pit": {"PIT": "PIT", "SPEAKER": "SYSTEM_CONTROL_B", "ALL": "PIT PC_SPEAKER"},
    "qemu": {
        "ACPI_EXIT": "ACPI_PM1A_CNT",
        "DEBUG_EXIT": "ISA_DEBUG_EXIT",
        "DEBUG_EXIT_DEFAULT": "ISA_DEBUG_EXIT_DEFAULT",
        "SHUTDOWN": "BOCHS_SHUTDOWN",
        "EXITS": "ACPI_PM1A_CNT ISA_DEBUG_EXIT ISA_DEBUG_EXIT_DEFAULT BOCHS_SHUTDOWN",
        "DEBUG_CONSOLES": "DEBUGCON SEABIOS_DEBUG",
        "FW_CFG": "FW_CFG",
        "PVPANIC": "PVPANIC",
        "VMPORT": "VMPORT_COMMAND VMPORT_HB",
        "MEMORY_HOTPLUG": "ACPI_MEMORY_HOTPLUG ACPI_NVDIMM",
    },
    "reset": {
        "RESET_CONTROL": "RESET_CONTROL",
        "KBC_COMMAND": "KBC_COMMAND",
        "SYSTEM_CONTROL_A": "SYSTEM_CONTROL_A",
        "ACPI_PM1A_CNT": "ACPI_PM1A_CNT",
        "ALL": "RESET_CONTROL KBC_COMMAND SYSTEM_CONTROL_A ACPI_PM1A_CNT",
    },
    "serial": {
        "COM1": "COM1",
        "COM2": "COM2",
        "COM3": "COM3",
        "COM4": "COM4",
        "CONSOLES": "COM1 COM2",
        "ALL": "COM1 COM2 COM3 COM4",
    },
    "syscall": {
        "SYSENTER": "IA32_SYSENTER_CS IA32_SYSENTER_ESP IA32_SYSENTER_EIP",
        "SYSCALL": "IA32_STAR IA32_LSTAR IA32_CSTAR IA32_FMASK",
        "SEGMENT_BASES": "IA32_FS_BASE IA32_GS_BASE IA32_KERNEL_GS_BASE",
        "ALL": "IA32_SYSENTER_CS IA32_SYSENTER_ESP IA32_SYSENTER_EIP IA32_STAR IA32_LSTAR IA32_CSTAR IA32_FMASK "
        "IA32_FS_BASE IA32_GS_BASE IA32_KERNEL_GS_BASE",
    },
    "vga": {
        "MDA": "MDA",
        "EGA": "EGA",
        "CGA": "CGA",
        "VGA": "VGA",
        "VBE": "VBE_INDEX VBE_DATA VBE_DATA_ALIGNED",
        "LEGACY": "MDA VGA",
        "ALL": "MDA VGA VBE",
    },
    "x2apic": {
        "IDENTITY": "IA32_X2APIC_APICID IA32_X2APIC_VERSION",
        "TPR": "IA32_X2APIC_TPR",
        "EOI": "IA32_X2APIC_EOI",
        "ICR": "IA32_X2APIC_ICR",
        "SELF_IPI": "IA32_X2APIC_SELF_IPI",
        "APICV_WRITES": "IA32_X2APIC_TPR IA32_X2APIC_EOI IA32_X2APIC_SELF_IPI",
        "VECTORS": "IA32_X2APIC_ISR IA32_X2APIC_TMR IA32_X2APIC_IRR",
        "LVT": "IA32_X2APIC_LVT_CMCI IA32_X2APIC_LVT_TIMER IA32_X2APIC_LVT_THERMAL IA32_X2APIC_LVT_PMI "
        "IA32_X2APIC_LVT_LINT0 IA32_X2APIC_LVT_LINT1 IA32_X2APIC_LVT_ERROR",
        "TIMER": "IA32_X2APIC_INIT_COUNT IA32_X2APIC_CUR_COUNT IA32_X2APIC_DIV_CONF",
    },
}
# Sets of reserved blocks, in which not every number has an entry: the manual's numbers.
BLOCKS = {("x2apic", "ALL"): (0x800, 0x8FF), ("x2apic", "REGISTERS"): (0x800, 0x83F)}

# Values that the devices' data sheets give.
CONSTS = {
    ("acpi_piix4", "POWER_OFF"): 0x2000,
    ("acpi_piix4", "SLP_EN"): 0x2000,
    ("acpi_q35", "POWER_OFF"): 0x2000,
    ("acpi_q35", "SLP_EN"): 0x2000,
    ("cmos", "NMI_DISABLE"): 0x80,
    ("kbc", "PULSE_RESET"): 0xFE,
    ("kbc", "WRITE_OUTPUT_PORT"): 0xD1,
    ("pci", "ENABLE"): 1 << 31,
    ("pic", "EOI"): 0x20,
    ("pit", "HERTZ"): 1_193_182,
    ("qemu", "POWER_OFF"): 0x2000,
    ("reset", "HARD_RESET"): 0x6,
}


@pytest.fixture(scope="module")
def database() -> Database:
    return load()


def module(name: str) -> tree.Module:
    parsed, problems = parse(Source(f"std/{name}.pol", (FOLDER / f"{name}.pol").read_text(encoding="utf-8")))
    assert problems == []
    return parsed


def lets(name: str) -> list[tree.LetSet | tree.LetConst]:
    return [each for each in module(name).statements if isinstance(each, tree.LetSet | tree.LetConst)]


def compiled(tmp_path: Path, database: Database, text: str) -> Policy:
    path = tmp_path / "vm.pol"
    path.write_text(f"language 1\ndefault passthrough\n{text}\n")
    read = front(str(path), database=database)
    assert read.diagnostics == ()
    return read.policy


def entries(database: Database, space: str, names: str) -> Intervals:
    found = [database.msr(name) if space == MSR else database.port(name) for name in names.split()]
    assert None not in found, names
    return union(*(each for each in found if each is not None))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_holds_definitions_alone_each_with_a_doc_comment(name: str) -> None:
    first, *rest = module(name).statements
    assert isinstance(first, tree.Language)
    assert first.version.value == 1
    assert rest
    for statement in rest:
        assert isinstance(statement, tree.LetSet | tree.LetConst)
        assert statement.doc, statement.name.text


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_opens_and_closes_nothing(name: str, tmp_path: Path, database: Database) -> None:
    policy = compiled(tmp_path, database, f'import "std/{name}.pol"')
    assert (policy.rules, policy.asserts, policy.nevers, policy.profiles, policy.tests) == ((), (), (), (), ())


@pytest.mark.parametrize("name", MODULES)
def test_each_set_is_what_the_database_says_of_the_device(name: str, tmp_path: Path, database: Database) -> None:
    sets = [each for each in lets(name) if isinstance(each, tree.LetSet)]
    rules = "\n".join(f"intercept {each.space.text} module.{each.name.text}" for each in sets)
    policy = compiled(tmp_path, database, f'import "std/{name}.pol" as module\n{rules}')
    for let, rule in zip(sets, policy.rules, strict=True):
        block = BLOCKS.get((name, let.name.text))
        expected = (block,) if block else entries(database, let.space.text, SETS[name][let.name.text])
        assert rule.ranges == expected, let.name.text


@pytest.mark.parametrize(("name", "const"), CONSTS)
def test_each_constant_is_the_data_sheets(name: str, const: str, tmp_path: Path, database: Database) -> None:
    rule = f"intercept io 0x10 out width 4 when value == module.{const}"
    policy = compiled(tmp_path, database, f'import "std/{name}.pol" as module\n{rule}')
    assert policy.rules[0].conditions[0].operand == CONSTS[name, const]


def test_every_set_and_constant_has_an_expectation() -> None:
    defined = {(name, each.name.text) for name in MODULES for each in lets(name)}
    assert defined == {(name, each) for name, sets in SETS.items() for each in sets} | set(BLOCKS) | set(CONSTS)


def test_port_modules_and_msr_modules_are_told_apart() -> None:
    spaces = {name: {each.space.text for each in lets(name) if isinstance(each, tree.LetSet)} for name in MODULES}
    assert {name for name, space in spaces.items() if space == {MSR}} == {"mtrr", "syscall", "x2apic"}
    assert all(space in ({IO}, {MSR}) for space in spaces.values())
