/*
 * Drives a generated exit handler through accesses and prints what it did.
 *
 * Reads lines "target profile vcpu kind width form value cpl answer lo hi" and answers with lines "lo hi what", one for
 * each stretch of addresses at which the same was done, and a last line ".". Addresses in "what" are relative ("@").
 * glue.h, made by tests/handler/harness.py, says what the policy's objects are called.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glue.h"

#define REAL UINT64_C(0x1122334455667788)	/* what the hardware answers */
#define HOOK UINT64_C(0x99aabbccddeeff00)	/* what hooks and handlers answer */
#define RIP UINT64_C(0x7ffffff0)
#define SENTINEL UINT64_C(0xa5a5a5a55a5a5a5a)

struct event {
	const char *name;
	uint64_t value;
	uint32_t address;
	uint32_t line;
	uint8_t kind;
	uint8_t width;
	uint8_t cpl;
	uint8_t extra;
};

struct outcome {
	struct event events[32];
	uint32_t event_count;
	uint32_t status;
	uint64_t counters[COUNTERS + 1];
	struct policyc_guest guest;
	uint8_t data[16];
	uint64_t msr_data;
	uint32_t done;
	uint8_t error;
};

struct request {
	char target[8];
	char kind[8];
	char form[8];
	uint64_t value;
	uint32_t profile;
	uint32_t vcpu;
	uint32_t width;
	uint32_t cpl;
	uint32_t answer;
	uint32_t lo;
	uint32_t hi;
};

static struct request request;
static struct outcome outcome;
static uint32_t start;

static const char *const kinds[] = {"rdmsr", "wrmsr", "in", "out"};
static const char *const statuses[] = {"done", "again", "fault", "pending", "kill", "refused"};

static void note(struct event event)
{
	if (outcome.event_count < 32)
		outcome.events[outcome.event_count++] = event;
}

static void note_access(const char *name, const struct policyc_access *access)
{
	struct event event;

	memset(&event, 0, sizeof(event));
	event.name = name;
	event.value = access->value;
	event.address = access->address - start;
	event.line = access->line;
	event.kind = access->kind;
	event.width = access->width;
	event.cpl = access->cpl;
	note(event);
}

/* A fault of a hook is #AC(17) with an error code that is not 0, so that nobody's default is taken for it. */
static enum policyc_status answer(struct policyc_fault *fault)
{
	if (request.answer == POLICYC_FAULT) {
		fault->vector = 17;
		fault->error_code = 0x1234;
		fault->has_error_code = true;
	}
	return (enum policyc_status)request.answer;
}

static enum policyc_status on_exit_hook(void *context, struct policyc_access *access)
{
	(void)context;
	note_access("exit", access);
	access->value = HOOK;
	return answer(&access->fault);
}

static enum policyc_status on_notify(void *context, struct policyc_access *access)
{
	(void)context;
	note_access("notify", access);
	access->value = HOOK;
	return answer(&access->fault);
}

static void on_kill(void *context, const struct policyc_access *access)
{
	(void)context;
	note_access("kill", access);
}

static void on_log(void *context, const struct policyc_access *access, uint32_t suppressed)
{
	(void)context;
	note_access("log", access);
	outcome.events[outcome.event_count - 1].extra = (uint8_t)suppressed;
}

static void on_trace(void *context, const struct policyc_access *access)
{
	(void)context;
	note_access("trace", access);
}

static uint64_t on_seconds(void *context)
{
	(void)context;
	return 77;
}

static enum policyc_status note_msr(const char *name, struct policyc_msr *access, uint64_t value)
{
	struct event event;

	memset(&event, 0, sizeof(event));
	event.name = name;
	event.value = access->value;
	event.address = access->index - start;
	event.kind = access->write ? POLICYC_WRMSR : POLICYC_RDMSR;
	event.width = 8;
	event.cpl = access->cpl;
	note(event);
	access->value = value;
	return answer(&access->fault);
}

static enum policyc_status note_port(const char *name, struct policyc_port *access, uint32_t value)
{
	struct event event;

	memset(&event, 0, sizeof(event));
	event.name = name;
	event.value = access->value;
	event.address = access->port - start;
	event.kind = access->write ? POLICYC_OUT : POLICYC_IN;
	event.width = access->width;
	event.cpl = access->cpl;
	note(event);
	access->value = value;
	return answer(&access->fault);
}

static enum policyc_status on_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	return note_msr("real", access, REAL);
}

static enum policyc_status on_port(void *context, struct policyc_port *access)
{
	(void)context;
	return note_port("real", access, (uint32_t)REAL);
}

static enum policyc_status on_memory(void *context, struct policyc_operand *operand)
{
	static const char *const names[] = {"read", "probe", "write"};
	struct event event;

