// SPDX-License-Identifier: Apache-2.0
/* VT-x. Field numbers: Intel SDM vol. 3D, appendix B. */
#include "../apply/policyc_apply.h"
#include "cpu.h"
#include "hv.h"

#define IA32_FEATURE_CONTROL 0x3au
#define FEATURE_LOCKED 1u
#define FEATURE_VMXON 4u

#define IA32_VMX_BASIC 0x480u
#define IA32_VMX_PINBASED_CTLS 0x481u
#define IA32_VMX_EXIT_CTLS 0x483u
#define IA32_VMX_ENTRY_CTLS 0x484u
#define IA32_VMX_CR0_FIXED0 0x486u
#define IA32_VMX_CR0_FIXED1 0x487u
#define IA32_VMX_CR4_FIXED0 0x488u
#define IA32_VMX_CR4_FIXED1 0x489u

#define CR4_VMXE (1u << 13)
#define CPUID_VMX (1u << 5)

#define PIN_CONTROLS 0x4000u
#define PRIMARY_CONTROLS 0x4002u
#define EXCEPTION_BITMAP 0x4004u
#define EXIT_CONTROLS 0x400cu
#define ENTRY_CONTROLS 0x4012u
#define ENTRY_INTERRUPTION 0x4016u
#define ENTRY_ERROR_CODE 0x4018u
#define INSTRUCTION_ERROR 0x4400u
#define EXIT_REASON 0x4402u
#define EXIT_INTERRUPTION 0x4404u
#define EXIT_LENGTH 0x440cu
#define EXIT_INSTRUCTION 0x440eu
#define EXIT_QUALIFICATION 0x6400u
#define GUEST_CR3 0x6802u
#define GUEST_RSP 0x681cu
#define GUEST_RIP 0x681eu
#define GUEST_RFLAGS 0x6820u

#define CR0_NE_ET 0x30u
#define CR4_MASK 0x6002u
#define GUEST_CR0 0x6800u
#define GUEST_CR4 0x6804u
#define GUEST_CS_RIGHTS 0x4816u
#define GUEST_SS_RIGHTS 0x4818u
#define SEGMENT_BASE 0x6806u

#define HLT_EXITING (1u << 7)
#define ACTIVATE_SECONDARY (1u << 31)
#define SECONDARY_CONTROLS 0x401eu
#define HOST_IS_LONG (1u << 9)		/* of the exit controls */
#define SAVE_EFER (1u << 20)
#define LOAD_EFER_AT_EXIT (1u << 21)
#define GUEST_IS_LONG (1u << 9)		/* of the entry controls */
#define LOAD_EFER_AT_ENTRY (1u << 15)
#define GUEST_EFER 0x2806u
#define HOST_EFER 0x2c02u
#define ENABLE_EPT (1u << 1)
#define UNRESTRICTED_GUEST (1u << 7)
#define EPT_POINTER 0x201au
/* Write-back, a walk of four levels. */
#define EPT_FORM 0x1eu
/* Readable, writable, executable; of a page: write-back, 2 MiB. */
#define EPT_TABLE 0x07u
#define EPT_PAGE 0xb7u
#define EPT_PAGE_BYTES 0x200000u

#define IA32_VMX_PROCBASED_CTLS2 0x48bu

#define ALL_EXCEPTIONS 0xffffffffu

#define REASON_EXCEPTION 0u
#define REASON_TRIPLE_FAULT 2u
#define REASON_CPUID 10u
#define REASON_HLT 12u
#define REASON_VMCALL 18u
#define REASON_IO 30u
#define REASON_RDMSR 31u
#define REASON_WRMSR 32u
#define REASON_EPT_VIOLATION 48u

#define VECTOR_PF 14u
#define INJECT_EXCEPTION 0x80000300u
#define INJECT_ERROR_CODE 0x00000800u

struct field {
	uint32_t number;
	uint64_t value;
};

