// SPDX-License-Identifier: Apache-2.0
/*
 * Calls a bundle's exit handler for every access that it is asked about, and
 * prints what it did: lines "FIRST LAST WORD", neighbours with the same word
 * in one, and "." after each question. glue.h names the bundle's objects.
 *
 * A question is a line "PROFILE VCPU KIND WIDTH FIRST LAST", the addresses in
 * hexadecimal. What is written is 0, the privilege level 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "glue.h"

/* What the hardware and the hooks answer to reads. */
#define REAL UINT64_C(0x1122334455667788)
#define HOOK UINT64_C(0x99aabbccddeeff00)

enum doing {
	QUIET,		/* no hook was called */
	HARDWARE,	/* the access itself */
	HOOK_EXIT,
	HOOK_NOTIFY,
	HOOK_KILL,
	FORWARDED,
	INJECTED
};

struct word {
	const char *name;	/* of what it was forwarded to */
	uint64_t value;		/* given to the hardware, or to the guest */
	uint32_t line;		/* of the rule, where a hook is told */
	uint32_t doing;
	uint32_t status;
};

struct question {
	uint32_t profile;
	uint32_t vcpu;
	uint32_t kind;
	uint32_t width;
	uint32_t first;
	uint32_t last;
};

static struct word word;

static void note(enum doing doing, uint32_t line)
{
	word.doing = doing;
	word.line = line;
}

static enum policyc_status on_exit_hook(void *context,
					struct policyc_access *access)
{
	(void)context;
	note(HOOK_EXIT, access->line);
	access->value = HOOK;
	return POLICYC_DONE;
}

static enum policyc_status on_notify(void *context,
				     struct policyc_access *access)
{
	(void)context;
	note(HOOK_NOTIFY, access->line);
	access->value = HOOK;
	return POLICYC_DONE;
}

static void on_kill(void *context, const struct policyc_access *access)
{
	(void)context;
	note(HOOK_KILL, access->line);
}

static void on_log(void *context, const struct policyc_access *access,
		   uint32_t suppressed)
{
	(void)context;
	(void)access;
	(void)suppressed;
}

static void on_trace(void *context, const struct policyc_access *access)
{
	(void)context;
	(void)access;
}

static uint64_t on_seconds(void *context)
{
	(void)context;
	return 1;
}

static enum policyc_status on_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	note(HARDWARE, 0);
	word.value = access->value;
	access->value = REAL;
	return POLICYC_DONE;
}

static enum policyc_status on_port(void *context, struct policyc_port *access)
{
	(void)context;
	note(HARDWARE, 0);
	word.value = access->value;
	access->value = (uint32_t)REAL;
	return POLICYC_DONE;
}

static enum policyc_status on_memory(void *context,
				     struct policyc_operand *operand)
{
	(void)context;
	(void)operand;
	return POLICYC_DONE;
}

static void on_inject(void *context, const struct policyc_fault *fault)
{
	(void)context;
	note(INJECTED, fault->vector);
}

static const struct policyc_hooks hooks = {
	on_exit_hook, on_notify, on_kill, on_log, on_trace,
	on_seconds, on_msr, on_port, on_memory, on_inject,
};

#define FORWARD(type, handler)						\
	enum policyc_status handler(void *context, struct type *access)	\
	{								\
		(void)context;						\
		(void)access;						\
		note(FORWARDED, 0);					\
		word.name = #handler;					\
		return POLICYC_DONE;					\
	}

HANDLERS

static uint32_t column_write(uint32_t kind)
{
	return kind & 1u;
}

