// SPDX-License-Identifier: Apache-2.0
/*
 * What lies behind the policy: the emulator's own devices and MSRs, but for
 * those by which a guest would take the machine from under its hypervisor.
 * These the hypervisor keeps to itself: it has them exit whatever the policy
 * says, and answers in the machine's stead.
 */
#include "cpu.h"
#include "hv.h"

#define KEYBOARD_COMMAND 0x64u
#define PULSE_RESET 0xf0u	/* pulses the lines of bits 3:0 that are 0 */
#define PULSE_RESET_MASK 0xf1u
#define WRITE_OUTPUT_PORT 0xd1u	/* address line 20, and reset */
#define SYSTEM_CONTROL_A 0x92u	/* address line 20, and reset */
#define DEBUG_CONSOLE 0xe9u
#define DEBUG_EXIT 0xf4u	/* QEMU's isa-debug-exit, four bytes */
#define DEBUG_EXIT_LAST 0xf7u
#define SERIAL 0x3f8u
#define SERIAL_LAST 0x3ffu
#define ACPI_CONTROL 0x604u	/* QEMU's way to power off */
#define ACPI_CONTROL_LAST 0x605u
#define RESET_CONTROL 0xcf9u
#define BOCHS_SHUTDOWN 0x8900u

#define VM_CR 0xc0010114u
#define VM_HSAVE_PA 0xc0010117u

struct stretch {
	uint16_t first;
	uint16_t last;
};

static const struct stretch own_ports[] = {
	{KEYBOARD_COMMAND, KEYBOARD_COMMAND},
	{SYSTEM_CONTROL_A, SYSTEM_CONTROL_A},
	{DEBUG_CONSOLE, DEBUG_CONSOLE},
	{DEBUG_EXIT, DEBUG_EXIT_LAST},
	{SERIAL, SERIAL_LAST},
	{ACPI_CONTROL, ACPI_CONTROL_LAST},
	{RESET_CONTROL, RESET_CONTROL},
	{BOCHS_SHUTDOWN, BOCHS_SHUTDOWN},
};

static const struct engine *engine;

static bool owns_port(uint32_t port)
{
	for (size_t i = 0; i < sizeof(own_ports) / sizeof(*own_ports); i++)
		if (port >= own_ports[i].first && port <= own_ports[i].last)
			return true;
	return false;
}

void world_claim_ports(uint8_t *io)
{
	for (size_t i = 0; i < sizeof(own_ports) / sizeof(*own_ports); i++)
		for (uint32_t port = own_ports[i].first;
		     port <= own_ports[i].last; port++)
			io[port / 8] = (uint8_t)(io[port / 8] | 1u << port % 8);
}

/* SVM keeps host and guest apart by the VMCB, but for these. */
bool world_owns_msr(uint32_t index, bool write, bool svm)
{
	if (!svm)
		return false;
	if (index == EFER)
		return true;
	return write && (index == VM_CR || index == VM_HSAVE_PA);
}

static uint32_t real_in(uint16_t port, uint8_t width)
{
	switch (width) {
	case 1:
		return inb(port);
	case 2:
		return inw(port);
	default:
		return inl(port);
	}
}

static void real_out(uint16_t port, uint8_t width, uint32_t value)
{
	switch (width) {
	case 1:
		outb(port, (uint8_t)value);
		break;
	case 2:
		outw(port, (uint16_t)value);
		break;
	default:
		outl(port, value);
	}
}

/* A write of one byte that begins at a port, to where it does no harm. */
static void out_byte(uint16_t port, uint8_t value)
{
	switch (port) {
	case KEYBOARD_COMMAND:
		if ((value & PULSE_RESET_MASK) == PULSE_RESET ||
		    value == WRITE_OUTPUT_PORT)
			return;
		break;
	case SYSTEM_CONTROL_A:
	case DEBUG_CONSOLE:	/* the hypervisor's; its line tells of it */
	case RESET_CONTROL:
	case BOCHS_SHUTDOWN:
		return;
	default:
		break;
	}
	outb(port, value);
}

/*
 * Whether the access must be taken apart: it touches an own port. An access
 * to 0xcf8 is none, however wide: it is that of a device of four bytes.
 */
static bool apart(uint16_t port, uint8_t width)
{
	for (uint32_t i = 0; i < width; i++)
		if (owns_port(port + i))
			return i == 0 || port + i != RESET_CONTROL;
	return false;
}

uint32_t world_in(uint16_t port, uint8_t width)
{
	return real_in(port, width);
}

void world_out(uint16_t port, uint8_t width, uint32_t value)
{
	if (!apart(port, width)) {
		real_out(port, width, value);
		return;
	}
	for (uint32_t i = 0; i < width; i++)
		out_byte((uint16_t)(port + i), (uint8_t)(value >> 8 * i));
}

void world_start(const struct engine *started)
{
	engine = started;
}

bool world_rdmsr(uint32_t index, uint64_t *value)
{
	enum msr_answer answer = engine->msr(index, false, value);

	if (answer == MSR_ELSEWHERE)
		return safe_rdmsr(index, value);
	return answer == MSR_DONE;
}

bool world_wrmsr(uint32_t index, uint64_t value)
{
	enum msr_answer answer = engine->msr(index, true, &value);

	if (index == VM_CR || index == VM_HSAVE_PA)
		return false;
	if (answer == MSR_ELSEWHERE)
		return safe_wrmsr(index, value);
	return answer == MSR_DONE;
}
