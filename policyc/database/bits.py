"""The bits of the registers that policies speak of most: what a reviewer looks up when a rule has a mask.

Not of every register, and of those that are here not every reserved bit. tests/database/test_bits.py compares them with
the constants of Debian's msr-index.h where Linux has any.
"""

from __future__ import annotations

from functools import cache

from policyc.vocabulary.typed import NamedTuple


class Field(NamedTuple):
    """Bits lo..hi of a register. name: as the manual has it. about: a few words of our own."""

    lo: int
    hi: int
    name: str
    about: str


class Layout(NamedTuple):
    """fields: lowest first. source: where they were read."""

    fields: tuple[Field, ...]
    source: str


_TEXT = """
IA32_APIC_BASE: SDM vol. 4 table 2-2
8 BSP: this is the bootstrap processor
10 EXTD: x2APIC mode
11 EN: the APIC is on
12..51 BASE: physical address of its page

IA32_FEATURE_CONTROL: SDM vol. 4 table 2-2
0 LOCK: this register cannot be written until the next reset
1 VMX_IN_SMX: VMXON works inside SMX operation
2 VMX_OUTSIDE_SMX: VMXON works outside SMX operation
8..14 SENTER_LOCAL: functions of SENTER, one by one
15 SENTER_GLOBAL: SENTER as a whole
17 SGX_LC: the launch key's hash can be written
18 SGX: SGX as a whole
20 LMCE: machine checks may go to one processor

IA32_SPEC_CTRL: SDM vol. 4 table 2-2
0 IBRS: indirect branches do not follow what less privileged code taught
1 STIBP: nor what the sibling thread taught
2 SSBD: loads do not pass older stores
6 RRSBA_DIS_S: no prediction of returns from elsewhere in the supervisor
10 BHI_DIS_S: branch history of users does not count in the supervisor

IA32_PRED_CMD: SDM vol. 4 table 2-2
0 IBPB: forget indirect branches learnt so far

IA32_FLUSH_CMD: SDM vol. 4 table 2-2
0 L1D_FLUSH: write back and empty the L1 data cache

IA32_TSX_CTRL: SDM vol. 4 table 2-2
0 RTM_DISABLE: transactions abort at their beginning
1 TSX_CPUID_CLEAR: CPUID hides RTM and HLE

IA32_MISC_ENABLE: SDM vol. 4 table 2-2
0 FAST_STRING: fast REP MOVS and REP STOS
3 TM1: automatic thermal control
7 EMON: performance monitoring is there (read-only)
11 BTS_UNAVAIL: no branch trace storage (read-only)
12 PEBS_UNAVAIL: no PEBS (read-only)
16 ENHANCED_SPEEDSTEP: frequency control by software
18 MWAIT: MONITOR and MWAIT
22 LIMIT_CPUID: CPUID ends at leaf 2
23 XTPR_DISABLE: no task priority messages
34 XD_DISABLE: no execute-disable

IA32_PERF_CTL: SDM vol. 4 table 2-2
0..15 TARGET: performance state that is asked for
32 IDA_DISENGAGE: no turbo

IA32_CLOCK_MODULATION: SDM vol. 4 table 2-2
0 EXTENDED: half a step of the duty cycle
1..3 DUTY: duty cycle in eighths
4 ENABLE: throttle

IA32_DEBUGCTL: SDM vol. 4 table 2-2
0 LBR: record branches
1 BTF: single-step on branches
2 BUS_LOCK_DETECT: #DB after a bus lock
6 TR: send branch trace messages
7 BTS: store branch traces
8 BTINT: interrupt when the trace buffer is full
9 BTS_OFF_OS: no traces at CPL 0
10 BTS_OFF_USR: no traces above CPL 0
11 FREEZE_LBRS_ON_PMI: stop recording at a counter's interrupt
12 FREEZE_PERFMON_ON_PMI: stop the counters at their interrupt
14 FREEZE_IN_SMM: stop both inside SMM
15 RTM_DEBUG: debug inside transactions

IA32_PAT: SDM vol. 3A "Page Attribute Table"
0..2 PA0: memory type 0
8..10 PA1: memory type 1
16..18 PA2: memory type 2
24..26 PA3: memory type 3
32..34 PA4: memory type 4
40..42 PA5: memory type 5
48..50 PA6: memory type 6
56..58 PA7: memory type 7

IA32_MTRR_DEF_TYPE: SDM vol. 3A "MTRR_DEF_TYPE"
0..7 TYPE: memory type where no range says another
10 FE: fixed ranges count
11 E: MTRRs count

IA32_MTRR_PHYSBASE: SDM vol. 3A "Variable Range MTRRs"
0..7 TYPE: memory type of the range
12..51 BASE: physical address

IA32_MTRR_PHYSMASK: SDM vol. 3A "Variable Range MTRRs"
11 V: the range counts
12..51 MASK: address bits that are compared

IA32_SMM_MONITOR_CTL: SDM vol. 4 table 2-2
0 VALID: the dual-monitor treatment can be entered
2 VMXOFF_UNBLOCK: VMXOFF lets SMIs in again
12..31 MSEG_BASE: segment of the SMM monitor

IA32_XSS: SDM vol. 4 table 2-2
8 PT: XSAVES saves processor trace
10 PASID: and the PASID
11 CET_U: and the user's shadow stack
12 CET_S: and the supervisor's
13 HDC: and hardware duty cycling
15 LBR: and branch records
16 HWP: and hardware-controlled performance

IA32_U_CET: SDM vol. 4 table 2-2
0 SH_STK_EN: shadow stacks
1 WR_SHSTK_EN: WRSS writes to them
2 ENDBR_EN: indirect branches must meet ENDBR
3 LEG_IW_EN: but for code in the legacy bitmap
4 NO_TRACK_EN: and jumps with a NOTRACK prefix
10 SUPPRESS: tracking is suspended
11 TRACKER: an ENDBR is awaited
12..63 EB_LEG_BITMAP_BASE: address of the legacy bitmap

IA32_S_CET: SDM vol. 4 table 2-2
0 SH_STK_EN: shadow stacks
1 WR_SHSTK_EN: WRSS writes to them
2 ENDBR_EN: indirect branches must meet ENDBR
3 LEG_IW_EN: but for code in the legacy bitmap
4 NO_TRACK_EN: and jumps with a NOTRACK prefix
10 SUPPRESS: tracking is suspended
11 TRACKER: an ENDBR is awaited
12..63 EB_LEG_BITMAP_BASE: address of the legacy bitmap

IA32_X2APIC_ICR: SDM vol. 3A "Interrupt Command Register in x2APIC Mode"
0..7 VECTOR: vector of the interrupt
8..10 MODE: fixed, SMI, NMI, INIT, start-up
11 LOGICAL: the destination is logical
14 LEVEL: assert
15 TRIGGER: level triggered
18..19 SHORTHAND: self, all, all but self
32..63 DESTINATION: which processors

IA32_X2APIC_SIVR: SDM vol. 3A "Spurious Interrupt"
0..7 VECTOR: spurious vector
8 ENABLE: the APIC is enabled by software
12 EOI_SUPPRESS: no broadcast of EOI

IA32_X2APIC_LVT_TIMER: SDM vol. 3A "Local Vector Table"
0..7 VECTOR: vector of the interrupt
12 PENDING: delivery is pending (read-only)
16 MASK: no interrupt
17..18 MODE: one-shot, periodic, TSC deadline

IA32_PERFEVTSEL: SDM vol. 3B "Architectural Performance Monitoring"
0..7 EVENT: what is counted
8..15 UMASK: which kind of it
16 USR: above CPL 0
17 OS: at CPL 0
18 EDGE: edges only
20 INT: interrupt at an overflow
22 EN: count
23 INV: compare the other way
24..31 CMASK: events in a cycle that count as one

IA32_EFER: SDM vol. 4 table 2-2; AMD APM vol. 2 "Extended Feature Enable Register"
0 SCE: SYSCALL and SYSRET
8 LME: long mode is enabled
10 LMA: long mode is active
11 NX: no-execute pages
12 SVME: VMRUN and its kin (AMD)
13 LMSLE: segment limits in long mode (AMD)
14 FFXSR: fast FXSAVE (AMD)
21 AUTOIBRS: IBRS comes and goes with the privilege level (AMD)

IA32_STAR: SDM vol. 4 table 2-2
0..31 EIP: target of SYSCALL in 32-bit mode (AMD)
32..47 SYSCALL_CS: CS, and 8 above it SS, of SYSCALL
48..63 SYSRET_CS: CS and SS of SYSRET

VM_CR: AMD APM vol. 2 "VM_CR MSR"
0 DPD: external debug ports are off
1 R_INIT: INIT is turned into #SX
2 DIS_A20M: A20 masking is off
3 LOCK: SVMDIS cannot be written
4 SVMDIS: SVM cannot be enabled

PIC1_COMMAND: Intel 8259A data sheet
0..2 LEVEL: line that an EOI or a rotation names
3..4 KIND: 0 OCW2, 1 OCW3, 2 and 3 ICW1
5 EOI: end of interrupt
6 SL: the level counts
7 R: rotate

PIT_CONTROL: Intel 8254 data sheet
0 BCD: count in decimal
1..3 MODE: mode of the counter
4..5 RW: which bytes are read or written; 0 latches
6..7 COUNTER: which one; 3 reads back

SYSTEM_CONTROL_B: Intel PCH data sheet "NMI_STS_CNT"
0 TIMER2_GATE: gate of counter 2
1 SPEAKER: speaker on
2 SERR_DISABLE: no NMI for SERR#
3 IOCHK_DISABLE: no NMI for IOCHK#
4 REFRESH: toggles (read-only)
5 TIMER2_OUT: output of counter 2 (read-only)
6 IOCHK: an NMI came from IOCHK# (read-only)
7 SERR: an NMI came from SERR# (read-only)

KBC_COMMAND: Intel 8042 as the PC/AT has it; read as status
0 OBF: a byte waits for the host
1 IBF: a byte waits for the controller
2 SYSTEM: self-test has passed
3 COMMAND: the last byte written was a command
5 AUX_OBF: the waiting byte is the mouse's
6 TIMEOUT: a device did not answer
7 PARITY: a byte was received wrongly

CMOS_INDEX: Intel PCH data sheet "NMI_EN"
0..6 INDEX: byte of the CMOS RAM
7 NMI_DISABLE: NMIs are masked

SYSTEM_CONTROL_A: Intel PCH data sheet "PORT92"
0 INIT_NOW: a change from 0 to 1 resets the processors
1 A20: address line 20 is let through

COM1_IER: 16550 data sheet
0 RX: interrupt when a byte came
1 TX: interrupt when one can be sent
2 LINE: interrupt at an error
3 MODEM: interrupt when a modem line changes

COM1_LCR: 16550 data sheet
0..1 LENGTH: 5 to 8 bits
2 STOP: two stop bits
3 PARITY: parity is sent and checked
4..5 KIND: odd, even, mark, space
6 BREAK: hold the line at 0
7 DLAB: the first two ports are the divisor

COM1_MCR: 16550 data sheet
0 DTR: line DTR
1 RTS: line RTS
2 OUT1: line OUT1
3 OUT2: on PCs, interrupts get through
4 LOOP: send to itself

COM1_LSR: 16550 data sheet
0 DR: a byte is there
1 OE: one was lost
2 PE: parity was wrong
3 FE: the stop bit was missing
4 BI: the line was held at 0
5 THRE: a byte can be sent
6 TEMT: all bytes are sent
7 FIFO: an error is in the FIFO

PCI_CONFIG_ADDRESS: PCI Local Bus 3.0, 3.2.2.3.2
2..7 REGISTER: double word of the configuration space
8..10 FUNCTION: function of the device
11..15 DEVICE: device on the bus
16..23 BUS: bus
31 ENABLE: 0xcfc..0xcff reach configuration space

RESET_CONTROL: Intel PCH data sheet "RST_CNT"
1 SYS_RST: a hard reset, not a soft one
2 RST_CPU: a change from 0 to 1 resets
3 FULL_RST: with a power cycle

APM_CNT: Intel PCH data sheet "APM_CNT"
0..7 COMMAND: a write raises an SMI with this value
"""


def layout(name: str) -> Layout | None:
    """The bits of a register, or of each member of a family, by its canonical name; None where they are not known here."""
    return _layouts().get(name)


def names() -> tuple[str, ...]:
    """The registers whose bits are known."""
    return tuple(_layouts())


@cache
def _layouts() -> dict[str, Layout]:
    return dict(_layout(block) for block in _TEXT.strip().split("\n\n"))


def _layout(block: str) -> tuple[str, Layout]:
    head, *rows = block.split("\n")
    name, _, source = head.partition(": ")
    return name, Layout(tuple(map(_field, rows)), source)


def _field(row: str) -> Field:
    place, _, about = row.partition(": ")
    bits, _, name = place.partition(" ")
    lo, _, hi = bits.partition("..")
    return Field(int(lo), int(hi or lo), name, about)
