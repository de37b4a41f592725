// SPDX-License-Identifier: Apache-2.0
/* SVM. Offsets: AMD APM vol. 2, appendix B; codes: appendix C. */
#include "../apply/policyc_apply.h"
#include "cpu.h"
#include "hv.h"

#define EFER_SVME UINT64_C(0x1000)
#define VM_CR 0xc0010114u
#define VM_CR_SVMDIS 0x10u
#define VM_HSAVE_PA 0xc0010117u
#define LEAF_FEATURES 0x80000001u
#define CPUID_SVM (1u << 2)

#define EXCEPTIONS 0x008u
#define INTERCEPT_MISC1 0x00cu
#define HLT (1u << 24)
#define SHUTDOWN (1u << 31)
#define INTERCEPT_MISC2 0x010u
#define VMRUN (1u << 0)
#define VMMCALL (1u << 1)
#define ASID 0x058u
#define INTERCEPT_CR 0x000u
#define WRITES_CR3_CR4 (1u << (16 + 3) | 1u << (16 + 4))
#define EXIT_CODE 0x070u
#define EXIT_INFO1 0x078u
#define EXIT_INFO2 0x080u
#define NESTED_CONTROL 0x090u
#define NESTED_PAGING 1u
#define INJECTION 0x0a8u
#define NESTED_CR3 0x0b0u

#define SAVED_ES 0x400u
#define SAVED_CS 0x410u
#define SAVED_GDTR 0x460u
#define SAVED_IDTR 0x480u
#define SAVED_TR 0x490u
#define SAVED_CPL 0x4cbu
#define SAVED_EFER 0x4d0u
#define SAVED_CR4 0x548u
#define SAVED_CR3 0x550u
#define SAVED_CR0 0x558u
#define SAVED_DR7 0x560u
#define SAVED_DR6 0x568u
#define SAVED_RFLAGS 0x570u
#define SAVED_RIP 0x578u
#define SAVED_RSP 0x5d8u
#define SAVED_RAX 0x5f8u
#define SAVED_CR2 0x640u
#define SAVED_PAT 0x668u

#define CODE_EXCEPTION 0x40u
#define CODE_IOIO 0x7bu
#define CODE_MSR 0x7cu
#define CODE_VMMCALL 0x81u
#define CODE_HLT 0x78u
#define CODE_CPUID 0x72u
#define CODE_SHUTDOWN 0x7fu
#define CODE_NESTED_FAULT 0x400u
#define CODE_INVALID 0xffffffffu

#define ALL_EXCEPTIONS 0xffffffffu
#define CR0_ET 0x10u
/* Present, writable, for user mode as well, 4 MiB. */
#define GUEST_PAGE 0x87u
#define GUEST_PAGE_SHIFT 22u
/* The same of 2 MiB, and a table. */
#define NESTED_PAGE 0x87u
#define NESTED_PAGE_BYTES 0x200000u
#define NESTED_TABLE 0x07u

#define VECTOR_PF 14u
#define INJECT_EXCEPTION 0x80000300u
#define INJECT_ERROR_CODE 0x00000800u

/* IOPM bits 65536..65538. */
#define IOPM_PAST 8192u
#define IOPM_PAST_BITS 7u

void svm_enter(struct registers *guest, uint64_t vmcb);
void svm_load(uint64_t vmcb);

static uint32_t vmcb[1024] __attribute__((aligned(4096)));
static uint32_t host_save[1024] __attribute__((aligned(4096)));
static uint32_t guest_pages[1024] __attribute__((aligned(4096)));
static uint64_t nested[3][512] __attribute__((aligned(4096)));

/* What the guest takes its EFER for; with nested paging it is. */
static uint64_t efer;
static bool nests;

static void set(uint32_t offset, uint32_t value)
{
	vmcb[offset / 4] = value;
}

static uint32_t get(uint32_t offset)
{
	return vmcb[offset / 4];
}

static void set_wide(uint32_t offset, uint64_t value)
{
	set(offset, (uint32_t)value);
	set(offset + 4, (uint32_t)(value >> 32));
}

static uint64_t get_wide(uint32_t offset)
{
	return (uint64_t)get(offset + 4) << 32 | get(offset);
}

static void set_segment(uint32_t offset, uint32_t selector,
			uint32_t rights, uint32_t limit, uint64_t base)
{
	set(offset, selector | (rights & 0xffu) << 16 |
			    (rights & 0xf000u) << 12);
	set(offset + 4, limit);
	set_wide(offset + 8, base);
}

static const char *turn_on(void)
{
	uint64_t vm_cr;

	if (cpuid(0x80000000u).eax < LEAF_FEATURES ||
	    (cpuid(LEAF_FEATURES).ecx & CPUID_SVM) == 0)
		return "the processor has no SVM";
	/* A processor without VM_CR cannot lock SVM off. */
	if (safe_rdmsr(VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS) != 0)
		return "SVM is locked off";
	wrmsr(EFER, rdmsr(EFER) | EFER_SVME);
	wrmsr(VM_HSAVE_PA, (uintptr_t)host_save);
	__asm__ volatile("clgi");
	return NULL;
}