/* MSRs whose values for the guest are fields. */
struct held {
	uint32_t msr;
	uint32_t field;
};

static const struct held held[] = {
	{0x174, 0x482a}, {0x175, 0x6824}, {0x176, 0x6826},	/* SYSENTER */
	{0x1d9, 0x2802},					/* DEBUGCTL */
	{0xc0000100, 0x680e}, {0xc0000101, 0x6810},	/* bases of FS, GS */
};

bool vmx_enter(struct registers *guest, bool launched);
extern const uint8_t vmx_exit_point[];

static uint32_t vmxon_region[1024] __attribute__((aligned(4096)));
static uint32_t vmcs_region[1024] __attribute__((aligned(4096)));
static uint64_t ept[3][512] __attribute__((aligned(4096)));
static bool launched;

static bool write_field(uint64_t field, uint64_t value)
{
	uint8_t failed;

	__asm__ volatile("vmwrite %1, %2\n\tsetbe %0"
			 : "=q"(failed) : "r"(value), "r"(field) : "cc");
	return failed == 0;
}

static bool read_field(uint64_t field, uint64_t *value)
{
	uint8_t failed;

	__asm__ volatile("vmread %2, %1\n\tsetbe %0"
			 : "=q"(failed), "=r"(*value) : "r"(field) : "cc");
	return failed == 0;
}

static void set(uint32_t field, uint64_t value)
{
	if (!write_field(field, value))
		stop_because("a VMCS field cannot be written");
}

static uint64_t get(uint32_t field)
{
	uint64_t value;

	if (!read_field(field, &value))
		stop_because("a VMCS field cannot be read");
	return value;
}

/* What policyc_vmx_apply() asks of a hypervisor. */

static bool port_vmread(void *context, uint32_t field, uint64_t *value)
{
	(void)context;
	return read_field(field, value);
}

static bool port_vmwrite(void *context, uint32_t field, uint64_t value)
{
	(void)context;
	return write_field(field, value);
}

static uint64_t port_rdmsr(void *context, uint32_t index)
{
	uint64_t value;

	(void)context;
	return safe_rdmsr(index, &value) ? value : 0;
}

static uint64_t port_physical(void *context, const void *page)
{
	(void)context;
	return (uintptr_t)page;		/* all memory is mapped one to one */
}

static struct policyc_vmx_ports ports(void)
{
	const struct policyc_vmx_ports made = {
		port_vmread,
		port_vmwrite,
		port_rdmsr,
		port_physical,
		physical_bits(),
	};

	return made;
}

static struct policyc_vmx_images pages(const struct images *images)
{
	const struct policyc_vmx_images made = {
		images->msr,
		images->io,
		images->io + POLICYC_PAGE,
	};

	return made;
}

static const char *apply(const struct payload *payload,
			 const struct images *images)
{
	const struct policyc_vmx_ports asked = ports();
	const struct policyc_vmx_images three = pages(images);
	enum policyc_applied status;

	status = policyc_vmx_apply(&asked, NULL, &three);
	if (status != POLICYC_APPLIED)
		return policyc_apply_reason(status);
	if (payload->controls != 0)
		set(PRIMARY_CONTROLS, payload->controls);
	return NULL;
}

static const char *swap_vmx(const struct images *images)
{
	const struct policyc_vmx_ports asked = ports();
	const struct policyc_vmx_images three = pages(images);
	enum policyc_applied status;

	status = policyc_vmx_swap(&asked, NULL, &three);
	return status != POLICYC_APPLIED ? policyc_apply_reason(status) : NULL;
}

/* What a capability MSR demands, and nothing else. */
static uint32_t least(uint32_t msr)
{
	return (uint32_t)rdmsr(msr);
}

