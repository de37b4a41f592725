/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <string.h>

#define MOST_MSRS 0x3000u	/* SHARED_BITMAP * 8 */
#define PAST_LAST_MSR (UINT64_C(1) << 32)

/* A range whose end is past 2^32 matches nothing in KVM. */
static bool holds(const struct shared_range *range, uint64_t index)
{
	const uint64_t end = (uint64_t)range->base + range->nmsrs;

	return end < PAST_LAST_MSR && index >= range->base && index < end;
}

bool filter_denies(const struct filter *filter, uint32_t index, uint32_t way)
{
	uint32_t i;

	for (i = 0; i < filter->used; i++) {
		const struct shared_range *range = &filter->ranges[i];
		const uint32_t place = index - range->base;

		if ((range->flags & way) != 0 && holds(range, index))
			return (range->bitmap[place >> 3] >> (place & 7u) &
				1) == 0;
	}
	return filter->denies != 0;
}

bool filter_copy(struct filter *filter, const struct kvm_msr_filter *given)
{
	uint32_t i;

	memset(filter, 0, sizeof(*filter));
	if (given->flags > KVM_MSR_FILTER_DEFAULT_DENY)
		return false;
	filter->denies = given->flags;
	for (i = 0; i < SHARED_RANGES; i++) {
		const struct kvm_msr_filter_range *from = &given->ranges[i];
		struct shared_range *to = &filter->ranges[filter->used];

		if (from->nmsrs == 0)
			continue;
		if (from->flags == 0 || from->nmsrs > MOST_MSRS ||
		    (from->flags & ~(FILTER_READ | FILTER_WRITE)) != 0)
			return false;
		to->flags = from->flags;
		to->base = from->base;
		to->nmsrs = from->nmsrs;
		memcpy(to->bitmap, from->bitmap, (from->nmsrs + 7u) / 8u);
		filter->used++;
	}
	return filter->used != 0 || filter->denies == 0;
}

/* The first MSR from index on that any range holds; 2^32 where none does. */
static uint64_t next_held(const struct filter *filter, uint64_t index)
{
	uint64_t next = PAST_LAST_MSR;
	uint32_t i;

	for (i = 0; i < filter->used; i++) {
		const struct shared_range *range = &filter->ranges[i];

		if (holds(range, index))
			return index;
		if (range->base > index && range->base < next)
			next = range->base;
	}
	return next;
}

static bool either_denies(const struct filter *one, const struct filter *other,
			  uint32_t index, uint32_t way)
{
	return filter_denies(one, index, way) ||
	       filter_denies(other, index, way);
}

/* The first MSR from index on that is not as the merged default has it. */
static uint64_t next_odd(const struct filter *one, const struct filter *other,
			 bool denies, uint64_t index)
{
	for (;; index++) {
		const uint64_t mine = next_held(one, index);
		const uint64_t theirs = next_held(other, index);
		uint32_t msr;

		index = mine < theirs ? mine : theirs;
		if (index >= PAST_LAST_MSR)
			return PAST_LAST_MSR;
		msr = (uint32_t)index;
		if (either_denies(one, other, msr, FILTER_READ) != denies ||
		    either_denies(one, other, msr, FILTER_WRITE) != denies)
			return index;
	}
}

/* Appends a range for one way; false where there are 16 already. */
static bool append(struct filter *out, uint32_t flags, uint64_t base,
		   uint64_t end, const uint8_t *bitmap)
{
	struct shared_range *range = &out->ranges[out->used];

	if (out->used == SHARED_RANGES)
		return false;
	range->flags = flags;
	range->base = (uint32_t)base;
	range->nmsrs = (uint32_t)(end - base);
	memcpy(range->bitmap, bitmap, SHARED_BITMAP);
	out->used++;
	return true;
}

/* One stretch of at most 0x3000 MSRs, as one range or as one for each way. */
static bool append_stretch(struct filter *out, const struct filter *one,
			   const struct filter *other, uint64_t base,
			   uint64_t end)
{
	uint8_t reads[SHARED_BITMAP];
	uint8_t writes[SHARED_BITMAP];
	uint64_t index;

	memset(reads, 0, sizeof(reads));
	memset(writes, 0, sizeof(writes));
	for (index = base; index < end; index++) {
		const uint32_t place = (uint32_t)(index - base);
		const uint8_t bit = (uint8_t)(1u << (place & 7u));
		const uint32_t msr = (uint32_t)index;

		if (!either_denies(one, other, msr, FILTER_READ))
			reads[place >> 3] |= bit;
		if (!either_denies(one, other, msr, FILTER_WRITE))
			writes[place >> 3] |= bit;
	}
	if (memcmp(reads, writes, sizeof(reads)) == 0)
		return append(out, FILTER_READ | FILTER_WRITE, base, end,
			      reads);
	return append(out, FILTER_READ, base, end, reads) &&
	       append(out, FILTER_WRITE, base, end, writes);
}

bool filter_merge(struct filter *out, const struct filter *one,
		  const struct filter *other)
{
	const bool denies = one->denies != 0 || other->denies != 0;
	uint64_t base = next_odd(one, other, denies, 0);

	memset(out, 0, sizeof(*out));
	out->denies = denies;
	while (base < PAST_LAST_MSR) {
		uint64_t end = base + 1u;
		uint64_t next = next_odd(one, other, denies, end);

		while (next < base + MOST_MSRS && next < PAST_LAST_MSR) {
			end = next + 1u;
			next = next_odd(one, other, denies, end);
		}
		if (!append_stretch(out, one, other, base, end))
			return false;
		base = next;
	}
	/* KVM refuses to deny everything by default without any range. */
	if (denies && out->used == 0)
		return append_stretch(out, one, other, 0, 64);
	return true;
}

void filter_form(struct kvm_msr_filter *form, struct filter *filter)
{
	uint32_t i;

	memset(form, 0, sizeof(*form));
	form->flags = filter->denies;
	for (i = 0; i < filter->used; i++) {
		form->ranges[i].flags = filter->ranges[i].flags;
		form->ranges[i].base = filter->ranges[i].base;
		form->ranges[i].nmsrs = filter->ranges[i].nmsrs;
		form->ranges[i].bitmap = filter->ranges[i].bitmap;
	}
}
