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

#define CR4_PSE (1u << 4)
#define CR0_PG (1u << 31)
/* Present, writable, 4 MiB. */
#define LARGE_PAGE 0x83u
#define DIRECTORY_ENTRIES 1024u

#define LEAF_EXTENDED_LAST 0x80000000u
#define LEAF_ADDRESS_SIZES 0x80000008u

extern const uint8_t fault_entries[];
void handle_fault(uint32_t vector, uint32_t *eip);
void hv_main(void) __attribute__((noreturn));

static uint64_t gdt[5] __attribute__((aligned(8)));
static uint64_t idt[VECTORS] __attribute__((aligned(8)));
static uint32_t directory[DIRECTORY_ENTRIES] __attribute__((aligned(4096)));
static uint8_t tss[104] __attribute__((aligned(8)));

/* Where an instruction that is allowed to fault goes on; 0: none is. */
static volatile uint32_t fixup;

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

void say_hex(uint32_t value)
{
	uint32_t shift = 28;

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

void handle_fault(uint32_t vector, uint32_t *eip)
{
	if (fixup != 0) {
		*eip = fixup;
		fixup = 0;
		return;
	}
	say("\nFAULT ");
	say_hex(vector);
	say(" at ");
	say_hex(*eip);
	say("\n");
	stop();
}

bool safe_rdmsr(uint32_t index, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	uint32_t done;

	__asm__ volatile("movl $0, %[done]\n\t"
			 "movl $1f, %[fixup]\n\t"
			 "rdmsr\n\t"
			 "movl $1, %[done]\n"
			 "1:\tmovl $0, %[fixup]"
			 : [done] "=&r"(done), [fixup] "=m"(fixup),
			   "+a"(low), "+d"(high)
			 : "c"(index)
			 : "memory");
	*value = (uint64_t)high << 32 | low;
	return done != 0;
}

bool safe_wrmsr(uint32_t index, uint64_t value)
{
	uint32_t done;

	__asm__ volatile("movl $0, %[done]\n\t"
			 "movl $1f, %[fixup]\n\t"
			 "wrmsr\n\t"
			 "movl $1, %[done]\n"
			 "1:\tmovl $0, %[fixup]"
			 : [done] "=&r"(done), [fixup] "=m"(fixup)
			 : "c"(index), "A"(value)
			 : "memory");
	return done != 0;
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
	uint32_t base = machine_tss();

	gdt[SELECTOR_CODE / 8] = UINT64_C(0x00cf9b000000ffff);
	gdt[SELECTOR_DATA / 8] = UINT64_C(0x00cf93000000ffff);
	gdt[SELECTOR_TSS / 8] = UINT64_C(0x0000890000000067) |
				(uint64_t)(base & 0xffffffu) << 16 |
				(uint64_t)(base >> 24) << 56;
	for (uint32_t i = 0; i < VECTORS; i++) {
		uint32_t entry = (uint32_t)(uintptr_t)fault_entries +
				 i * FAULT_ENTRY_BYTES;

		idt[i] = (entry & 0xffffu) | (uint64_t)SELECTOR_CODE << 16 |
			 (uint64_t)INTERRUPT_GATE << 32 |
			 (uint64_t)(entry >> 16) << 48;
	}
	machine_tables(&gdtr, &idtr);
	__asm__ volatile("lgdt %0\n\tlidt %1" : : "m"(gdtr), "m"(idtr));
}

void machine_tables(struct table_register *gdtr, struct table_register *idtr)
{
	gdtr->limit = sizeof(gdt) - 1;
	gdtr->base = (uint32_t)(uintptr_t)gdt;
	idtr->limit = sizeof(idt) - 1;
	idtr->base = (uint32_t)(uintptr_t)idt;
}

uint32_t machine_tss(void)
{
	return (uint32_t)(uintptr_t)tss;
}

uint32_t identity_map(void)
{
	return (uint32_t)(uintptr_t)directory;
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
	for (uint32_t i = 0; i < DIRECTORY_ENTRIES; i++)
		directory[i] = i << 22 | LARGE_PAGE;
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3(identity_map());
	write_cr0(read_cr0() | CR0_PG);
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
