// SPDX-License-Identifier: Apache-2.0
/*
 * A guest under a bundle: its images in force, its exit handler, unmodified,
 * asked about every exit. What the policy passes on, or leaves to a hook,
 * reaches what world.c has for it.
 *
 * Printed, numbers in hexadecimal, is a line for each access that exited:
 *
 *	!NONCE KIND ADDRESS WIDTH VALUE STATUS
 *
 * KIND is enum policyc_kind; VALUE what was written, or read and given to the
 * guest; a string instruction gives one line an element. "@NONCE PROFILE"
 * says that another profile is in force from now on. The last line tells how
 * it ended: "=NONCE HOW LINEAR NUMBER". The guest cannot know the NONCE, which
 * is the payload's. glue.h, made for the bundle, names its objects.
 *
 * Ports that the hypervisor keeps to itself exit though the policy lets them
 * through. The handler is asked about these as well, and passes them on.
 */
#include "cpu.h"
#include "glue.h"
#include "hv.h"

/* QEMU's ways to end a machine, which a guest may use on Bochs as well. */
#define DEBUG_EXIT 0xf4u
#define DEBUG_EXIT_LAST 0xf7u
#define ACPI_CONTROL 0x604u
#define SLEEP_ENABLE (1u << 13)

/* Line control of the first serial port: eight bits, as firmware leaves it. */
#define SERIAL_LINE_CONTROL 0x3fbu
#define EIGHT_BITS 3u

/* Of EXITINFO1. */
#define ADDRESS_SIZES 0x380u
#define ADDRESSES_OF_16 0x080u
#define ADDRESSES_OF_32 0x100u
#define ADDRESSES_OF_64 0x200u

#define SEGMENTS 0x1c00u
#define SEGMENT_SHIFT 10u

/* CPUID Fn8000_000A EDX bit 7: EXITINFO1 names the segment of OUTS. */
#define SVM_FEATURES 0x8000000au
#define DECODE_ASSISTS (1u << 7)

#define MOST_PREFIXES 14u	/* of an instruction of 15 bytes */

#define VECTOR_UD 6u
#define SEGMENT_CODE 1u
#define SEGMENT_DS 3u
#define SEGMENT_FS 4u		/* FS and GS have bases in 64-bit mode too */
#define NO_SEGMENT 8u

/* With it the handler carries out one element of a string and comes back. */
#define TRAP_FLAG 0x100u

void hv_main(void) __attribute__((noreturn));

static const struct TYPE(profile) *const profiles[] = { PROFILES };

static const struct engine *engine;
static const struct payload *payload;
static struct TYPE(vcpu) vcpu;
static uint32_t profile;	/* of profiles, and of the payload's */

/* The access that is being carried out. done: a string's element exists. */
static struct policyc_access current;
static bool is_string;
static bool done;
static struct mode mode;	/* of the guest, at this exit */

static void say_access(uint32_t kind, uint32_t address, uint32_t width,
		       uint64_t value, uint32_t status)
{
	say("\n!");
	say_hex(payload->nonce);
	say(" ");
	say_hex(kind);
	say(" ");
	say_hex(address);
	say(" ");
	say_hex(width);
	say(" ");
	say_hex(value);
	say(" ");
	say_hex(status);
	say("\n");		/* what the guest prints begins a line */
}

static void end(const char *how, uint64_t linear, uint64_t number)
	__attribute__((noreturn));

static void end(const char *how, uint64_t linear, uint64_t number)
{
	say("\n=");
	say_hex(payload->nonce);
	say(" ");
	say(how);
	say(" ");
	say_hex(linear);
	say(" ");
	say_hex(number);
	say("\nDONE\n");
	stop();
}

/* The hooks. */

static enum policyc_status real_port(void *context,
				     struct policyc_port *access)
{
	(void)context;
	if (!access->write) {
		access->value = world_in(access->port, access->width);
		return POLICYC_DONE;
	}
	if ((access->port >= DEBUG_EXIT && access->port <= DEBUG_EXIT_LAST) ||
	    (access->port == ACPI_CONTROL && access->width > 1 &&
	     (access->value & SLEEP_ENABLE) != 0)) {
		say_access(POLICYC_OUT, access->port, access->width,
			   access->value, POLICYC_DONE);
		end("exit", access->port, access->value);
	}
	world_out(access->port, access->width, access->value);
	return POLICYC_DONE;
}

static enum policyc_status real_msr(void *context, struct policyc_msr *access)
{
	bool there = access->write ?
			     world_wrmsr(access->index, access->value) :
			     world_rdmsr(access->index, &access->value);

