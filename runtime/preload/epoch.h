/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as it is in force for some time: its filter, the bits of its ports,
 * and its exit handler.
 */
#ifndef POLICYC_PRELOAD_EPOCH_H
#define POLICYC_PRELOAD_EPOCH_H

#include <stdint.h>

#include "filter.h"
#include "policy.h"
#include "shared.h"

struct epoch {
	uint64_t number;
	const struct policy_file *file;
	const struct policy_library *library;
	struct filter filter;
	struct epoch *next;	/* loaded before it */
};

/*
 * The policy of a number: loaded once, and kept, as a vCPU may be at work with
 * it. NULL, and why says so, where that cannot be. One call at a time.
 */
struct epoch *epoch_load(uint64_t number, const char **why);

/* Memory that no allocator of the VMM's is asked for; NULL where none is. */
void *room(size_t bytes);

#endif