#ifdef TARGET_VMX
static enum policyc_status act(struct TYPE(vcpu) *vcpu,
			       const struct TYPE(profile) *profile,
			       const struct question *question,
			       uint32_t address, struct policyc_guest *guest)
{
	struct policyc_vmx_exit exit = {0, 30, 2, 0};

	if (question->kind <= POLICYC_WRMSR)
		exit.reason = question->kind == POLICYC_RDMSR ? 31 : 32;
	else
		exit.qualification = (question->width - 1u) |
				     (uint64_t)!column_write(question->kind)
				     << 3 | (uint64_t)address << 16;
	return FUNCTION(vmx_exit)(vcpu, profile, guest, &exit);
}
#elif defined(TARGET_SVM)
static enum policyc_status act(struct TYPE(vcpu) *vcpu,
			       const struct TYPE(profile) *profile,
			       const struct question *question,
			       uint32_t address, struct policyc_guest *guest)
{
	struct policyc_svm_exit exit = {0x7b, 0, 2, 2};

	if (question->kind <= POLICYC_WRMSR) {
		exit.exit_code = 0x7c;
		exit.info1 = column_write(question->kind);
	} else {
		exit.info1 = (uint64_t)!column_write(question->kind) |
			     (uint64_t)question->width << 4 |
			     (uint64_t)address << 16;
	}
	return FUNCTION(svm_exit)(vcpu, profile, guest, &exit);
}
#else
static enum policyc_status act(struct TYPE(vcpu) *vcpu,
			       const struct TYPE(profile) *profile,
			       const struct question *question,
			       uint32_t address, struct policyc_guest *guest)
{
	uint8_t data[8] = {0};
	enum policyc_status status;

	if (question->kind <= POLICYC_WRMSR) {
		struct policyc_kvm_msr msr = {0};

		msr.index = address;
		msr.write = question->kind == POLICYC_WRMSR;
		status = FUNCTION(kvm_msr)(vcpu, profile, &msr);
		guest->rax = msr.data & UINT32_MAX;
		guest->rdx = msr.data >> 32;
		if (status == POLICYC_FAULT || msr.error != 0) {
			if (word.doing != INJECTED)
				note(INJECTED, 13);
			status = POLICYC_FAULT;
		}
		return status;
	}
	{
		struct policyc_kvm_io io = {0};

		io.data = data;
		io.count = 1;
		io.port = (uint16_t)address;
		io.direction = question->kind == POLICYC_OUT;
		io.size = (uint8_t)question->width;
		status = FUNCTION(kvm_io)(vcpu, profile, &io);
	}
	for (uint32_t i = 0; i < 8; i++)
		guest->rax |= (uint64_t)data[i] << 8 * i;
	return status;
}
#endif

static void ask(const struct TYPE(vcpu) *fresh,
		const struct question *question, uint32_t address)
{
	static struct TYPE(vcpu) vcpu;
	struct policyc_guest guest;
	uint64_t ones = UINT64_MAX;

	vcpu = *fresh;
	memset(&guest, 0, sizeof(guest));
	memset(&word, 0, sizeof(word));
	guest.long_mode = true;
	if (question->kind <= POLICYC_WRMSR)
		guest.rcx = address;
	else
		ones >>= 64 - 8 * question->width;
	word.status = act(&vcpu, PROFILES[question->profile], question,
			  address, &guest);
	if (!column_write(question->kind))
		word.value = (guest.rdx << 32 | guest.rax) & ones;
}

static bool same(const struct word *a, const struct word *b)
{
	return a->name == b->name && a->value == b->value &&
	       a->line == b->line && a->doing == b->doing &&
	       a->status == b->status;
}

static void tell(uint32_t first, uint32_t last, const struct word *what)
{
	static const char *const names[] = {
		"quiet", "real", "exit", "notify", "kill", "forward", "inject"
	};

	printf("%" PRIx32 " %" PRIx32 " %s", first, last, names[what->doing]);
	if (what->doing == QUIET || what->doing == HARDWARE)
		printf("=%" PRIx64, what->value);
	if (what->doing == FORWARDED)
		printf("=%s", what->name);
	if (what->doing != QUIET && what->doing != HARDWARE &&
	    what->doing != FORWARDED)
		printf(":%" PRIu32, what->line);
	printf(",%" PRIu32 "\n", what->status);
}

static void answer(const struct question *question)
{
	static struct TYPE(vcpu) fresh;
	struct word before;
	uint32_t from = question->first;

	if (!FUNCTION(init)(&fresh, question->vcpu, &hooks, NULL))
		return;
	FUNCTION(reset)(&fresh, PROFILES[question->profile]);
	ask(&fresh, question, from);
	before = word;
	for (uint32_t at = from; at != question->last; at++) {
		ask(&fresh, question, at + 1);
		if (!same(&before, &word)) {
			tell(from, at, &before);
			from = at + 1;
		}
		before = word;
	}
	tell(from, question->last, &before);
}

int main(void)
{
	struct question question;

	while (scanf("%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32
		     " %" SCNx32 " %" SCNx32, &question.profile,
		     &question.vcpu, &question.kind, &question.width,
		     &question.first, &question.last) == 6) {
		answer(&question);
		puts(".");
		fflush(stdout);
	}
	return 0;
}
