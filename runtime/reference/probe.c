// SPDX-License-Identifier: Apache-2.0
/*
 * Probes: single accesses of a guest, and what the processor did about each.
 *
 * The guest has no program. Before each probe the host writes one access and
 * a call to itself into the guest's memory; whichever of an exit for the
 * access, a fault or the call comes first is the answer.
 *
 * Printed is one line a probe range: runs of answers, each as a count (hex,
 * left out for 1) and a letter:
 *
 *	.	no exit: the call was reached
 *	g	no exit: general protection fault
 *	x	an exit, as the last "(reason,info1,info2)" on the line says
 *	?	anything else, in the same way
 *
 * info1 is printed without the port in its bits 31:16 where that is the one
 * accessed, and info2 less the address of the instruction: so a range has few
 * of them. Nothing is judged here.
 */
#include "cpu.h"
#include "hv.h"

struct probe {
	uint8_t kind;
	uint8_t width;		/* bytes, of ports */
	uint8_t repeat;		/* REP */
	uint8_t unused;
	uint32_t address;	/* of the first access */
	uint32_t count;		/* so many, each one address on */
};

enum {
	PROBE_RDMSR,
	PROBE_WRMSR,
	PROBE_IN,
	PROBE_OUT,
	PROBE_IN_IMMEDIATE,
	PROBE_OUT_IMMEDIATE,
	PROBE_INS,
	PROBE_OUTS
};

#define GENERAL_PROTECTION 13u
#define FLAGS_ALWAYS 2u
#define REPEATED 2u		/* elements of a string access */
#define STUB 16u

struct answer {
	char letter;
	uint32_t reason;
	uint64_t info1;
	uint64_t info2;
};

void hv_main(void) __attribute__((noreturn));

static const struct engine *engine;
static bool amd;
static uint8_t stub[STUB] __attribute__((aligned(4096)));
static uint8_t data[64] __attribute__((aligned(4096)));
static uint8_t stack[64] __attribute__((aligned(16)));

/* The opcode; the one for bytes is even, the one for larger widths odd. */
static uint32_t opcode(const struct probe *probe)
{
	static const uint8_t codes[] = {
		0, 0, 0xec, 0xee, 0xe4, 0xe6, 0x6c, 0x6e
	};

	return codes[probe->kind] | (probe->width > 1 ? 1u : 0u);
}

/* Writes the access and the call into code; returns where the call is. */
static uint32_t write_code(const struct probe *probe, uint32_t address,
			   uint8_t code[STUB])
{
	uint32_t at = 0;
	uint32_t call;

	memset(code, 0, STUB);
	if (probe->kind <= PROBE_WRMSR) {
		code[at++] = 0x0f;
		code[at++] = probe->kind == PROBE_RDMSR ? 0x32 : 0x30;
	} else {
		if (probe->width == 2)
			code[at++] = 0x66;
		if (probe->repeat != 0)
			code[at++] = 0xf3;
		code[at++] = (uint8_t)opcode(probe);
		if (probe->kind == PROBE_IN_IMMEDIATE ||
		    probe->kind == PROBE_OUT_IMMEDIATE)
			code[at++] = (uint8_t)address;
	}
	call = at;
	code[at++] = 0x0f;
	code[at++] = 0x01;
	code[at++] = amd ? 0xd9 : 0xc1;
	code[at] = 0xf4;
	return call;
}

/*
 * Puts the code where the guest runs it, if it is not there already: an
 * emulator translates anew what is written.
 */
static uint32_t write_stub(const struct probe *probe, uint32_t address)
{
	uint8_t code[STUB];
	uint32_t call = write_code(probe, address, code);

	for (uint32_t i = 0; i < STUB; i++)
		if (stub[i] != code[i])
			stub[i] = code[i];
	return call;
}

static void set_registers(const struct probe *probe, uint32_t address,
			  struct registers *guest)
{
	uint64_t value = 0;