static const char *turn_on(void)
{
	uint64_t feature;
	uint32_t revision;
	uint8_t failed;
	uint64_t address = (uintptr_t)vmxon_region;

	if ((cpuid(1).ecx & CPUID_VMX) == 0)
		return "the processor has no VT-x";
	feature = rdmsr(IA32_FEATURE_CONTROL);
	if ((feature & FEATURE_LOCKED) == 0)
		wrmsr(IA32_FEATURE_CONTROL,
		      feature | FEATURE_LOCKED | FEATURE_VMXON);
	else if ((feature & FEATURE_VMXON) == 0)
		return "VT-x is locked off";
	write_cr0((read_cr0() | rdmsr(IA32_VMX_CR0_FIXED0)) &
		  rdmsr(IA32_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | CR4_VMXE | rdmsr(IA32_VMX_CR4_FIXED0)) &
		  rdmsr(IA32_VMX_CR4_FIXED1));
	revision = (uint32_t)rdmsr(IA32_VMX_BASIC) & 0x7fffffffu;
	vmxon_region[0] = revision;
	vmcs_region[0] = revision;
	__asm__ volatile("vmxon %1\n\tsetbe %0"
			 : "=q"(failed) : "m"(address) : "cc", "memory");
	if (failed != 0)
		return "VMXON fails";
	address = (uintptr_t)vmcs_region;
	__asm__ volatile("vmclear %1\n\tsetbe %0"
			 : "=q"(failed) : "m"(address) : "cc", "memory");
	if (failed != 0)
		return "VMCLEAR fails";
	__asm__ volatile("vmptrld %1\n\tsetbe %0"
			 : "=q"(failed) : "m"(address) : "cc", "memory");
	return failed != 0 ? "VMPTRLD fails" : NULL;
}

/* Fields that are the same for every guest. */
static const struct field constants[] = {
	{PRIMARY_CONTROLS, 0},
	{0x4006, 0}, {0x4008, 0},	/* page-fault error code */
	{0x400a, 0},			/* CR3 targets */
	{0x400e, 0}, {0x4010, 0}, {0x4014, 0},	/* MSR lists */
	{ENTRY_INTERRUPTION, 0},
	{0x6000, 0}, {0x6002, 0}, {0x6004, 0}, {0x6006, 0},	/* CR masks */
	{0x2800, UINT64_MAX},		/* VMCS link */
	{0x2802, 0},			/* debug control */
	{0x681a, 0x400},		/* DR7 */
	{0x6822, 0}, {0x4824, 0}, {0x4826, 0}, {0x482a, 0},
	{0x6824, 0}, {0x6826, 0},	/* pending, activity, SYSENTER */
	{0x080c, 0}, {0x480c, 0}, {0x4820, 0x10000}, {0x6812, 0},  /* LDTR */
	{0x080e, SELECTOR_TSS}, {0x480e, 0x67}, {0x4822, RIGHTS_TSS},
	{0x0c0c, SELECTOR_TSS},
	{0x6c06, 0}, {0x6c08, 0}, {0x4c00, 0}, {0x6c10, 0}, {0x6c12, 0},
};

static void set_segments(uint32_t bits)
{
	for (uint32_t i = 0; i < 6; i++) {
		struct segment first = first_segment(i, bits);

		set(0x0c00 + 2 * i, first_segment(i, 0).selector);
		set(0x0800 + 2 * i, first.selector);
		set(0x4800 + 2 * i, first.limit);
		set(0x4814 + 2 * i, first.rights);
		set(SEGMENT_BASE + 2 * i, 0);
	}
}

static void set_tables(const struct guest_start *start)
{
	struct table_register gdtr;
	struct table_register idtr;
	bool own = start->bits != 0;

	machine_tables(&gdtr, &idtr);
	set(0x6814, own ? 0 : machine_tss());
	set(0x6c0a, machine_tss());
	set(0x4810, own ? start->gdt_limit : gdtr.limit);
	set(0x6816, own ? start->gdt : gdtr.base);
	set(0x6c0c, gdtr.base);
	set(0x4812, start->idt_limit);
	set(0x6818, start->idt);
	set(0x6c0e, idtr.base);
}