	(void)context;
	return there ? POLICYC_DONE : POLICYC_FAULT;
}

/* What this hypervisor answers where it is asked: what the machine does. */
static enum policyc_status on_exit_hook(void *context,
					struct policyc_access *access)
{
	struct policyc_port port = {0};
	struct policyc_msr msr = {0};
	enum policyc_status status;

	if (access->kind == POLICYC_RDMSR || access->kind == POLICYC_WRMSR) {
		msr.index = access->address;
		msr.value = access->value;
		msr.write = access->kind == POLICYC_WRMSR;
		status = real_msr(context, &msr);
		access->value = msr.value;
		return status;
	}
	port.port = (uint16_t)access->address;
	port.width = access->width;
	port.value = (uint32_t)access->value;
	port.write = access->kind == POLICYC_OUT;
	status = real_port(context, &port);
	access->value = port.value;
	return status;
}

static void on_kill(void *context, const struct policyc_access *access)
{
	(void)context;
	(void)access;
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

/* No clock is needed: lines of the log are made from the exits, outside. */
static uint64_t on_seconds(void *context)
{
	(void)context;
	return 0;
}

static uint64_t linear_of(uint32_t segment, uint64_t offset)
{
	if (mode.bits != 64)
		return (uint32_t)(engine->segment(segment) + offset);
	if (segment < SEGMENT_FS)
		return offset;
	return engine->segment(segment) + offset;
}

/* Guest memory for INS and OUTS. */
static enum policyc_status on_memory(void *context,
				     struct policyc_operand *operand)
{
	uint64_t linear = linear_of(operand->segment, operand->offset);
	bool write = operand->operation != POLICYC_MEMORY_READ;
	struct exception fault = {0};
	uint8_t *at[4];

	(void)context;
	for (uint32_t i = 0; i < operand->width; i++) {
		at[i] = guest_byte(&mode, linear + i, write,
				   payload->start.memory, &fault);
		if (at[i] == NULL) {
			operand->fault.vector = fault.vector;
			operand->fault.has_error_code = fault.has_error_code;
			operand->fault.error_code = fault.error_code;
			operand->fault.address = fault.address;
			return POLICYC_FAULT;
		}
	}
	done = true;
	if (operand->operation == POLICYC_MEMORY_PROBE)
		return POLICYC_DONE;
	if (operand->operation == POLICYC_MEMORY_READ)
		operand->value = 0;
	for (uint32_t i = 0; i < operand->width; i++)
		if (write)
			*at[i] = (uint8_t)(operand->value >> 8 * i);
		else
			operand->value |= (uint32_t)*at[i] << 8 * i;
	current.value = operand->value;
	return POLICYC_DONE;
}

static void on_inject(void *context, const struct policyc_fault *fault)
{
	struct exception exception;

	(void)context;
	exception.vector = fault->vector;
	exception.has_error_code = fault->has_error_code;
	exception.error_code = fault->error_code;
	exception.address = fault->address;
	engine->inject(&exception);
}

static const struct policyc_hooks hooks = {
	on_exit_hook, on_exit_hook, on_kill, on_log, on_trace,
	on_seconds, real_msr, real_port, on_memory, on_inject,
};

/* Handlers that the policy forwards to: the machine's device or MSR. */
#define FORWARD_PORT(name)						\
	enum policyc_status name(void *context,				\
				 struct policyc_port *access)		\
	{								\
		return real_port(context, access);			\
	}
#define FORWARD_MSR(name)						\
	enum policyc_status name(void *context,				\
				 struct policyc_msr *access)		\
	{								\
		return real_msr(context, access);			\
	}

HANDLERS

/* Exits. */

static uint64_t cut(uint64_t value, uint32_t width)
{
	return width == 8 ? value : value & ((UINT64_C(1) << 8 * width) - 1);
}

/* The access that an exit is about. */
static struct policyc_access access_of(const struct vm_exit *exit,
				       const struct registers *guest)
{
	struct policyc_access access = {0};
	bool msr = payload->svm != 0 ? exit->reason == 0x7c :
				       exit->reason != 30;

	if (msr) {
		bool write = payload->svm != 0 ? exit->info1 != 0 :
						 exit->reason == 32;

		access.kind = write ? POLICYC_WRMSR : POLICYC_RDMSR;
		access.address = (uint32_t)guest->rcx;
		access.width = 8;
		access.value = guest->rdx << 32 | (uint32_t)guest->rax;
		is_string = false;
		return access;
	}
	access.address = (uint16_t)(exit->info1 >> 16);
	if (payload->svm != 0) {
		access.kind = (exit->info1 & 1u) != 0 ? POLICYC_IN :
							POLICYC_OUT;
		access.width = (uint8_t)(exit->info1 >> 4 & 7u);
		is_string = (exit->info1 >> 2 & 1u) != 0;
	} else {
		access.kind = (exit->info1 >> 3 & 1u) != 0 ? POLICYC_IN :
							     POLICYC_OUT;
		access.width = (uint8_t)((exit->info1 & 7u) + 1u);
		is_string = (exit->info1 >> 4 & 1u) != 0;
	}
	access.value = cut(guest->rax, access.width);
	return access;
}

#ifdef TARGET_SVM

/* The segment that a prefix names; NO_SEGMENT for any other byte. */
static uint32_t named_by(uint8_t prefix)
{
	static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

	for (uint32_t i = 0; i < sizeof(prefixes); i++)
		if (prefixes[i] == prefix)
			return i;
	return NO_SEGMENT;
}

/* LOCK is none of them: OUTS does not take it. */
static bool is_other_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0xf2 || byte == 0xf3 ||
	       (mode.bits == 64 && (byte & 0xf0u) == 0x40);
}