	(void)context;
	memset(&event, 0, sizeof(event));
	event.name = names[operand->operation];
	event.value = operand->operation == POLICYC_MEMORY_WRITE ? operand->value : 0;
	event.address = (uint32_t)operand->offset;
	event.line = operand->segment;
	event.width = operand->width;
	event.cpl = operand->cpl;
	event.extra = operand->address_bytes;
	event.kind = 0xff;
	note(event);
	if (operand->operation == POLICYC_MEMORY_READ)
		operand->value = (uint32_t)request.value;
	return POLICYC_DONE;
}

static void on_inject(void *context, const struct policyc_fault *fault)
{
	struct event event;

	(void)context;
	memset(&event, 0, sizeof(event));
	event.name = "inject";
	event.value = fault->error_code;
	event.line = fault->vector;
	event.extra = fault->has_error_code;
	event.kind = 0xfe;
	note(event);
}

static const struct policyc_hooks hooks = {
	on_exit_hook, on_notify, on_kill, on_log, on_trace, on_seconds, on_msr, on_port, on_memory, on_inject
};

#define FORWARD_MSR(name)                                                         \
	enum policyc_status name(void *context, struct policyc_msr *access)       \
	{                                                                         \
		(void)context;                                                    \
		return note_msr(#name, access, HOOK);                             \
	}
#define FORWARD_PORT(name)                                                        \
	enum policyc_status name(void *context, struct policyc_port *access)      \
	{                                                                         \
		(void)context;                                                    \
		return note_port(#name, access, (uint32_t)HOOK);                  \
	}
HANDLERS

static bool kind_is(const char *kind)
{
	return strcmp(request.kind, kind) == 0;
}

static bool form_is(const char *form)
{
	return strcmp(request.form, form) == 0;
}

static bool is_in(void)
{
	return kind_is("in");
}

static bool is_msr(void)
{
	return kind_is("rdmsr") || kind_is("wrmsr");
}

static void fill_guest(struct policyc_guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	guest->rax = SENTINEL;
	guest->rdx = SENTINEL;
	guest->rcx = SENTINEL;
	guest->rsi = 0x10000fffeu;
	guest->rdi = 0x20000fffdu;
	guest->rip = RIP;
	guest->rflags = 0x2;
	guest->cpl = (uint8_t)request.cpl;
	guest->long_mode = true;
	if (is_msr())
		guest->rcx = UINT64_C(0xdeadbeef00000000) | start;
	if (kind_is("wrmsr")) {
		guest->rax = UINT64_C(0xdeadbeef00000000) | (uint32_t)request.value;
		guest->rdx = UINT64_C(0xfeedface00000000) | request.value >> 32;
	}
	if (kind_is("out") && form_is("plain"))
		guest->rax = (SENTINEL << 8 * request.width) | request.value;
	if (form_is("rep"))
		guest->rcx = 2;
}

static enum policyc_status vmx(struct TYPE(vcpu) *vcpu, struct policyc_guest *guest)
{
	struct policyc_vmx_exit exit = {0, 31, 2, 0};

	if (kind_is("wrmsr"))
		exit.reason = 32;
	if (!is_msr()) {
		exit.reason = 30;
		exit.qualification = (request.width - 1) | (uint64_t)is_in() << 3 | (uint64_t)!form_is("plain") << 4 |
				     (uint64_t)form_is("rep") << 5 | (uint64_t)start << 16;
		/* 64-bit addresses; segment GS, which INS must not look at */
		exit.instruction_info = 2u << 7 | 5u << 15;
	}
	return FUNCTION(vmx_exit)(vcpu, PROFILES[request.profile], guest, &exit);
}

static enum policyc_status svm(struct TYPE(vcpu) *vcpu, struct policyc_guest *guest)
{
	struct policyc_svm_exit exit = {0x7c, 0, 0, RIP + 2};

	exit.info1 = kind_is("wrmsr");
	if (!is_msr()) {
		exit.exit_code = 0x7b;
		exit.next_rip = 0;
		exit.info2 = RIP + 2;
		exit.info1 = (uint64_t)is_in() | (uint64_t)!form_is("plain") << 2 | (uint64_t)form_is("rep") << 3 |
			     (uint64_t)request.width << 4 | 1u << 9 | 5u << 10 | (uint64_t)start << 16;
	}
	return FUNCTION(svm_exit)(vcpu, PROFILES[request.profile], guest, &exit);
}

static enum policyc_status kvm(struct TYPE(vcpu) *vcpu)
{
	enum policyc_status status;
	uint32_t i;

	if (is_msr()) {
		struct policyc_kvm_msr msr = {kind_is("wrmsr") ? request.value : SENTINEL, start, 0x5a,
					      (uint8_t)request.cpl, kind_is("wrmsr")};

		status = FUNCTION(kvm_msr)(vcpu, PROFILES[request.profile], &msr);
		outcome.error = msr.error;
		outcome.msr_data = msr.data;
		return status;
	}
	{
		struct policyc_kvm_io io = {outcome.data + 4, form_is("rep") ? 2 : 1, 0, (uint16_t)start, !is_in(),
					    (uint8_t)request.width, (uint8_t)request.cpl};

		memset(outcome.data, 0xa5, sizeof(outcome.data));
		if (kind_is("out"))
			for (i = 0; i < io.count * io.size; i++)
				outcome.data[4 + i] = (uint8_t)(request.value >> 8 * (i % io.size));
		status = FUNCTION(kvm_io)(vcpu, PROFILES[request.profile], &io);
		outcome.done = io.done;
	}
	return status;
}

static void perform_one(struct TYPE(vcpu) *vcpu)
{
	static const uint32_t slots[] = {COUNTER_SLOTS 0};
	uint32_t i;

	memset(&outcome, 0, sizeof(outcome));
	fill_guest(&outcome.guest);
	if (strcmp(request.target, "vmx") == 0)
		outcome.status = vmx(vcpu, &outcome.guest);
	else if (strcmp(request.target, "svm") == 0)
		outcome.status = svm(vcpu, &outcome.guest);
	else
		outcome.status = kvm(vcpu);
	for (i = 0; i < COUNTERS; i++)
		outcome.counters[i] = vcpu->state[slots[i]];
}

static void put_register(const char *name, uint64_t before, uint64_t after)
{
	if (before != after)
		printf(" %s=%" PRIx64, name, after);
}

static void put(const struct outcome *what)
{
	struct policyc_guest before;
	uint32_t i;

	for (i = 0; i < what->event_count; i++) {
		const struct event *e = &what->events[i];

		if (e->kind == 0xff)
			printf(" %s(%" PRIu32 ":%" PRIx32 ",%u,%u,%u,%" PRIx64 ")", e->name, e->line, e->address, e->width,
			       e->extra, e->cpl, e->value);
		else if (e->kind == 0xfe)
			printf(" inject(%" PRIu32 ",%s%" PRIx64 ")", e->line, e->extra ? "" : "none", e->value);
		else
			printf(" %s(%s,@%s,%u,%" PRIx64 ",%u:%" PRIu32 ")%s", e->name, kinds[e->kind & 3],
			       e->address ? "+" : "", e->width, e->value, e->cpl, e->line, e->extra ? "!" : "");
	}
	for (i = 0; i < COUNTERS; i++)
		if (what->counters[i])
			printf(" count%u=%" PRIu64, i, what->counters[i]);
	printf(" %s", what->status < 6 ? statuses[what->status] : "?");
	if (strcmp(request.target, "kvm") == 0) {
		printf(" error=%u data=%" PRIx64 " done=%" PRIu32 " ", what->error, what->msr_data, what->done);
		for (i = 0; i < sizeof(what->data); i++)
			printf("%02x", what->data[i]);
		return;
	}
	fill_guest(&before);
	put_register("rax", before.rax, what->guest.rax);
	/* rcx holds the MSR's number, which differs within a stretch; it must not change. */
	if (is_msr() ? (what->guest.rcx >> 32 != 0xdeadbeef) : what->guest.rcx != before.rcx)
		printf(" rcx=%" PRIx64, what->guest.rcx);
	put_register("rdx", before.rdx, what->guest.rdx);
	put_register("rsi", before.rsi, what->guest.rsi);
	put_register("rdi", before.rdi, what->guest.rdi);
	put_register("rip", before.rip, what->guest.rip);
	put_register("rflags", before.rflags, what->guest.rflags);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	struct outcome left = *a;

	if (is_msr())
		left.guest.rcx += (uint32_t)b->guest.rcx - (uint32_t)a->guest.rcx;
	return memcmp(&left, b, sizeof(left)) == 0;
}

static void stretch(uint32_t lo, uint32_t hi, const struct outcome *what)
{
	printf("%" PRIx32 " %" PRIx32, lo, hi);
	put(what);
	putchar('\n');
}

int main(void)
{
	static struct TYPE(vcpu) fresh, vcpu;
	static struct outcome last;
	char line[256];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		uint32_t from;
		uint64_t address;

		if (sscanf(line, "%7s %" SCNu32 " %" SCNu32 " %7s %" SCNu32 " %7s %" SCNx64 " %" SCNu32 " %" SCNu32
				 " %" SCNx32 " %" SCNx32,
			   request.target, &request.profile, &request.vcpu, request.kind, &request.width, request.form,
			   &request.value, &request.cpl, &request.answer, &request.lo, &request.hi) != 11)
			return 2;
		if (!FUNCTION(init)(&fresh, request.vcpu, &hooks, NULL))
			return 3;
		FUNCTION(reset)(&fresh, PROFILES[request.profile]);
		from = request.lo;
		for (address = request.lo; address <= request.hi; address++) {
			memcpy(&vcpu, &fresh, sizeof(vcpu));
			start = (uint32_t)address;
			perform_one(&vcpu);
			if (address != request.lo && !same(&last, &outcome)) {
				stretch(from, start - 1, &last);
				from = start;
			}
			last = outcome;
		}
		stretch(from, request.hi, &last);
		puts(".");
		fflush(stdout);
	}
	return 0;
}