	memset(guest, 0, sizeof(*guest));
	guest->rip = (uintptr_t)stub;
	guest->rsp = (uintptr_t)(stack + sizeof(stack));
	guest->rflags = FLAGS_ALWAYS;
	if (probe->kind <= PROBE_WRMSR) {
		/* A write that gets through must not change anything. */
		if (probe->kind == PROBE_WRMSR)
			(void)safe_rdmsr(address, &value);
		guest->rcx = address;
		guest->rax = (uint32_t)value;
		guest->rdx = (uint32_t)(value >> 32);
		return;
	}
	guest->rcx = REPEATED;
	guest->rdx = address;
	guest->rsi = (uintptr_t)data;
	guest->rdi = (uintptr_t)data;
}

static struct answer judge(const struct vm_exit *exit, uint32_t address,
			   bool port)
{
	struct answer answer = {'?', exit->reason, exit->info1, exit->info2};

	if (exit->kind == EXIT_FAULT && exit->reason == GENERAL_PROTECTION)
		return (struct answer){'g', 0, 0, 0};
	if (exit->kind != EXIT_ACCESS)
		return answer;
	answer.letter = 'x';
	if (port && answer.info1 >> 16 == address)
		answer.info1 &= 0xffffu;
	if (answer.info2 != 0)
		answer.info2 -= (uintptr_t)stub;
	return answer;
}

static struct answer ask(const struct probe *probe, uint32_t address)
{
	struct registers guest;
	struct vm_exit exit;
	bool port = probe->kind > PROBE_WRMSR;
	uint32_t call = write_stub(probe, address);
	struct answer answer;

	set_registers(probe, address, &guest);
	if (!engine->enter(&guest, &exit)) {
		say("\nENTRY ");
		say_hex(exit.reason);
		stop_because("the processor does not enter the guest");
	}
	if (exit.kind == EXIT_CALL &&
	    guest.rip == (uintptr_t)stub + call)
		answer = (struct answer){'.', 0, 0, 0};
	else
		answer = judge(&exit, address, port);
	if (port)
		outb(0x92, 2);	/* in case the guest turned line 20 off */
	return answer;
}

static bool same(const struct answer *a, const struct answer *b)
{
	return a->letter == b->letter && a->reason == b->reason &&
	       a->info1 == b->info1 && a->info2 == b->info2;
}

static void tell(const struct answer *answer, uint32_t count,
		 struct answer *told)
{
	bool details = answer->letter == 'x' || answer->letter == '?';

	if (details && !same(answer, told)) {
		say("(");
		say_hex(answer->reason);
		say(",");
		say_hex(answer->info1);
		say(",");
		say_hex(answer->info2);
		say(")");
		*told = *answer;
	}
	if (count > 1)
		say_hex(count);
	say_char(answer->letter);
}

static void sweep(const struct probe *probe)
{
	struct answer told = {0, 0, 0, 0};
	struct answer before = {0, 0, 0, 0};
	uint32_t count = 0;

	for (uint32_t i = 0; i < probe->count; i++) {
		struct answer answer = ask(probe, probe->address + i);

		if (count > 0 && !same(&answer, &before)) {
			tell(&before, count, &told);
			count = 0;
		}
		before = answer;
		count++;
	}
	if (count > 0)
		tell(&before, count, &told);
}

void hv_main(void)
{
	const struct payload *payload;
	const struct probe *probes;
	static const struct guest_start as_host;
	struct images images;
	const char *why;

	machine_start();
	payload = machine_payload();
	amd = payload->svm != 0;
	engine = amd ? &svm_engine : &vmx_engine;
	images.msr = payload_at(payload, payload->msr);
	images.io = payload_at(payload, payload->io);
	why = engine->start(payload, &as_host, &images);
	if (why != NULL)
		stop_because(why);
	probes = payload_at(payload, payload->probes);
	for (uint32_t i = 0; i < payload->probe_count; i++) {
		say("\n>");
		sweep(&probes[i]);
	}
	say("\nDONE\n");
	stop();
}
