// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's own page tables, read as the processor reads them (Intel SDM
 * vol. 3A, chapter 4): for the operands of INS and OUTS, which the exit
 * handler asks for by linear address.
 */
#include "hv.h"

#define PRESENT UINT64_C(1)
#define WRITABLE UINT64_C(2)
#define USER UINT64_C(4)
#define LARGE UINT64_C(0x80)
#define RIGHTS (WRITABLE | USER)
#define ADDRESS UINT64_C(0x000ffffffffff000)
#define CR0_WP (UINT64_C(1) << 16)
#define PDPT_ALIGNMENT 0x1fu

#define PAGE_FAULT 14u
#define GENERAL_PROTECTION 13u

/* One way to translate: so many levels of tables with so many index bits. */
struct walk {
	uint32_t levels;
	uint32_t index_bits;
	uint32_t entry_bytes;
	bool large[5];		/* by level: whether an entry may be a page */
};

static struct walk walk_of(const struct mode *mode)
{
	static const struct walk four = {4, 9, 8, {0, 0, true, true, 0}};
	static const struct walk pae = {3, 9, 8, {0, 0, true, 0, 0}};
	static const struct walk two = {2, 10, 4, {0, 0, true, 0, 0}};
	struct walk plain = two;

	if ((mode->efer & EFER_LMA) != 0)
		return four;
	if ((mode->cr4 & CR4_PAE) != 0)
		return pae;
	plain.large[2] = (mode->cr4 & CR4_PSE) != 0;
	return plain;
}

static uint8_t *physical(uint64_t address, uint64_t bytes, uint32_t memory)
{
	if (address >= memory || bytes > memory - address)
		return NULL;
	return (uint8_t *)(uintptr_t)(GUEST_MEMORY + address);
}

static uint64_t entry_at(const uint8_t *at, uint32_t bytes)
{
	uint64_t entry = 0;

	memcpy(&entry, at, bytes);
	return entry;
}

static bool allowed(const struct mode *mode, uint64_t rights, bool write)
{
	bool user = mode->cpl == 3;

	if (user && (rights & USER) == 0)
		return false;
	return !write || (rights & WRITABLE) != 0 ||
	       (!user && (mode->cr0 & CR0_WP) == 0);
}

/* The physical address, or false; rights: what all levels grant. */
static bool translate(const struct mode *mode, uint64_t linear,
		      uint32_t memory, uint64_t *address, uint64_t *rights)
{
	struct walk walk = walk_of(mode);
	uint64_t table = mode->cr3 & ADDRESS;

	*rights = RIGHTS;
	if (walk.levels == 3)
		table = mode->cr3 & ~(uint64_t)PDPT_ALIGNMENT & UINT32_MAX;
	for (uint32_t level = walk.levels; level > 0; level--) {
		uint32_t shift = 12 + walk.index_bits * (level - 1);
		uint64_t index = linear >> shift &
				 ((1u << walk.index_bits) - 1);
		const uint8_t *at = physical(table + index * walk.entry_bytes,
					     walk.entry_bytes, memory);
		uint64_t entry = at == NULL ? 0 :
					      entry_at(at, walk.entry_bytes);
		uint64_t inside = (UINT64_C(1) << shift) - 1;

		if ((entry & PRESENT) == 0)
			return false;
		if (!(walk.levels == 3 && level == 3))
			*rights &= entry;
		if (level == 1 || (walk.large[level] && (entry & LARGE) != 0)) {
			*address = (entry & ADDRESS & ~inside) |
				   (linear & inside);
			return true;
		}
		table = entry & ADDRESS;
	}
	return false;
}

uint8_t *guest_byte(const struct mode *mode, uint64_t linear, bool write,
		    uint32_t memory, struct exception *fault)
{
	uint64_t address = linear;
	uint64_t rights = RIGHTS;
	bool mapped = true;
	uint8_t *at;

	if ((mode->cr0 & CR0_PG) != 0)
		mapped = translate(mode, linear, memory, &address, &rights);
	if (!mapped || !allowed(mode, rights, write)) {
		fault->vector = PAGE_FAULT;
		fault->has_error_code = true;
		fault->error_code = (mapped ? 1u : 0) | (write ? 2u : 0) |
				    (mode->cpl == 3 ? 4u : 0);
		fault->address = linear;
		return NULL;
	}
	at = physical(address, 1, memory);
	if (at == NULL) {
		fault->vector = GENERAL_PROTECTION;
		fault->has_error_code = true;
		fault->error_code = 0;
	}
	return at;
}