static void set_segments(uint32_t bits)
{
	for (uint32_t i = 0; i < 6; i++) {
		struct segment first = first_segment(i, bits);

		set_segment(SAVED_ES + 16 * i, first.selector, first.rights,
			    first.limit, 0);
	}
}

/*
 * Memory of its own for a guest that starts without paging. The pages are the
 * host's, and on even in real mode, as SVM allows: QEMU 7.2 reads no nested
 * tables for a guest without paging. CR3 and CR4 are out of the guest's hands.
 */
static void set_pages(const struct guest_start *start)
{
	for (uint32_t i = 0; i < start->memory >> GUEST_PAGE_SHIFT; i++)
		guest_pages[i] = (GUEST_MEMORY + (i << GUEST_PAGE_SHIFT)) |
				 GUEST_PAGE;
	set(INTERCEPT_CR, WRITES_CR3_CR4);
	set_wide(SAVED_EFER, EFER_SVME);
	set_wide(SAVED_CR0, CR0_PG | CR0_ET |
			    (start->bits == 16 ? 0 : CR0_PE));
	set_wide(SAVED_CR3, (uintptr_t)guest_pages);
	set_wide(SAVED_CR4, CR4_PSE);
}

/* The same for one that starts with paging: nested, its tables its own. */
static void set_nested(const struct guest_start *start)
{
	nests = true;
	nested[0][0] = (uintptr_t)nested[1] | NESTED_TABLE;
	nested[1][0] = (uintptr_t)nested[2] | NESTED_TABLE;
	for (uint32_t i = 0; i < start->memory / NESTED_PAGE_BYTES; i++)
		nested[2][i] = (GUEST_MEMORY + i * NESTED_PAGE_BYTES) |
			       NESTED_PAGE;
	set(NESTED_CONTROL, NESTED_PAGING);
	set_wide(NESTED_CR3, (uintptr_t)nested[0]);
	efer = EFER_LME | EFER_LMA;
	set_wide(SAVED_EFER, efer | EFER_SVME);
	set_wide(SAVED_CR0, CR0_PG | CR0_ET | CR0_PE);
	set_wide(SAVED_CR3, start->pml4);
	set_wide(SAVED_CR4, CR4_PAE);
}

static void set_own_memory(const struct guest_start *start)
{
	set(EXCEPTIONS, 0);
	set(INTERCEPT_MISC1, SHUTDOWN | HLT);
	set_segment(SAVED_GDTR, 0, 0, start->gdt_limit, start->gdt);
	set_segment(SAVED_TR, 0, RIGHTS_TSS, 0xffff, 0);
	if (start->bits == 64)
		set_nested(start);
	else
		set_pages(start);
}

static void set_up(const struct guest_start *start)
{
	struct table_register gdtr;
	struct table_register idtr;

	machine_tables(&gdtr, &idtr);
	set(EXCEPTIONS, ALL_EXCEPTIONS);
	set(INTERCEPT_MISC1, SHUTDOWN);
	set(INTERCEPT_MISC2, VMRUN | VMMCALL);
	set(ASID, 1);
	set_segments(start->bits);
	set_segment(SAVED_GDTR, 0, 0, gdtr.limit, gdtr.base);
	set_segment(SAVED_IDTR, 0, 0, start->idt_limit, start->idt);
	set_segment(SAVED_TR, SELECTOR_TSS, RIGHTS_TSS, 0x67, machine_tss());
	set_wide(SAVED_EFER, rdmsr(EFER));
	set_wide(SAVED_CR0, read_cr0());
	set_wide(SAVED_CR3, read_cr3());
	set_wide(SAVED_CR4, read_cr4());
	set(SAVED_DR6, 0xffff0ff0);
	set(SAVED_DR7, 0x400);
	set_wide(SAVED_PAT, UINT64_C(0x0007040600070406));
	if (start->bits != 0)
		set_own_memory(start);
	svm_load((uintptr_t)vmcb);
}

static uint64_t port_physical(void *context, const void *page)
{
	(void)context;
	return (uintptr_t)page;		/* all memory is mapped one to one */
}

static enum policyc_applied apply(const struct images *images)
{
	const struct policyc_svm_ports ports = {
		port_physical,
		physical_bits(),
	};
	const struct policyc_svm_images maps = {
		images->msr,
		images->io,
	};

	return policyc_svm_apply(&ports, NULL, vmcb, &maps);
}

/*
 * For probes, that are to show what a map does which policyc_svm_apply() will
 * not have: the bits that it insists on are there while it looks.
 */
static enum policyc_applied apply_on_trial(const struct images *images)
{
	uint8_t *past = (uint8_t *)(uintptr_t)images->io + IOPM_PAST;
	uint8_t before = *past;
	enum policyc_applied status;

