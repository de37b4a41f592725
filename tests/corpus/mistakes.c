/*
 * Two mistakes of exit handlers, tried on the one that is generated: moving RIP before the emulation has succeeded, and
 * comparing all of RAX with a value that an OUT of two bytes cannot have.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exit_handler.h"

#define RIP UINT64_C(0x1000)

static enum policyc_status answer;
static unsigned int injected, written;

enum policyc_status vlapic(void *context, struct policyc_msr *access)
{
	(void)context;
	(void)access;
	return answer;
}

static enum policyc_status real_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	(void)access;
	return POLICYC_DONE;
}

static enum policyc_status real_port(void *context, struct policyc_port *access)
{
	(void)context;
	written = access->value;
	return POLICYC_DONE;
}

static enum policyc_status hook(void *context, struct policyc_access *access)
{
	(void)context;
	(void)access;
	return POLICYC_DONE;
}

static enum policyc_status memory(void *context, struct policyc_operand *operand)
{
	(void)context;
	(void)operand;
	return POLICYC_FAULT;
}

static void inject(void *context, const struct policyc_fault *fault)
{
	(void)context;
	injected = fault->vector;
}

static void stop(void *context, const struct policyc_access *access)
{
	(void)context;
	(void)access;
}

static const struct policyc_hooks hooks = {
	.exit = hook, .notify = hook, .kill = stop, .msr = real_msr, .port = real_port, .memory = memory, .inject = inject,
};

static void handle(const char *name, uint32_t reason, uint64_t qualification, uint64_t rax)
{
	struct policyc_vmx_exit exit = {
		.reason = reason, .qualification = qualification, .instruction_length = 2,
	};
	struct policyc_guest guest;
	struct vm_vcpu vcpu;
	enum policyc_status status;

	memset(&guest, 0, sizeof(guest));
	guest.rax = rax;
	guest.rcx = 0x80b;
	guest.rip = RIP;
	guest.long_mode = true;
	injected = written = 0;
	if (!vm_init(&vcpu, 0, &hooks, NULL)) {
		puts("a hook is missing");
		return;
	}
	status = vm_vmx_exit(&vcpu, &vm_base, &guest, &exit);
	printf("%s status %d rip +%" PRIu64 " injected %u written 0x%x\n", name, (int)status, guest.rip - RIP, injected,
	       written);
}

int main(void)
{
	answer = POLICYC_FAULT;
	handle("fault", 32, 0, 1);
	answer = POLICYC_DONE;
	handle("done", 32, 0, 1);
	handle("off", 30, UINT64_C(0x6040001), UINT64_C(0xdeadbeef00002000));
	handle("other", 30, UINT64_C(0x6040001), UINT64_C(0xdeadbeef00002001));
	return 0;
}
