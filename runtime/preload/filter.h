/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's MSR filters, asked and merged. Documentation/virt/kvm/api.rst 4.97.
 */
#ifndef POLICYC_PRELOAD_FILTER_H
#define POLICYC_PRELOAD_FILTER_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

#define FILTER_READ 1u
#define FILTER_WRITE 2u

/* A filter that owns its bitmaps; all zero: everything is allowed. */
struct filter {
	uint32_t denies;
	uint32_t used;
	struct shared_range ranges[SHARED_RANGES];
};

/* Whether the filter denies an access, as KVM's kvm_msr_allowed() goes. */
bool filter_denies(const struct filter *filter, uint32_t index, uint32_t way);

/* Takes over what a VMM gave; false where KVM would refuse it. */
bool filter_copy(struct filter *filter, const struct kvm_msr_filter *given);

/* Denies what either denies; false where 16 ranges do not hold that. */
bool filter_merge(struct filter *out, const struct filter *one,
		  const struct filter *other);

/* As the kernel reads it; points into filter. */
void filter_form(struct kvm_msr_filter *form, struct filter *filter);

#endif
