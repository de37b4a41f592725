// SPDX-License-Identifier: Apache-2.0
/* The machine itself: tables, faults of the host, memory, the console. */
#include "cpu.h"
#include "hv.h"

/* Bochs (port_e9_hack) and QEMU (-debugcon) print what is written here. */
#define CONSOLE 0xe9u
/* Bochs ends when it reads "Shutdown" here, QEMU's isa-debug-exit there. */
#define BOCHS_SHUTDOWN 0x8900u
#define QEMU_EXIT 0xf4u
#define QEMU_EXIT_CODE 0x10u

#define VECTORS 32u
#define FAULT_ENTRY_BYTES 16u
#define INTERRUPT_GATE 0x8e00u

#define LEAF_EXTENDED_LAST 0x80000000u
#define LEAF_ADDRESS_SIZES 0x80000008u

extern const uint8_t fault_entries[];
void handle_fault(uint64_t vector, uint64_t *rip);
void hv_main(void) __attribute__((noreturn));

static uint64_t gdt[5] __attribute__((aligned(8)));
static uint64_t idt[2 * VECTORS] __attribute__((aligned(8)));
static uint8_t tss[104] __attribute__((aligned(8)));

/* Where an instruction that is allowed to fault goes on; 0: none is. */
static volatile uint64_t fixup;

void *memcpy(void *to, const void *from, size_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	for (size_t i = 0; i < bytes; i++)
		out[i] = in[i];
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	uint8_t *out = to;

	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)value;
	return to;
}

void say_char(char letter)
{
	outb(CONSOLE, (uint8_t)letter);
}

void say(const char *text)
{
	while (*text != '\0')
		say_char(*text++);
}

void say_hex(uint64_t value)
{
	uint32_t shift = 60;

	while (shift > 0 && value >> shift == 0)
		shift -= 4;
	for (;; shift -= 4) {
		say_char("0123456789abcdef"[value >> shift & 15u]);
		if (shift == 0)
			break;
	}
}

void stop(void)
{
	static const char word[] = "Shutdown";

	for (uint32_t i = 0; word[i] != '\0'; i++)
		outb(BOCHS_SHUTDOWN, (uint8_t)word[i]);
	outl(QEMU_EXIT, QEMU_EXIT_CODE);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void stop_because(const char *text)
{
	say("\nREFUSED ");
	say(text);
	say("\n");
	stop();
}

void handle_fault(uint64_t vector, uint64_t *rip)
{
	if (fixup != 0) {
		*rip = fixup;
		fixup = 0;
		return;
	}
	say("\nFAULT ");
	say_hex(vector);
	say(" at ");
	say_hex(*rip);
	say("\n");
	stop();
}

bool safe_rdmsr(uint32_t index, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	uint32_t there;

	__asm__ volatile("movl $0, %[there]\n\t"
			 "movq $1f, %[fixup]\n\t"
			 "rdmsr\n\t"
			 "movl $1, %[there]\n"
			 "1:\tmovq $0, %[fixup]"
			 : [there] "=&r"(there), [fixup] "=m"(fixup),
			   "+a"(low), "+d"(high)
			 : "c"(index)
			 : "memory");
	*value = (uint64_t)high << 32 | low;
	return there != 0;
}

bool safe_wrmsr(uint32_t index, uint64_t value)
{
	uint32_t there;

	__asm__ volatile("movl $0, %[there]\n\t"
			 "movq $1f, %[fixup]\n\t"
			 "wrmsr\n\t"
			 "movl $1, %[there]\n"
			 "1:\tmovq $0, %[fixup]"
			 : [there] "=&r"(there), [fixup] "=m"(fixup)
			 : "c"(index), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32))
			 : "memory");
	return there != 0;
}

uint8_t physical_bits(void)
{
	if (cpuid(LEAF_EXTENDED_LAST).eax < LEAF_ADDRESS_SIZES)
		return 36;
	return (uint8_t)cpuid(LEAF_ADDRESS_SIZES).eax;
}

static void load_tables(void)
{
	struct table_register gdtr;
	struct table_register idtr;
	uint64_t base = machine_tss();

	gdt[SELECTOR_CODE / 8] = UINT64_C(0x00af9b000000ffff);
	gdt[SELECTOR_DATA / 8] = UINT64_C(0x00cf93000000ffff);
	gdt[SELECTOR_TSS / 8] = UINT64_C(0x0000890000000067) |
				(base & 0xffffffu) << 16 |
				(base >> 24 & 0xffu) << 56;
	gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
	for (uint32_t i = 0; i < VECTORS; i++) {
		uint64_t entry = (uintptr_t)fault_entries +
				 i * FAULT_ENTRY_BYTES;

		idt[2 * i] = (entry & 0xffffu) | SELECTOR_CODE << 16 |
			     (uint64_t)INTERRUPT_GATE << 32 |
			     (entry >> 16 & 0xffffu) << 48;
		idt[2 * i + 1] = entry >> 32;
	}
	machine_tables(&gdtr, &idtr);
	/* The code segment is another from here on, of the same kind. */
	__asm__ volatile("lgdt %0\n\t"
			 "lidt %1\n\t"
			 "pushq %2\n\t"
			 "pushq $1f\n\t"
			 "lretq\n"
			 "1:"
			 : : "m"(gdtr), "m"(idtr), "i"(SELECTOR_CODE)
			 : "memory");
}

void machine_tables(struct table_register *gdtr, struct table_register *idtr)
{
	gdtr->limit = sizeof(gdt) - 1;
	gdtr->base = (uintptr_t)gdt;
	idtr->limit = sizeof(idt) - 1;
	idtr->base = (uintptr_t)idt;
}

uint64_t machine_tss(void)
{
	return (uintptr_t)tss;
}

/* Both interrupt controllers masked: nothing ever interrupts. */
static void silence(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void machine_start(void)
{
	silence();
	load_tables();
}

const struct payload *machine_payload(void)
{
	const struct payload *payload;

	/* The compiler must not know the address: it lies in no object. */
	__asm__("" : "=r"(payload) : "0"(PAYLOAD));
	if (payload->magic != PAYLOAD_MAGIC)
		stop_because("there is no payload at 0x200000");
	if (payload->version != PAYLOAD_VERSION)
		stop_because("the payload is of another version");
	return payload;
}

const void *payload_at(const struct payload *payload, uint32_t offset)
{
	return (const uint8_t *)payload + offset;
}
