// SPDX-License-Identifier: Apache-2.0
/*
 * The rules in force: copies of one profile's images, to which the bits of
 * what the hypervisor keeps to itself are added. Another profile's copies are
 * made where no processor reads, and take the place of the old ones between
 * an exit and the next entry, by their addresses: so each access of the guest
 * meets the old images or the new ones, whole.
 */
#include "hv.h"

#define MSR_BYTES_MOST 8192u
#define IO_BYTES_MOST 12288u
#define PORTS 0x10000u

/* Of an MSR: in VT-x's bitmap read and write have halves of their own. */
#define WINDOW 0x2000u
#define HIGH 0xc0000000u
#define HIGHER 0xc0010000u
#define WRITE_HALF 2048u
#define QUARTER 1024u
#define VECTOR 2048u

/* VM_CR and VM_HSAVE_PA are among these, and EFER. */
static const uint32_t msrs[] = { 0xc0000080u, 0xc0010114u, 0xc0010117u };

struct copy {
	uint8_t msr[MSR_BYTES_MOST];
	uint8_t io[IO_BYTES_MOST];
};

static struct copy copies[2] __attribute__((aligned(4096)));
static const struct payload *payload;
static const struct profile_images *profile;	/* whose rules are in force */
static uint32_t in_force;			/* 0 or 1, of copies */
static uint64_t granted;			/* a bit a wish */

static bool bit_of(const uint8_t *bits, uint32_t number)
{
	return (bits[number / 8] >> number % 8 & 1u) != 0;
}

static void set_bit(uint8_t *bits, uint32_t number)
{
	bits[number / 8] = (uint8_t)(bits[number / 8] | 1u << number % 8);
}

/* The bit of an MSR access in its image; false: it has none, and exits. */
static bool msr_bit(uint32_t index, bool write, uint32_t *number)
{
	uint32_t low = index % WINDOW;
	uint32_t base = index - low;

	if (payload->svm != 0) {
		uint32_t vector = base == HIGH ? 1 : base == HIGHER ? 2 : 0;

		*number = 8 * VECTOR * vector + 2 * low + (write ? 1 : 0);
		return base == 0 || base == HIGH || base == HIGHER;
	}
	*number = 8 * ((base == HIGH ? QUARTER : 0) +
		       (write ? WRITE_HALF : 0)) + low;
	return base == 0 || base == HIGH;
}

static void add_own(struct copy *copy)
{
	bool svm = payload->svm != 0;
	uint32_t number;

	world_claim_ports(copy->io);
	for (size_t i = 0; i < sizeof(msrs) / sizeof(*msrs); i++)
		for (uint32_t write = 0; write < 2; write++)
			if (world_owns_msr(msrs[i], write != 0, svm) &&
			    msr_bit(msrs[i], write != 0, &number))
				set_bit(copy->msr, number);
}

struct images rules_change(uint32_t number)
{
	const struct profile_images *all =
		payload_at(payload, payload->profiles);
	struct copy *copy = &copies[in_force ^ 1u];
	struct images images;
	bool svm = payload->svm != 0;

	profile = &all[number];
	memcpy(copy->msr, payload_at(payload, profile->msr),
	       svm ? MSR_BYTES_MOST : MSR_BYTES_MOST / 2);
	memcpy(copy->io, payload_at(payload, profile->io),
	       svm ? IO_BYTES_MOST : PORTS / 8);
	add_own(copy);
	in_force ^= 1u;
	images.msr = copy->msr;
	images.io = copy->io;
	return images;
}

struct images rules_start(const struct payload *given)
{
	payload = given;
	return rules_change(0);
}

bool rules_trap_port(uint32_t port, uint32_t width)
{
	const uint8_t *io = payload_at(payload, profile->io);

	if (port + width > PORTS)
		return true;
	for (uint32_t i = 0; i < width; i++)
		if (bit_of(io, port + i))
			return true;
	return false;
}

bool rules_trap_msr(uint32_t index, bool write)
{
	uint32_t number;

	if (!msr_bit(index, write, &number))
		return true;
	return bit_of(payload_at(payload, profile->msr), number);
}

static bool matches(const struct automatic *each, uint32_t kind,
		    uint32_t address, uint32_t last, uint64_t value)
{
	return each->kind == kind && address <= each->last &&
	       last >= each->first &&
	       (each->has_value == 0 || each->value == value) &&
	       (granted >> each->number & 1u) == 0;
}

uint32_t rules_wanted(uint32_t kind, uint32_t address, uint32_t width,
		      uint64_t value)
{
	const struct automatic *all = payload_at(payload, payload->autos);
	uint32_t last = width == 8 ? address : address + width - 1u;

	for (uint32_t i = 0; i < payload->auto_count; i++)
		if (matches(&all[i], kind, address, last, value)) {
			granted |= UINT64_C(1) << all[i].number;
			return all[i].profile;
		}
	return NO_PROFILE;
}
