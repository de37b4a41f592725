/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that C does not have. */
#ifndef POLICYC_REFERENCE_CPU_H
#define POLICYC_REFERENCE_CPU_H

#include <stdbool.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 : : "c"(index), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

static inline struct cpuid cpuid_of(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid out;

	__asm__ volatile("cpuid"
			 : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx),
			   "=d"(out.edx)
			 : "a"(leaf), "c"(subleaf));
	return out;
}

static inline struct cpuid cpuid(uint32_t leaf)
{
	return cpuid_of(leaf, 0);
}

#define CONTROL_REGISTER(name)						\
	static inline uint64_t read_##name(void)			\
	{								\
		uint64_t value;						\
									\
		__asm__ volatile("movq %%" #name ", %0" : "=r"(value));	\
		return value;						\
	}								\
	static inline void write_##name(uint64_t value)			\
	{								\
		__asm__ volatile("movq %0, %%" #name			\
				 : : "r"(value) : "memory");		\
	}

CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)

#undef CONTROL_REGISTER

#endif