	*past |= IOPM_PAST_BITS;
	status = apply(images);
	*past = before;
	return status;
}

static const char *start_svm(const struct payload *payload,
			     const struct guest_start *start,
			     const struct images *images)
{
	const char *why = turn_on();
	enum policyc_applied status;

	if (why != NULL)
		return why;
	set_up(start);
	status = payload->trial != 0 ? apply_on_trial(images) : apply(images);
	return status != POLICYC_APPLIED ? policyc_apply_reason(status) : NULL;
}

static const char *swap_svm(const struct images *images)
{
	enum policyc_applied status = apply(images);

	return status != POLICYC_APPLIED ? policyc_apply_reason(status) : NULL;
}

static enum exit_kind kind_of(uint32_t code)
{
	if (code == CODE_IOIO || code == CODE_MSR)
		return EXIT_ACCESS;
	if (code == CODE_VMMCALL)
		return EXIT_CALL;
	if (code == CODE_HLT)
		return EXIT_HALT;
	if (code == CODE_CPUID)
		return EXIT_CPUID;
	if (code == CODE_SHUTDOWN)
		return EXIT_SHUTDOWN;
	if (code == CODE_NESTED_FAULT)
		return EXIT_MEMORY;
	if (code >= CODE_EXCEPTION && code < CODE_EXCEPTION + 32u)
		return EXIT_FAULT;
	return EXIT_OTHER;
}

static bool enter_svm(struct registers *guest, struct vm_exit *exit)
{
	set_wide(SAVED_RIP, guest->rip);
	set_wide(SAVED_RSP, guest->rsp);
	set_wide(SAVED_RFLAGS, guest->rflags);
	set_wide(SAVED_RAX, guest->rax);
	svm_enter(guest, (uintptr_t)vmcb);
	set(INJECTION, 0);
	exit->reason = get(EXIT_CODE);
	if (get(EXIT_CODE + 4) == CODE_INVALID)
		return false;
	exit->kind = kind_of(exit->reason);
	if (exit->kind == EXIT_FAULT)
		exit->reason -= CODE_EXCEPTION;
	exit->info1 = get_wide(EXIT_INFO1);
	exit->info2 = get_wide(EXIT_INFO2);
	exit->length = 0;
	exit->instruction = 0;
	guest->rip = get_wide(SAVED_RIP);
	guest->rsp = get_wide(SAVED_RSP);
	guest->rflags = get_wide(SAVED_RFLAGS);
	guest->rax = get_wide(SAVED_RAX);
	return true;
}

static void inject_svm(const struct exception *exception)
{
	/* In real mode there are no error codes. */
	bool pushed = exception->has_error_code &&
		      (get(SAVED_CR0) & CR0_PE) != 0;

	if (exception->vector == VECTOR_PF) {
		set_wide(SAVED_CR2, exception->address);
		write_cr2(exception->address);	/* Bochs 2.7 keeps it */
	}
	set(INJECTION, INJECT_EXCEPTION | exception->vector |
		       (pushed ? INJECT_ERROR_CODE : 0));
	set(INJECTION + 4, exception->error_code);
}

static uint64_t segment_svm(uint32_t number)
{
	return get_wide(SAVED_ES + 16 * number + 8);
}

/* Without the paging that is the host's. */
static struct mode mode_svm(void)
{
	struct mode mode;

	mode.cr0 = get_wide(SAVED_CR0);
	if (!nests)
		mode.cr0 &= ~CR0_PG;
	mode.cr3 = get_wide(SAVED_CR3);
	mode.cr4 = get_wide(SAVED_CR4);
	mode.efer = get_wide(SAVED_EFER);
	/* Rights but for the lower eight, of which nothing is asked. */
	mode.bits = code_bits(get(SAVED_CS) >> 12, mode.efer);
	mode.cpl = (uint8_t)(get(SAVED_CPL & ~3u) >> 8 * (SAVED_CPL & 3u) & 3u);
	return mode;
}

/* VMRUN wants SVME set, of which the guest must not know. */
static enum msr_answer msr_svm(uint32_t index, bool write, uint64_t *value)
{
	bool pages = nests && (get(SAVED_CR0) & CR0_PG) != 0;
	uint64_t next;

	if (index != EFER)
		return MSR_ELSEWHERE;
	if (nests)
		efer = get_wide(SAVED_EFER) & ~EFER_SVME;
	if (!write) {
		*value = efer;
		return MSR_DONE;
	}
	if (!next_efer(efer, *value, pages, &next))
		return MSR_FAULT;
	efer = next;
	if (nests)
		set_wide(SAVED_EFER, next | EFER_SVME);
	return MSR_DONE;
}

const struct engine svm_engine = {
	start_svm, swap_svm, enter_svm, inject_svm, segment_svm, mode_svm,
	msr_svm,
};
