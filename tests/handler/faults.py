"""Faults to put into the handler's C, one at a time: each must make a test fail.

``python -m tests.handler.faults`` prints the list with the first test that caught each fault, and fails if one got
away; it takes some minutes. ``python -m tests.handler.faults NUMBER...`` tries only those.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

VARIABLE = "POLICYC_HANDLER_FAULT"
"""Names the fault that tests/handler/conftest.py puts into the C."""
TESTS = ("test_exits.py", "test_strings.py", "test_state.py", "test_verdicts.py")
SWEPT = ("test_verdicts.py", "test_state.py", "test_strings.py", "test_exits.py")
"""Faults in deciding and acting are likely to be caught by the sweep over all accesses: it comes first."""
WANTED = "not random and not other_targets and not 32_bit_code and not (whatever and not vmx-2)"
"""The others take long and catch nothing more: of what hooks may answer a fault on VT-x is tried."""
SWEPT_FILES = ("decide.c", "actions.c")
HERE = Path(__file__).parent
PATIENCE = 100
"""Seconds after which a test is taken to hang."""


class Fault(NamedTuple):
    """about: what is wrong then. old stands exactly once in the file."""

    about: str
    file: str
    old: str
    new: str


FAULTS = (
    # deciding
    Fault("runs are searched one bit off", "decide.c", "runs[middle].last < address", "runs[middle].last <= address"),
    Fault("the search stops one too early", "decide.c", "low = middle + 1u;\n\t\telse", "low = middle;\n\t\telse"),
    Fault("pages are half as long", "decide.c", "pages[place >> 8]", "pages[place >> 7 & 0xffu]"),
    Fault("an address's place in its page loses a bit", "decide.c", "(place & 0xffu)", "(place & 0x7fu)"),
    Fault("the steps of a page are those of the first", "decide.c", "steps[page->steps + ", "steps["),
    Fault("the page's first run decides for all of it", "decide.c", "&table->runs[page->run + step->run]", "&table->runs[page->run]"),
    Fault("an MSR outside the windows is looked up in them", "decide.c", "\tif (window == POLICYC_SVM_WINDOWS)\n\t\treturn ask_msr(frame, search(table, index), access);\n", ""),
    Fault("the second window counts as the first", "decide.c", "\t\treturn 1;", "\t\treturn 0;"),
    Fault("the third window has the place of the second", "decide.c", "\t\treturn 2;", "\t\treturn 1;"),
    Fault("the second window is looked for elsewhere", "decide.c", "case 0x60000:", "case 0x60001:"),
    Fault("the third window is looked for elsewhere", "decide.c", "case 0x60008:", "case 0x60009:"),
    Fault("an MSR's offset in its window loses a bit", "decide.c", "(index & 0x1fffu)", "(index & 0xfffu)"),
    Fault("no MSR counts as outside the windows", "decide.c", "&&\n\t    !has_bit(frame, access->address)", "&&\n\t    false"),
    Fault("MSRs in the windows count as outside", "decide.c", "    !has_bit(", "    has_bit("),
    Fault("outside speaks even where a rule does", "decide.c", "if (verdict.rule == &tables->rules[tables->msr_default] &&", "if ("),
    Fault("reads are decided as writes", "decide.c", "is_write(access) ? 1 : 0", "is_write(access) ? 1 : 1"),
    Fault("writes are decided as reads", "decide.c", "is_write(access) ? 1 : 0", "is_write(access) ? 0 : 0"),
    Fault("IN of a byte is decided as OUT", "decide.c", "return look_up(ins, port);", "return look_up(outs, port);"),
    Fault("OUT of a byte is decided as IN", "decide.c", "\t\treturn look_up(outs, port);", "\t\treturn look_up(ins, port);"),
    Fault("a wide IN is decided as OUT", "decide.c", "(in ? ins : outs)", "(in ? outs : outs)"),
    Fault("width 4 is decided as width 2", "decide.c", "+ width / 2u, port", "+ width / 3u, port"),
    Fault("the halo is missing: only the first byte counts", "decide.c", "found.run->last < access->address + access->width - 1u", "found.run->last < access->address"),
    Fault("the last byte of a wide access is missed", "decide.c", "found.run->last < access->address + access->width - 1u", "found.run->last < access->address + access->width - 2u"),
    Fault("a byte too many is looked at", "decide.c", "uint32_t end = access->address + access->width - 1u;", "uint32_t end = access->address + access->width;"),
    Fault("the laxest byte wins", "decide.c", "strictness(&other) > strictness(&verdict)", "strictness(&other) < strictness(&verdict)"),
    Fault("of equal bytes the highest port wins", "decide.c", "strictness(&other) > strictness(&verdict)", "strictness(&other) >= strictness(&verdict)"),
    Fault("an access that is logged beside another is not", "decide.c", "(verdict->reports ? 1u : 0u)", "(verdict->reports ? 0u : 0u)"),
    Fault("what is not logged goes before what is", "decide.c", "(verdict->reports ? 1u : 0u)", "(verdict->reports ? 0u : 1u)"),
    Fault("a value is given for bytes that its rule does not decide", "decide.c", "\t\twhole = false;", "\t\twhole = true;"),
    Fault("a value is given past the last port", "decide.c", "bool whole = !past;", "bool whole = true;"),
    Fault("accesses past the last port are passed on", "decide.c", "\telse if (past && ", "\telse if (false && "),
    Fault("port 0xffff counts as past the last", "decide.c", "end > 0xffffu", "end >= 0xffffu"),
    Fault("mask works on a part of an access", "decide.c", "action == POLICYC_ACT_MASK || ", ""),
    Fault("const answers a part of an access", "decide.c", " ||\n\t       action == POLICYC_ACT_CONST", ""),
    Fault("shadow answers a part of an access", "decide.c", " || action == POLICYC_ACT_SHADOW", ""),
    Fault("a rule's conditions are not asked", "decide.c", "if (!condition_holds(&conditions[i], access))", "if (false)"),
    Fault("of several conditions the last is not asked", "decide.c", "i < rule->conditions; i++", "i + 1u < rule->conditions; i++"),
    Fault("conditions on a value hold for reads", "decide.c", "if (!condition->cpl && !is_write(access))\n\t\treturn false;", ""),
    Fault("conditions on CPL look at the value", "decide.c", "condition->cpl ? access->cpl : access->value", "access->value"),
    Fault("the mask of a condition is ignored", "decide.c", "\tsubject &= condition->mask;\n", ""),
    Fault("!= is ==", "decide.c", "subject != condition->operand", "subject == condition->operand"),
    Fault("< is <=", "decide.c", "return subject < condition->operand", "return subject <= condition->operand"),
    Fault("> is >=", "decide.c", "return subject > condition->operand", "return subject >= condition->operand"),
    Fault("<= is <", "decide.c", "return subject <= condition->operand", "return subject < condition->operand"),
    Fault(">= is >", "decide.c", "return subject >= condition->operand", "return subject > condition->operand"),
    Fault("conditions on ports are not asked", "decide.c", "\tif ((found.kind & POLICYC_STEP_ASKS) != 0 ||\n\t    found.run", "\tif (found.run"),
    Fault("conditions on MSRs are not asked", "decide.c", "\tif ((found.kind & POLICYC_STEP_ASKS) != 0)\n\t\treturn ask_msr", "\tif (false)\n\t\treturn ask_msr"),
    Fault("an MSR's step does not say that it reports", "decide.c", "(found.kind & POLICYC_STEP_REPORTS) != 0", "false"),
    Fault("an action of a step loses a bit", "decide.c", "found.kind & POLICYC_STEP_ACTION", "found.kind & 0x07u"),
    Fault("what a step says is its flags too", "decide.c", "found.kind & POLICYC_STEP_ACTION", "found.kind"),
    Fault("a step's rule is the first of all", "decide.c", "tables->links[found.run->link]", "tables->links[0]"),
    Fault("every vCPU has the first class", "decide.c", "&tables->classes[vcpu->vcpu_class]", "&tables->classes[0]"),
    Fault("a rule that is asked reports nothing", "decide.c", "actions->before[0] != 0\n", "false\n"),
    Fault("a chain's first rule decides, whatever its conditions", "decide.c", "while (!rule_holds(frame, &tables->rules[tables->links[link]], access))\n\t\tlink++;", "(void)access;"),
    # acting
    Fault("a masked write is not masked", "actions.c", "access->value = (access->value & actions->value) | actions->set;\n\t\taccess->value &= ones", "access->value &= ones"),
    Fault("a masked read is not masked", "actions.c", "status = do_real(frame, access);\n\taccess->value = (access->value & actions->value) | actions->set;", "status = do_real(frame, access);"),
    Fault("a masked read sets no bits", "actions.c", "status = do_real(frame, access);\n\taccess->value = (access->value & actions->value) | actions->set;", "status = do_real(frame, access);\n\taccess->value = access->value & actions->value;"),
    Fault("a dropped IN reads zeros", "actions.c", "is_port(access) ? UINT64_MAX : 0", "0"),
    Fault("a dropped RDMSR reads ones", "actions.c", "is_port(access) ? UINT64_MAX : 0", "UINT64_MAX"),
    Fault("inject always means #GP", "actions.c", "fault_of(actions->vector)", "fault_of(13)"),
    Fault("#AC pushes no error code", "actions.c", "0x00227d00u", "0x00207d00u"),
    Fault("#UD pushes an error code", "actions.c", "0x00227d00u", "0x00227d40u"),
    Fault("a shadow forgets what is written", "actions.c", "\tif (is_write(access))\n\t\t*word = access->value;\n", ""),
    Fault("shadowed ports overlap", "actions.c", "word = &words[cell >> 3];", "word = &words[cell >> 4];"),
    Fault("a shadowed byte keeps its old bits", "actions.c", "\t\t\t*word &= ~((uint64_t)0xff << shift);\n", ""),
    Fault("shadowed bytes come in the wrong order", "actions.c", "access->value >> 8u * i & 0xffu", "access->value & 0xffu"),
    Fault("a shadow's cell is that of the range before", "actions.c", "first <= access->address)\n\t\t\tlow", "first < access->address)\n\t\t\tlow"),
    Fault("a registered handler is not asked", "actions.c", "if (found == NULL)", "if (true)"),
    Fault("a limited log is not limited", "actions.c", "if (used < actions->rate)", "if (used <= actions->rate)"),
    Fault("events held back are not counted", "actions.c", "\t\theld++;", "\t\theld += 0;"),
    Fault("a new second does not begin anew", "actions.c", "\tif (bucket[0] != now)\n\t\tused = 0;\n", ""),
    Fault("an access that was pending is counted twice", "actions.c", "\t    (*pending == POLICYC_NOT_PENDING ||\n\t     *pending != pending_mark(frame, verdict.rule, access)))", "\t    true)"),
    Fault("another access than the pending one is not counted", "actions.c", " ||\n\t     *pending != pending_mark(frame, verdict.rule, access)))", "))"),
    Fault("another address than the pending one is not counted", "actions.c", "(uint64_t)access->address << 32 | (number", "((uint64_t)1 << 32) | (number"),
    Fault("another rule than the pending one is not counted", "actions.c", "| (number & UINT32_MAX)", "| (number & 0u)"),
    Fault("nothing is counted any more after a pending access", "actions.c", "\t*pending = POLICYC_NOT_PENDING;\n", ""),
    Fault("a fault of memory leaves the access pending", "guest.c", "\t\tframe->state[POLICYC_STATE_PENDING] = POLICYC_NOT_PENDING;\n", ""),
    Fault("a reset leaves an access pending", "vcpu.c", "\tframe->state[POLICYC_STATE_PENDING] = POLICYC_NOT_PENDING;\n", ""),
    Fault("OUT is not cut to its width", "guest.c", "io->in ? 0 : guest->rax & ones(io->width)", "io->in ? 0 : guest->rax"),
    Fault("OUTS is not cut to its width", "guest.c", "operand->value & ones(operand->width)", "operand->value"),
    Fault("actions before the last are never carried out", "actions.c", "\tif (verdict.reports &&\n", "\tif (false &&\n"),
    Fault("an answer is not cut to its width", "actions.c", "\taccess->value &= ones(access->width);\n\treturn status;", "\treturn status;"),
    Fault("a hook's nonsense is believed", "actions.c", "\tdefault:\n\t\treturn POLICYC_REFUSED;", "\tdefault:\n\t\treturn POLICYC_DONE;"),
    Fault("a hook's fault is replaced by #GP", "actions.c", "\taccess->fault = port.fault;\n", ""),
    # registers
    Fault("RIP advances on a fault", "guest.c", "\tstatus = perform(frame, decide_msr(frame, &access), &access);\n", "\tstatus = perform(frame, decide_msr(frame, &access), &access);\n\tif (status == POLICYC_FAULT)\n\t\tfinish(guest, next_rip);\n"),
    Fault("RIP does not move past RDMSR and WRMSR", "guest.c", "\t\tguest->rdx = access.value >> 32;\n\t}\n\tfinish(guest, next_rip);", "\t\tguest->rdx = access.value >> 32;\n\t}"),
    Fault("RIP moves before IN or OUT is done", "guest.c", "\tstatus = perform(frame, decide_port(frame, found, &access), &access);\n", "\tfinish(guest, io->next_rip);\n\tstatus = perform(frame, decide_port(frame, found, &access), &access);\n"),
    Fault("RIP keeps 64 bits outside 64-bit code", "guest.c", "guest->long_mode ? next_rip : next_rip & UINT32_MAX", "next_rip"),
    Fault("RIP loses its upper half in 64-bit code", "guest.c", "guest->long_mode ? next_rip : next_rip & UINT32_MAX", "next_rip & UINT32_MAX"),
    Fault("a fault is not injected", "guest.c", "\t\tvcpu->hooks->inject(vcpu->context, &access->fault);\n", "\t\t(void)vcpu;\n"),
    Fault("RDMSR keeps the upper half of RAX", "guest.c", "guest->rax = access.value & UINT32_MAX;", "guest->rax = access.value;"),
    Fault("RDMSR leaves RDX alone", "guest.c", "\t\tguest->rdx = access.value >> 32;\n", ""),
    Fault("WRMSR takes the upper half of RAX", "guest.c", "(guest->rax & UINT32_MAX)", "guest->rax"),
    Fault("WRMSR ignores EDX", "guest.c", "guest->rdx << 32 | (guest->rax", "(guest->rax"),
    Fault("IN of a dword keeps the upper half of RAX", "guest.c", "if (access->width == 4)", "if (access->width == 8)"),
    Fault("IN of a byte clears the rest of RAX", "guest.c", "(old & ~ones(access->width)) | access->value", "access->value"),
    Fault("a string goes backwards", "guest.c", "POLICYC_DIRECTION_FLAG) != 0", "POLICYC_DIRECTION_FLAG) == 0"),
    Fault("the direction flag is another bit", "guest.c", "POLICYC_DIRECTION_FLAG (UINT64_C(1) << 10)", "POLICYC_DIRECTION_FLAG (UINT64_C(1) << 11)"),
    Fault("an index moves by one, whatever the width", "guest.c", "operand.offset + io->width", "operand.offset + 1u"),
    Fault("INS moves RSI", "guest.c", "io->in ? &guest->rdi : &guest->rsi", "&guest->rsi"),
    Fault("a 16-bit index clears what is above it", "guest.c", "return io->address_bytes == 2 ? (old & ~ones(2)) | cut : cut;", "(void)old;\n\treturn cut;"),
    Fault("a 32-bit index keeps what is above it", "guest.c", "io->address_bytes == 2 ? (old & ~ones(2))", "io->address_bytes <= 4 ? (old & ~ones(io->address_bytes))"),
    Fault("REP counts with all of RCX", "guest.c", "guest->rcx & ones(io->address_bytes)", "guest->rcx"),
    Fault("REP does not count down", "guest.c", "\t\tif (io->repeat)\n\t\t\tguest->rcx = put_address(io, guest->rcx, &left);\n", ""),
    Fault("work has no bound", "guest.c", "\t\tif (done == limit)\n\t\t\treturn POLICYC_AGAIN;\n", "\t\t(void)limit;\n"),
    Fault("the trap flag does not stop a string", "guest.c", "trap ? 1u : POLICYC_STRING_LIMIT", "trap ? POLICYC_STRING_LIMIT : POLICYC_STRING_LIMIT"),
    Fault("INS reads the port before it asks for the memory", "guest.c", "status = use_memory(frame, operand, POLICYC_MEMORY_PROBE);", "status = POLICYC_DONE;"),
    Fault("INS reads a port twice when memory is pending", "guest.c", "status == POLICYC_PENDING ? POLICYC_REFUSED : status", "status"),
    Fault("a fault of memory is replaced by #GP", "guest.c", "\tstatus = use_memory(frame, operand, POLICYC_MEMORY_READ);\n\taccess->fault = operand->fault;", "\tstatus = use_memory(frame, operand, POLICYC_MEMORY_READ);"),
    # decoding
    Fault("VMX: size 3 is not 4 bytes", "vmx.c", "0x0bu >>", "0x07u >>"),
    Fault("VMX: reserved sizes are taken for a byte", "vmx.c", "\tif (!vmx_width_is_known(qualification))\n\t\treturn false;\n", "\tif (!vmx_width_is_known(qualification))\n\t\tio->width = 1;\n"),
    Fault("VMX: a width is one less", "vmx.c", "(qualification & 7u) + 1u", "(qualification & 7u)"),
    Fault("VMX: the direction bit is another one", "vmx.c", "qualification >> 3 & 1u", "qualification >> 6 & 1u"),
    Fault("VMX: the direction is turned round", "vmx.c", "(qualification >> 3 & 1u) != 0", "(qualification >> 3 & 1u) == 0"),
    Fault("VMX: string and REP are mixed up", "vmx.c", "io->string = (qualification >> 4", "io->string = (qualification >> 5"),
    Fault("VMX: REP is taken for no REP", "vmx.c", "io->repeat = (qualification >> 5", "io->repeat = (qualification >> 7"),
    Fault("VMX: the port is taken from bit 15 on", "vmx.c", "qualification >> 16", "qualification >> 15"),
    Fault("VMX: segments 6 and 7 are believed", "vmx.c", "segment <= 5u", "segment <= 7u"),
    Fault("VMX: INS looks at the segment field", "vmx.c", "io->in ? 0u : information >> 15", "information >> 15"),
    Fault("VMX: reserved address sizes are believed", "vmx.c", "size <= 2u", "size <= 7u"),
    Fault("VMX: a failed entry is handled as an exit", "vmx.c", "(exit->reason & POLICYC_VMX_ENTRY_FAILURE) != 0", "false"),
    Fault("VMX: RDMSR and WRMSR are mixed up", "vmx.c", "#define POLICYC_VMX_REASON_RDMSR 31u\n#define POLICYC_VMX_REASON_WRMSR 32u", "#define POLICYC_VMX_REASON_RDMSR 32u\n#define POLICYC_VMX_REASON_WRMSR 31u"),
    Fault("VMX: instructions of 16 bytes are believed", "vmx.c", "> 14u", "> 15u"),
    Fault("VMX: instructions of no byte are believed", "vmx.c", "exit->instruction_length - 1u > 14u", "exit->instruction_length > 15u"),
    Fault("SVM: two sizes at once are believed", "svm.c", "bits == 1u || bits == 2u || bits == 4u ? bits : 0u", "bits"),
    Fault("SVM: the port is taken from bit 17 on", "svm.c", "info >> 16", "info >> 17"),
    Fault("SVM: the string bit is the one beside it", "svm.c", "info >> 2 & 1u", "info >> 1 & 1u"),
    Fault("SVM: REP is not seen", "svm.c", "io->repeat = (info >> 3 & 1u) != 0;", "io->repeat = false;"),
    Fault("SVM: RDMSR and WRMSR are mixed up", "svm.c", "exit->info1 == 1u)", "exit->info1 == 0u)"),
    Fault("SVM: nRIP is not looked at", "svm.c", "if (next_rip == 0)", "if (true)"),
    Fault("SVM: without nRIP the guest stays", "svm.c", "POLICYC_SVM_MSR_BYTES 2u", "POLICYC_SVM_MSR_BYTES 0u"),
    Fault("SVM: INS looks at the segment field", "svm.c", "io->in ? 0u : info >> 10", "info >> 10"),
    Fault("KVM: IN and OUT are mixed up", "kvm.c", "io->direction == 0;", "io->direction == 1;"),
    Fault("KVM: every element is the first", "kvm.c", "\tconst uint8_t *data = io->data + (size_t)io->done * io->size;", "\tconst uint8_t *data = io->data;"),
    Fault("KVM: an answer lands in the first element", "kvm.c", "\tuint8_t *data = io->data + (size_t)io->done * io->size;", "\tuint8_t *data = io->data;"),
    Fault("KVM: data past the page is believed", "kvm.c", "io->count <= POLICYC_KVM_DATA_BYTES / io->size", "io->count <= POLICYC_KVM_DATA_BYTES"),
    Fault("KVM: a fault is no error", "kvm.c", "msr->error = status != POLICYC_DONE;", "msr->error = status == POLICYC_KILL;"),
    Fault("KVM: #GP is injected a second time", "kvm.c", " && access.fault.vector != 13", ""),
    # registering, resetting
    Fault("registered ranges may touch by one", "registry.c", ">=\n\t\t\t\t registry_key(entry)", ">\n\t\t\t\t registry_key(entry)"),
    Fault("a registered handler gets the byte past its end", "registry.c", "access->width - 1u : 0u", "access->width - 2u : 0u"),
    Fault("MSRs and ports share one space of handlers", "registry.c", "static uint64_t registry_key(const struct policyc_registration *entry)\n{\n\treturn (entry->msr != NULL ? (uint64_t)1 << 32 : 0)", "static uint64_t registry_key(const struct policyc_registration *entry)\n{\n\treturn (uint64_t)0"),
    Fault("a full registry takes one more", "registry.c", "registry->used == registry->capacity", "false"),
    Fault("a port past 0xffff is registered", "registry.c", "entry->last <= 0xffffu", "entry->last <= 0x1ffffu"),
    Fault("a vCPU gets its neighbour's class", "vcpu.c", "rows->last < number", "rows->last <= number"),
    Fault("a reset leaves the last cell out", "vcpu.c", "cell <= reset->to; cell++)\n\t\t\tframe", "cell < reset->to; cell++)\n\t\t\tframe"),
    Fault("a port's reset value begins at the wrong byte", "vcpu.c", "(cell - reset->from) % reset->unit", "cell % reset->unit"),
)  # fmt: skip


def tried(number: int) -> str:
    """The name of the first test that fails with the fault; empty if none does."""
    fault = FAULTS[number]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider"]
    command += ["-k", WANTED, *(str(HERE / name) for name in (SWEPT if fault.file in SWEPT_FILES else TESTS))]
    environment = {**os.environ, VARIABLE: str(number)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as test:
        try:
            said, errors = test.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            # The handler that hangs is a process of the test's own, which would go on without it.
            os.killpg(test.pid, signal.SIGKILL)
            return "(hangs)"
    if test.returncode <= 0:
        return "(crashes)" if test.returncode < 0 else ""
    lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert lines, f"{fault.about}: {said[-2000:]}{errors[-2000:]}"
    return lines[0].split("::")[-1].split(" - ")[0]


def main(numbers: Iterable[int]) -> int:
    """Tries faults, prints one line for each; 1 where one got away."""
    from concurrent.futures import ThreadPoolExecutor

    chosen, escaped = list(numbers), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, caught in zip(chosen, pool.map(tried, chosen), strict=True):
            escaped += not caught
            print(f"{number:3} {FAULTS[number].about}: {caught or 'NOT CAUGHT'}", flush=True)
    print(f"{len(chosen) - escaped} of {len(chosen)} faults caught")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main(map(int, sys.argv[1:]) if len(sys.argv) > 1 else range(len(FAULTS))))
