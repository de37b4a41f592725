/*
 * libFuzzer: hostile exits, registers and answers of hooks, for the policy tests.handler.samples.everything(). The
 * promises checked: RIP moves only when an exit is done, a fault is injected exactly when one is reported, no register
 * but those of the instruction changes, work is bounded, and no undefined behaviour (by the sanitizers).
 */
#include <stdlib.h>
#include <string.h>

#include "exit_handler.h"

static const uint8_t *input;
static size_t left;
static uint32_t injected;
static uint32_t calls;

static void check(bool promise)
{
	if (!promise)
		abort();
}

static uint64_t take(size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0 && left > 0) {
		value = value << 8 | *input++;
		left--;
	}
	return value;
}

/* Mostly DONE, so that string instructions get far; sometimes anything at all. */
static enum policyc_status answer(void)
{
	const uint64_t byte = take(1);

	calls++;
	return byte < 0xc0 ? POLICYC_DONE : (enum policyc_status)(byte & 7);
}

static enum policyc_status any(void *context, struct policyc_access *access)
{
	(void)context;
	check(access->width == 1 || access->width == 2 || access->width == 4 || access->width == 8);
	check(access->width == 8 || access->value >> 8 * access->width == 0);
	access->value = take(8);
	return answer();
}

static void silent(void *context, const struct policyc_access *access)
{
	(void)context;
	(void)access;
}

static void logged(void *context, const struct policyc_access *access, uint32_t suppressed)
{
	(void)suppressed;
	silent(context, access);
}

static uint64_t seconds(void *context)
{
	(void)context;
	return take(1);
}

static enum policyc_status any_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	access->value = take(8);
	return answer();
}

static enum policyc_status any_port(void *context, struct policyc_port *access)
{
	(void)context;
	check(access->width == 1 || access->width == 2 || access->width == 4);
	check((uint64_t)access->value >> 8 * access->width == 0);
	access->value = (uint32_t)take(4);
	return answer();
}

static enum policyc_status memory(void *context, struct policyc_operand *operand)
{
	(void)context;
	check(operand->segment < 6);
	check(operand->address_bytes == 8 || operand->offset >> 8 * operand->address_bytes == 0);
	operand->value = (uint32_t)take(4);
	return answer();
}

static void inject(void *context, const struct policyc_fault *fault)
{
	(void)context;
	(void)fault;
	injected++;
}

enum policyc_status uart(void *context, struct policyc_port *access)
{
	return any_port(context, access);
}

enum policyc_status vpci(void *context, struct policyc_port *access)
{
	return any_port(context, access);
}

enum policyc_status lapic(void *context, struct policyc_msr *access)
{
	return any_msr(context, access);
}

static const struct policyc_hooks hooks = {
	any, any, silent, logged, silent, seconds, any_msr, any_port, memory, inject
};

static void take_guest(struct policyc_guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	guest->rax = take(8);
	guest->rcx = take(1) & 1 ? take(8) : take(2);
	guest->rdx = take(8);
	guest->rsi = take(8);
	guest->rdi = take(8);
	guest->rip = take(8);
	guest->rflags = take(8);
	guest->cpl = (uint8_t)(take(1) & 3);
	guest->long_mode = take(1) & 1;
}

static void on_processor(struct vm_vcpu *vcpu, const struct vm_profile *profile, bool svm)
{
	struct policyc_guest guest;
	struct policyc_guest before;
	enum policyc_status status;

	take_guest(&guest);
	before = guest;
	if (svm) {
		struct policyc_svm_exit exit;

		exit.exit_code = take(1) & 1 ? 0x7b + (take(1) & 1) : take(8);
		exit.info1 = take(8);
		exit.info2 = take(8);
		exit.next_rip = take(8);
		status = vm_svm_exit(vcpu, profile, &guest, &exit);
	} else {
		struct policyc_vmx_exit exit;

		exit.reason = (uint32_t)(take(1) & 1 ? 30 + take(1) % 3 : take(4));
		exit.qualification = take(8);
		exit.instruction_length = (uint32_t)(take(1) & 1 ? take(4) : 2);
		exit.instruction_info = (uint32_t)take(4);
		status = vm_vmx_exit(vcpu, profile, &guest, &exit);
		check(status == POLICYC_DONE || guest.rip == before.rip);
		if (status == POLICYC_DONE && guest.long_mode)
			check(guest.rip == before.rip + exit.instruction_length);
	}
	check(status <= POLICYC_REFUSED);
	check(status == POLICYC_DONE || guest.rip == before.rip);
	check(status == POLICYC_DONE || (guest.rax == before.rax && guest.rdx == before.rdx));
	check(injected == (status == POLICYC_FAULT));
	check(guest.rflags == before.rflags && guest.cpl == before.cpl && guest.long_mode == before.long_mode);
	check(guest.rsi == before.rsi || guest.rdi == before.rdi);
	/* Two calls for memory and one for the port, for each element. */
	check(calls <= 3 * POLICYC_STRING_LIMIT);
}

static void on_kvm(struct vm_vcpu *vcpu, const struct vm_profile *profile)
{
	static uint8_t page[4096];
	struct policyc_kvm_msr msr;
	struct policyc_kvm_io io;
	enum policyc_status status;

	if (take(1) & 1) {
		memset(&msr, 0, sizeof(msr));
		msr.data = take(8);
		msr.index = (uint32_t)take(4);
		msr.cpl = (uint8_t)take(1);
		msr.write = take(1) & 1;
		status = vm_kvm_msr(vcpu, profile, &msr);
		check(msr.error == (status != POLICYC_DONE));
		return;
	}
	memset(&io, 0, sizeof(io));
	io.data = page;
	io.count = (uint32_t)(take(1) & 1 ? take(4) : take(1));
	io.done = (uint32_t)(take(1) & 1 ? take(4) : 0);
	io.port = (uint16_t)take(2);
	io.direction = (uint8_t)(take(1) & 1 ? take(1) : 1);
	io.size = (uint8_t)(take(1) & 1 ? take(1) : 4);
	io.cpl = (uint8_t)take(1);
	status = vm_kvm_io(vcpu, profile, &io);
	check(status <= POLICYC_REFUSED && status != POLICYC_AGAIN);
	check(status != POLICYC_DONE || io.done == io.count);
	check(injected == (status == POLICYC_FAULT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vm_profile *const profiles[] = {&vm_base, &vm_profile_hardened};
	const struct vm_profile *profile;
	static struct vm_vcpu vcpu;
	uint32_t exits;

	input = data;
	left = size;
	profile = profiles[take(1) & 1];
	check(vm_init(&vcpu, (uint32_t)take(1), &hooks, NULL));
	vm_reset(&vcpu, profile);
	for (exits = 0; exits < 4; exits++) {
		const uint64_t target = take(1) % 3;

		injected = 0;
		calls = 0;
		if (target == 2)
			on_kvm(&vcpu, profile);
		else
			on_processor(&vcpu, profile, target == 1);
	}
	return 0;
}