/* APM vol. 3, 1.2.4: the last override, DS without; 64-bit mode knows two. */
static uint32_t segment_of_outs(uint64_t rip)
{
	uint64_t linear = linear_of(SEGMENT_CODE, rip);
	uint32_t segment = SEGMENT_DS;

	for (uint32_t i = 0; i < MOST_PREFIXES; i++) {
		struct exception fault;
		const uint8_t *byte = guest_byte(&mode, linear + i, false,
						 payload->start.memory, &fault);
		uint32_t named = byte == NULL ? NO_SEGMENT : named_by(*byte);

		if (byte == NULL ||
		    (named == NO_SEGMENT && !is_other_prefix(*byte)))
			break;
		if (named != NO_SEGMENT &&
		    (mode.bits != 64 || named >= SEGMENT_FS))
			segment = named;
	}
	return segment;
}

#endif

static enum policyc_status call(struct policyc_guest *guest,
				const struct vm_exit *exit)
{
#ifdef TARGET_SVM
	struct policyc_svm_exit what = {0};

	what.exit_code = exit->reason;
	what.info1 = exit->info1;
	what.info2 = exit->info2;
	/* QEMU does not tell the size of addresses, which INS and OUTS need. */
	if (is_string && (what.info1 & ADDRESS_SIZES) == 0)
		what.info1 |= mode.bits == 64 ? ADDRESSES_OF_64 :
			      mode.bits == 32 ? ADDRESSES_OF_32 :
						ADDRESSES_OF_16;
	if (is_string && current.kind == POLICYC_OUT &&
	    (cpuid(SVM_FEATURES).edx & DECODE_ASSISTS) == 0) {
		what.info1 &= ~(uint64_t)SEGMENTS;
		what.info1 |= segment_of_outs(guest->rip) << SEGMENT_SHIFT;
	}
	what.next_rip = 0;
	return FUNCTION(svm_exit)(&vcpu, profiles[profile], guest, &what);
#else
	struct policyc_vmx_exit what = {0};

	what.reason = exit->reason;
	what.qualification = exit->info1;
	what.instruction_length = exit->length;
	what.instruction_info = exit->instruction;
	return FUNCTION(vmx_exit)(&vcpu, profiles[profile], guest, &what);
#endif
}

static uint64_t linear_ip(const struct registers *guest)
{
	mode = engine->mode();
	return linear_of(1, guest->rip);
}

/* What the guest was given, for the line. */
static void note_given(const struct registers *guest)
{
	if (is_string)
		return;
	if (current.kind == POLICYC_RDMSR)
		current.value = guest->rdx << 32 | (uint32_t)guest->rax;
	else if (current.kind == POLICYC_IN)
		current.value = cut(guest->rax, current.width);
}

static bool is_msr(const struct policyc_access *access)
{
	return access->kind == POLICYC_RDMSR || access->kind == POLICYC_WRMSR;
}

/* The profile that an access asks for takes the place of the old one. */
static void change_rules(uint64_t written)
{
	bool write = current.kind == POLICYC_WRMSR ||
		     current.kind == POLICYC_OUT;
	uint32_t wanted = rules_wanted(current.kind, current.address,
				       current.width, write ? written : 0);
	struct images images;
	const char *why;

	if (wanted == NO_PROFILE)
		return;
	images = rules_change(wanted);
	why = engine->swap(&images);
	if (why != NULL)
		stop_because(why);
	profile = wanted;
	say("\n@");
	say_hex(payload->nonce);
	say(" ");
	say_hex(wanted);
	say("\n");
}