/* Guest-physical memory: so many bytes from GUEST_MEMORY on. */
static void map_guest(uint32_t memory)
{
	ept[0][0] = (uintptr_t)ept[1] | EPT_TABLE;
	ept[1][0] = (uintptr_t)ept[2] | EPT_TABLE;
	for (uint32_t i = 0; i < memory / EPT_PAGE_BYTES; i++)
		ept[2][i] = (GUEST_MEMORY + i * EPT_PAGE_BYTES) | EPT_PAGE;
}

/* Adds controls, if the capability MSR has them. */
static bool add(uint32_t field, uint32_t msr, uint32_t wanted)
{
	uint64_t able;

	if (!safe_rdmsr(msr, &able) ||
	    ((uint32_t)(able >> 32) & wanted) != wanted)
		return false;
	set(field, get(field) | wanted | (uint32_t)able);
	return true;
}

static void set_mode(const struct guest_start *start)
{
	bool paged = start->bits == 64;

	set(GUEST_CR0, CR0_NE_ET | (start->bits == 16 ? 0 : CR0_PE) |
		       (paged ? CR0_PG : 0));
	set(GUEST_CR3, start->pml4);
	set(GUEST_CR4, CR4_VMXE | (paged ? CR4_PAE : 0));
	set(CR4_MASK, CR4_VMXE);	/* the guest reads it as 0 */
	set(GUEST_EFER, paged ? EFER_LME | EFER_LMA : 0);
	set(HOST_EFER, rdmsr(EFER));
	set(EXCEPTION_BITMAP, 0);
}

/*
 * A guest in memory of its own: EPT, and unrestricted, as it need not page.
 * Its EFER is its own as well.
 */
static const char *set_own_memory(const struct guest_start *start)
{
	set(SECONDARY_CONTROLS, 0);
	if (!add(SECONDARY_CONTROLS, IA32_VMX_PROCBASED_CTLS2,
		 ENABLE_EPT | UNRESTRICTED_GUEST) ||
	    !add(EXIT_CONTROLS, IA32_VMX_EXIT_CTLS,
		 SAVE_EFER | LOAD_EFER_AT_EXIT) ||
	    !add(ENTRY_CONTROLS, IA32_VMX_ENTRY_CTLS, LOAD_EFER_AT_ENTRY))
		return "the processor runs no guest without paging";
	map_guest(start->memory);
	set(PRIMARY_CONTROLS, HLT_EXITING | ACTIVATE_SECONDARY);
	set(EPT_POINTER, (uintptr_t)ept[0] | EPT_FORM);
	set_mode(start);
	return NULL;
}

static const char *set_up(const struct guest_start *start)
{
	bool is_long = start->bits == 0 || start->bits == 64;

	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
		set(constants[i].number, constants[i].value);
	set(PIN_CONTROLS, least(IA32_VMX_PINBASED_CTLS));
	set(EXIT_CONTROLS, least(IA32_VMX_EXIT_CTLS) | HOST_IS_LONG);
	set(ENTRY_CONTROLS, least(IA32_VMX_ENTRY_CTLS) |
			    (is_long ? GUEST_IS_LONG : 0));
	set(EXCEPTION_BITMAP, ALL_EXCEPTIONS);
	set_segments(start->bits);
	set_tables(start);
	set(GUEST_CR0, read_cr0());
	set(GUEST_CR3, read_cr3());
	set(GUEST_CR4, read_cr4());
	set(0x6c00, read_cr0());
	set(0x6c02, read_cr3());
	set(0x6c04, read_cr4());
	set(0x6c16, (uintptr_t)vmx_exit_point);
	return start->bits != 0 ? set_own_memory(start) : NULL;
}

static const char *start_vmx(const struct payload *payload,
			     const struct guest_start *start,
			     const struct images *images)
{
	const char *why = turn_on();

	if (why == NULL)
		why = set_up(start);
	return why != NULL ? why : apply(payload, images);
}

