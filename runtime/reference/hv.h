/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference hypervisor: 64-bit, one processor, one guest, no interrupts.
 * It boots from its own ROM, finds its payload in memory, and says what the
 * processor does under a bundle's images.
 */
#ifndef POLICYC_REFERENCE_HV_H
#define POLICYC_REFERENCE_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u

/*
 * The state that a guest starts in. bits 0: as the host, in the host's own
 * memory. Else real mode (16), protected mode without paging (32) or 64-bit
 * mode (64), in memory of its own that begins at GUEST_MEMORY: HLT then exits,
 * exceptions do not.
 */
struct guest_start {
	uint32_t bits;
	uint32_t memory;	/* bytes */
	uint32_t gdt;
	uint32_t gdt_limit;
	uint32_t idt;
	uint32_t idt_limit;
	uint32_t pml4;		/* of 64 bits: CR3 */
};

#define GUEST_MEMORY 0x1000000u
#define GUEST_MEMORY_MOST 0x1000000u

/* The payload: one page of header, then the pages that it points to. */
#define PAYLOAD 0x200000u
#define PAYLOAD_MAGIC 0x50594c50u	/* "PLYP" */
#define PAYLOAD_VERSION 3u

struct payload {
	uint32_t magic;
	uint32_t version;
	uint32_t svm;		/* 0: VT-x, 1: SVM */
	uint32_t msr;		/* offset of the image for MSRs */
	uint32_t io;		/* offset of the image for ports */
	uint32_t probes;	/* offset of the probes */
	uint32_t probe_count;
	uint32_t controls;	/* VT-x: written to 0x4002 unless 0 */
	uint32_t trial;		/* SVM: run even what apply refuses */
	uint32_t entry;		/* of a guest: EIP */
	uint32_t stack;		/* ESP */
	uint32_t nonce;		/* begins each line that no guest wrote */
	struct guest_start start;
	uint32_t profiles;	/* offset of struct profile_images */
	uint32_t profile_count;	/* the first is in force at the start */
	uint32_t autos;		/* offset of struct automatic */
	uint32_t auto_count;
	uint32_t pieces;	/* offset of struct piece */
	uint32_t piece_count;
};

/* The images of one profile: offsets in the payload. */
struct profile_images {
	uint32_t msr;
	uint32_t io;
};

/*
 * Another profile after the first access of a kind that touches first..last.
 * Rows of one number stand for one wish, which is granted once.
 */
struct automatic {
	uint32_t number;	/* below AUTOS_MOST */
	uint32_t kind;		/* enum policyc_kind */
	uint32_t first;
	uint32_t last;
	uint32_t profile;	/* of the payload's */
	uint32_t has_value;	/* only where this is written */
	uint64_t value;
};

#define AUTOS_MOST 64u

/* A part of the guest, which the ROM holds: where, and where it goes. */
struct piece {
	uint32_t from;
	uint32_t to;		/* in the guest's memory */
	uint32_t bytes;
};

/* What a processor is given of a bundle; each begins a page. */
struct images {
	const uint8_t *msr;
	const uint8_t *io;
};

/* Registers of the guest; enter.S knows where each one is. */
struct registers {
	uint64_t rax;
	uint64_t rcx;
	uint64_t rdx;
	uint64_t rbx;
	uint64_t rsp;
	uint64_t rbp;
	uint64_t rsi;
	uint64_t rdi;
	uint64_t r8[8];		/* R8..R15 */
	uint64_t rip;
	uint64_t rflags;
};

enum exit_kind {
	EXIT_ACCESS,	/* RDMSR, WRMSR or an I/O instruction */
	EXIT_CALL,	/* VMCALL or VMMCALL */
	EXIT_FAULT,	/* an exception of the guest */
	EXIT_HALT,
	EXIT_CPUID,
	EXIT_SHUTDOWN,	/* triple fault */
	EXIT_MEMORY,	/* outside the guest's memory */
	EXIT_OTHER
};

/* Why the guest came back. */
struct vm_exit {
	enum exit_kind kind;
	uint32_t reason;	/* exit reason, exit code, or the vector */
	uint64_t info1;		/* exit qualification, EXITINFO1 */
	uint64_t info2;		/* EXITINFO2 */
	uint32_t length;	/* VT-x: of the instruction */
	uint32_t instruction;	/* VT-x: VM-exit instruction information */
};

struct exception {
	uint64_t address;	/* CR2, of a page fault */
	uint32_t error_code;
	uint8_t vector;
	bool has_error_code;
};

/* What decides how the guest's addresses are read. */
struct mode {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint8_t bits;		/* of code, where no prefix says otherwise */
	uint8_t cpl;
};

enum msr_answer {
	MSR_DONE,
	MSR_FAULT,
	MSR_ELSEWHERE	/* the processor's own is the guest's */
};