static void conclude(const struct registers *guest, uint64_t written,
		     enum policyc_status status)
{
	/* A string without elements, or without memory: no access. */
	if (is_string && !done)
		return;
	/* What exits for the hypervisor alone is seen by nobody. */
	if (is_msr(&current) &&
	    !rules_trap_msr(current.address, current.kind == POLICYC_WRMSR))
		return;
	note_given(guest);
	say_access(current.kind, current.address, current.width, current.value,
		   status);
	if (status == POLICYC_KILL)
		end("kill", linear_ip(guest), current.address);
	change_rules(is_string ? current.value : written);
}

static void handle_access(struct registers *guest, const struct vm_exit *exit)
{
	struct policyc_guest state = {0};
	enum policyc_status status;
	uint64_t written;

	current = access_of(exit, guest);
	written = current.value;
	done = false;
	mode = engine->mode();
	state.rax = guest->rax;
	state.rcx = guest->rcx;
	state.rdx = guest->rdx;
	state.rsi = guest->rsi;
	state.rdi = guest->rdi;
	state.rip = guest->rip;
	state.rflags = guest->rflags | TRAP_FLAG;
	state.cpl = mode.cpl;
	state.long_mode = mode.bits == 64;
	status = call(&state, exit);
	guest->rax = state.rax;
	guest->rcx = state.rcx;
	guest->rdx = state.rdx;
	guest->rsi = state.rsi;
	guest->rdi = state.rdi;
	guest->rip = state.rip;
	if (status == POLICYC_PENDING || status == POLICYC_REFUSED)
		stop_because("the exit handler refuses an exit");
	conclude(guest, written, status == POLICYC_AGAIN ? POLICYC_DONE :
							   status);
}

static void emulate_cpuid(struct registers *guest)
{
	struct cpuid out = cpuid_of((uint32_t)guest->rax,
				    (uint32_t)guest->rcx);

	guest->rax = out.eax;
	guest->rbx = out.ebx;
	guest->rcx = out.ecx;
	guest->rdx = out.edx;
	guest->rip += 2;
}

static void handle(struct registers *guest, const struct vm_exit *exit)
{
	switch (exit->kind) {
	case EXIT_ACCESS:
		handle_access(guest, exit);
		break;
	case EXIT_CPUID:
		emulate_cpuid(guest);
		break;
	case EXIT_CALL:
		engine->inject(&(const struct exception){0, 0, VECTOR_UD,
							 false});
		break;
	case EXIT_HALT:
		end("halt", linear_ip(guest), 0);
	case EXIT_SHUTDOWN:
		end("shutdown", linear_ip(guest), 0);
	case EXIT_MEMORY:
		end("memory", linear_ip(guest), exit->info1);
	case EXIT_FAULT:
	case EXIT_OTHER:
	default:
		end("other", linear_ip(guest), exit->reason);
	}
}

/* The guest, from the ROM to where it is to lie. */
static void load_guest(void)
{
	const struct piece *all = payload_at(payload, payload->pieces);

	for (uint32_t i = 0; i < payload->piece_count; i++)
		memcpy((uint8_t *)(uintptr_t)(GUEST_MEMORY + all[i].to),
		       (const uint8_t *)(uintptr_t)all[i].from, all[i].bytes);
}

static void start(void)
{
	struct images images;
	const char *why;

	payload = machine_payload();
	load_guest();
	images = rules_start(payload);
	engine = payload->svm != 0 ? &svm_engine : &vmx_engine;
	world_start(engine);
	why = engine->start(payload, &payload->start, &images);
	if (why != NULL)
		stop_because(why);
	if (!FUNCTION(init)(&vcpu, VCPU, &hooks, NULL))
		stop_because("the exit handler needs a hook that is not here");
	FUNCTION(reset)(&vcpu, profiles[0]);
	outb(SERIAL_LINE_CONTROL, EIGHT_BITS);
}

void hv_main(void)
{
	struct registers guest = {0};

	machine_start();
	start();
	guest.rip = payload->entry;
	guest.rsp = payload->stack;
	guest.rflags = 2;
	for (;;) {
		struct vm_exit exit = {0};

		if (!engine->enter(&guest, &exit)) {
			say("\nENTRY ");
			say_hex(exit.reason);
			stop_because("the processor does not enter the guest");
		}
		handle(&guest, &exit);
	}
}
