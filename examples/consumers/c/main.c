/*
 * A hypervisor takes the exit handler in: it includes the header, links the C
 * file, supplies the hooks and one handler, and calls one function an exit.
 *
 *	policyc compile examples/consumers/console.pol -o console.bundle
 *	cc -std=c11 -Iconsole.bundle examples/consumers/c/main.c \
 *	        console.bundle/exit_handler.c -o consumer
 *
 * There is no virtual machine here: the exits of a guest that says "hi" on
 * its console are written down below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exit_handler.h"

struct machine {
	struct console_vcpu vcpu;
	struct policyc_guest guest;
	const struct console_profile *profile;
	char console[80];
	size_t length;
};

/* forward(uart): the line status says "ready", the data port is the console. */
enum policyc_status uart(void *context, struct policyc_port *access)
{
	struct machine *machine = context;

	if (access->port == 0x3f8 && access->write) {
		if (machine->length < sizeof(machine->console) - 1)
			machine->console[machine->length++] = (char)access->value;
		return POLICYC_DONE;
	}
	access->value = access->port == 0x3fd ? 0x60 : 0;
	return POLICYC_DONE;
}

/* Action exit: this hypervisor has no devices of its own. */
static enum policyc_status no_device(void *context, struct policyc_access *access)
{
	(void)context;
	access->value = UINT64_MAX;
	return POLICYC_DONE;
}

static void say(void *context, const struct policyc_access *access, uint32_t suppressed)
{
	(void)context;
	printf("%s:%" PRIu32 ": %#" PRIx32 " = %#" PRIx64 " (%" PRIu32 " more)\n", console_files[access->file],
	       access->line, access->address, access->value, suppressed);
}

static uint64_t seconds(void *context)
{
	(void)context;
	return 0;
}

/* Here a hypervisor executes RDMSR or WRMSR, ready for a #GP of its own. */
static enum policyc_status real_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	if (access->write)
		printf("wrmsr %#" PRIx32 " %#" PRIx64 "\n", access->index, access->value);
	return POLICYC_DONE;
}

/* Here it executes IN or OUT of access->width bytes. */
static enum policyc_status real_port(void *context, struct policyc_port *access)
{
	(void)context;
	printf("%s %#x\n", access->write ? "out" : "in", access->port);
	return POLICYC_DONE;
}

/* Here it walks the guest's segments and page tables. */
static enum policyc_status guest_memory(void *context, struct policyc_operand *operand)
{
	static const char memory[] = "hi";

	(void)context;
	if (operand->operation != POLICYC_MEMORY_READ || operand->offset >= sizeof(memory))
		return POLICYC_FAULT;
	operand->value = (uint8_t)memory[operand->offset];
	return POLICYC_DONE;
}

/* Here it writes the VM-entry interruption information. */
static void inject(void *context, const struct policyc_fault *fault)
{
	(void)context;
	printf("exception %u\n", fault->vector);
}

static const struct policyc_hooks hooks = {
	.exit = no_device,
	.log = say,
	.seconds = seconds,
	.msr = real_msr,
	.port = real_port,
	.memory = guest_memory,
	.inject = inject,
};

/* What a hypervisor does after an exit; vmread() is left out. */
static int handle(struct machine *machine, const struct policyc_vmx_exit *exit)
{
	switch (console_vmx_exit(&machine->vcpu, machine->profile, &machine->guest, exit)) {
	case POLICYC_DONE:
	case POLICYC_AGAIN:
	case POLICYC_FAULT:
		return 0;	/* enter the guest again */
	default:
		return 1;	/* stop it */
	}
}

int main(void)
{
	static struct machine machine;
	/* rep outsb to 0x3f8, 64-bit addresses, segment DS */
	const struct policyc_vmx_exit outsb = {0x3f8u << 16 | 1u << 4 | 1u << 5, 30, 2, 2u << 7 | 3u << 15};
	const struct policyc_vmx_exit wrmsr = {0, 32, 2, 0};
	const struct policyc_vmx_exit pci = {0xcf8u << 16 | 3u, 30, 1, 0};

	if (!console_init(&machine.vcpu, 0, &hooks, &machine))
		return 1;
	machine.profile = &console_base;
	console_reset(&machine.vcpu, machine.profile);
	machine.guest.long_mode = true;

	machine.guest.rcx = 2;
	if (handle(&machine, &outsb))
		return 1;
	machine.guest.rcx = 0xc0000080;
	machine.guest.rax = 0xffffffff;
	if (handle(&machine, &wrmsr))
		return 1;
	machine.guest.rcx = 0x1b;
	if (handle(&machine, &wrmsr) || handle(&machine, &pci))
		return 1;
	machine.profile = &console_profile_running;
	if (handle(&machine, &pci))
		return 1;
	printf("console: %s (%" PRIu64 " accesses), rip %" PRIu64 "\n", machine.console,
	       machine.vcpu.state[CONSOLE_COUNT_CONSOLE], machine.guest.rip);
	return 0;
}