static enum exit_kind kind_of(uint32_t reason)
{
	switch (reason) {
	case REASON_IO:
	case REASON_RDMSR:
	case REASON_WRMSR:
		return EXIT_ACCESS;
	case REASON_VMCALL:
		return EXIT_CALL;
	case REASON_EXCEPTION:
		return EXIT_FAULT;
	case REASON_HLT:
		return EXIT_HALT;
	case REASON_CPUID:
		return EXIT_CPUID;
	case REASON_TRIPLE_FAULT:
		return EXIT_SHUTDOWN;
	case REASON_EPT_VIOLATION:
		return EXIT_MEMORY;
	default:
		return EXIT_OTHER;
	}
}

static bool enter_vmx(struct registers *guest, struct vm_exit *exit)
{
	set(GUEST_RIP, guest->rip);
	set(GUEST_RSP, guest->rsp);
	set(GUEST_RFLAGS, guest->rflags);
	if (!vmx_enter(guest, launched)) {
		exit->reason = (uint32_t)get(INSTRUCTION_ERROR);
		return false;
	}
	launched = true;
	exit->reason = (uint32_t)get(EXIT_REASON);
	exit->kind = kind_of(exit->reason);
	if (exit->kind == EXIT_FAULT)
		exit->reason = (uint32_t)get(EXIT_INTERRUPTION) & 0xffu;
	exit->info1 = get(EXIT_QUALIFICATION);
	exit->info2 = 0;
	exit->length = (uint32_t)get(EXIT_LENGTH);
	exit->instruction = (uint32_t)get(EXIT_INSTRUCTION);
	guest->rip = get(GUEST_RIP);
	guest->rsp = get(GUEST_RSP);
	guest->rflags = get(GUEST_RFLAGS);
	return true;
}

static void inject_vmx(const struct exception *exception)
{
	/* In real mode there are no error codes. */
	bool pushed = exception->has_error_code &&
		      (get(GUEST_CR0) & CR0_PE) != 0;

	/* CR2 is no field: the guest's is the processor's. */
	if (exception->vector == VECTOR_PF)
		write_cr2(exception->address);
	set(ENTRY_INTERRUPTION, INJECT_EXCEPTION | exception->vector |
				(pushed ? INJECT_ERROR_CODE : 0));
	set(ENTRY_ERROR_CODE, exception->error_code);
}

static uint64_t segment_vmx(uint32_t number)
{
	return get(SEGMENT_BASE + 2 * number);
}

static struct mode mode_vmx(void)
{
	struct mode mode;

	mode.cr0 = get(GUEST_CR0);
	mode.cr3 = get(GUEST_CR3);
	mode.cr4 = get(GUEST_CR4);
	mode.efer = get(GUEST_EFER);
	mode.bits = code_bits((uint32_t)get(GUEST_CS_RIGHTS), mode.efer);
	mode.cpl = (uint8_t)(get(GUEST_SS_RIGHTS) >> 5 & 3u);
	return mode;
}

static enum msr_answer efer_vmx(bool write, uint64_t *value)
{
	uint64_t old = get(GUEST_EFER);
	uint64_t next;

	if (!write) {
		*value = old;
		return MSR_DONE;
	}
	if (!next_efer(old, *value, (get(GUEST_CR0) & CR0_PG) != 0, &next))
		return MSR_FAULT;
	set(GUEST_EFER, next);
	return MSR_DONE;
}

static enum msr_answer msr_vmx(uint32_t index, bool write, uint64_t *value)
{
	if (index == EFER)
		return efer_vmx(write, value);
	for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++) {
		if (held[i].msr != index)
			continue;
		if (write)
			set(held[i].field, *value);
		else
			*value = get(held[i].field);
		return MSR_DONE;
	}
	return MSR_ELSEWHERE;
}

const struct engine vmx_engine = {
	start_vmx, swap_vmx, enter_vmx, inject_vmx, segment_vmx, mode_vmx,
	msr_vmx,
};