/* One way to run a guest: VT-x or SVM. */
struct engine {
	/* NULL, or why the guest cannot be run. */
	const char *(*start)(const struct payload *payload,
			     const struct guest_start *start,
			     const struct images *images);
	/* Other images for the next entry. NULL, or why not. */
	const char *(*swap)(const struct images *images);
	bool (*enter)(struct registers *guest, struct vm_exit *exit);
	/* Queues an exception for the next entry. */
	void (*inject)(const struct exception *exception);
	/* Base of ES, CS, SS, DS, FS or GS (0..5). */
	uint64_t (*segment)(uint32_t number);
	struct mode (*mode)(void);
	/* An MSR of the guest, where VMCS or VMCB hold it. */
	enum msr_answer (*msr)(uint32_t index, bool write, uint64_t *value);
};

extern const struct engine vmx_engine;
extern const struct engine svm_engine;

/* machine.c */
void machine_start(void);
const struct payload *machine_payload(void);
const void *payload_at(const struct payload *payload, uint32_t offset);
bool safe_rdmsr(uint32_t index, uint64_t *value);
bool safe_wrmsr(uint32_t index, uint64_t value);
uint8_t physical_bits(void);
void say(const char *text);
void say_hex(uint64_t value);
void say_char(char letter);
void stop(void) __attribute__((noreturn));
void stop_because(const char *text) __attribute__((noreturn));

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

void machine_tables(struct table_register *gdt, struct table_register *idt);
uint64_t machine_tss(void);

#define SELECTOR_CODE 0x08u
#define SELECTOR_DATA 0x10u
#define SELECTOR_TSS 0x18u

/* EFER, which both engines keep for the guest. */
#define EFER 0xc0000080u
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
/* SCE, LME, LMA and NXE: what a guest may set. */
#define EFER_GUEST UINT64_C(0xd01)

#define CR0_PE UINT64_C(0x00000001)
#define CR0_PG UINT64_C(0x80000000)
#define CR4_PSE UINT64_C(0x10)
#define CR4_PAE UINT64_C(0x20)

/*
 * paging.c: a byte of the guest, by its linear address; NULL: a fault, which
 * is then told.
 */
uint8_t *guest_byte(const struct mode *mode, uint64_t linear, bool write,
		    uint32_t memory, struct exception *fault);

/* world.c: ports and MSRs as the guest finds them behind the policy. */
/* Sets the bits of the ports that the hypervisor keeps to itself. */
void world_claim_ports(uint8_t *io);
bool world_owns_msr(uint32_t index, bool write, bool svm);
uint32_t world_in(uint16_t port, uint8_t width);
void world_out(uint16_t port, uint8_t width, uint32_t value);
void world_start(const struct engine *engine);
bool world_rdmsr(uint32_t index, uint64_t *value);
bool world_wrmsr(uint32_t index, uint64_t value);

/* rules.c: whose images are in force, and when they change. */
struct images rules_start(const struct payload *payload);
struct images rules_change(uint32_t profile);
bool rules_trap_port(uint32_t port, uint32_t width);
bool rules_trap_msr(uint32_t index, bool write);
/* The profile that an access asks for; NO_PROFILE: it asks for none. */
uint32_t rules_wanted(uint32_t kind, uint32_t address, uint32_t width,
		      uint64_t value);

#define NO_PROFILE UINT32_MAX

/* A new EFER in the place of an old one; false: the processor would fault. */
static inline bool next_efer(uint64_t old, uint64_t value, bool paging,
			     uint64_t *next)
{
	if ((value & ~EFER_GUEST) != 0)
		return false;
	if (paging && ((old ^ value) & EFER_LME) != 0)
		return false;
	*next = (value & ~EFER_LMA) | (old & EFER_LMA);
	return true;
}

/* Freestanding C may be compiled into calls of these. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

/*
 * Segment registers: access rights as VT-x has them, bits 7:0 and 15:12 of a
 * descriptor's (SDM vol. 3C, "Guest Register State"). SVM's attributes (APM
 * vol. 2, 15.5.1) are the same without the four reserved bits between.
 */
#define RIGHTS_DATA 0x93u
#define RIGHTS_CODE 0x9bu
#define RIGHTS_TSS 0x8bu
#define RIGHTS_LONG (1u << 13)
#define RIGHTS_WIDE (1u << 14)
#define RIGHTS_PAGES (1u << 15)	/* the limit counts them */

struct segment {
	uint32_t selector;
	uint32_t rights;
	uint32_t limit;
};

/* ES, CS, SS, DS, FS, GS (0..5) at first. bits: of the guest; 0 as the host. */
static inline struct segment first_segment(uint32_t number, uint32_t bits)
{
	bool code = number == 1;
	uint32_t selector = code ? SELECTOR_CODE : SELECTOR_DATA;
	uint32_t rights = code ? RIGHTS_CODE : RIGHTS_DATA;

	if (bits == 16)
		return (struct segment){0, rights, 0xffff};
	rights |= RIGHTS_PAGES;
	rights |= code && bits != 32 ? RIGHTS_LONG : RIGHTS_WIDE;
	return (struct segment){selector, rights, 0xffffffff};
}

/* Of code where no prefix says otherwise. rights: of CS. */
static inline uint8_t code_bits(uint32_t rights, uint64_t efer)
{
	if ((efer & EFER_LMA) != 0 && (rights & RIGHTS_LONG) != 0)
		return 64;
	return (rights & RIGHTS_WIDE) != 0 ? 32 : 16;
}

#endif
