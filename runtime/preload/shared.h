/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `policyc exec` and the library in the VMM share: one file, mapped by
 * both. policyc/runtime/shared.py has the same numbers.
 */
#ifndef POLICYC_SHARED_H
#define POLICYC_SHARED_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHARED_MAGIC UINT64_C(0x3163657863796c70)
#define SHARED_RANGES 16u	/* KVM_MSR_FILTER_MAX_RANGES */
#define SHARED_BITMAP 0x600u	/* KVM_MSR_FILTER_MAX_BITMAP_SIZE */
#define SHARED_COUNTERS 65536u
#define SHARED_RECORDS 4096u

#define SHARED_TELL_ALL 1u	/* a record for each exit */
#define SHARED_ASKS_CPL 2u	/* some rule wants to know the privilege */

/* What a record is about. */
#define TOLD_EXIT 1u
#define TOLD_LOG 2u
#define TOLD_TRACE 3u
#define TOLD_KILL 4u

#define NO_FAULT 0xffu
#define RULE_PAST_LAST_PORT 0xfffffeu

struct shared_range {
	uint32_t flags;		/* 1 read, 2 write */
	uint32_t base;
	uint32_t nmsrs;
	uint32_t reserved;
	uint8_t bitmap[SHARED_BITMAP];	/* a set bit allows */
};

/* key: address, rule << 32, width << 56, kind << 60, traps << 62, 1 << 63. */
struct shared_counter {
	_Atomic uint64_t key;	/* 0: free */
	_Atomic uint64_t count;
};

struct shared_record {
	_Atomic uint64_t ticket;	/* from 1, once it is whole */
	uint64_t nanoseconds;	/* CLOCK_MONOTONIC */
	uint64_t value;		/* of a write */
	uint64_t answer;	/* of a read */
	uint32_t address;
	uint32_t rule;
	uint32_t suppressed;
	uint16_t vcpu;
	uint8_t what;
	uint8_t kind;
	uint8_t width;
	uint8_t action;
	uint8_t fault;
	uint8_t traps;
	uint32_t reserved[3];
};

struct shared {
	/* Written by policyc before the VMM starts. */
	uint64_t magic;
	uint32_t flags;
	uint32_t denies;	/* the filter's default */
	uint32_t ranges_used;
	uint32_t reserved;
	/* Written by the library. */
	_Atomic uint64_t machines;	/* made with the filter installed */
	_Atomic uint64_t refused;	/* not made: it could not be */
	_Atomic uint64_t exits;		/* on ports and MSRs */
	_Atomic uint64_t let_through;	/* of them: no bit asks for these */
	_Atomic uint64_t other;		/* exits of no policy */
	_Atomic uint64_t unlisted;	/* exits that found no free counter */
	_Atomic uint64_t lost;		/* records that found no room */
	_Atomic uint64_t killed;
	_Atomic uint64_t read;		/* records; written by policyc */
	_Atomic uint64_t written;	/* tickets given out */
	uint64_t reserved_words[3];
	uint8_t traps[0x2000];		/* a bit for each port */
	struct shared_range ranges[SHARED_RANGES];
	struct shared_counter counters[SHARED_COUNTERS];
	struct shared_record records[SHARED_RECORDS];
};

static_assert(offsetof(struct shared, machines) == 24, "layout");
static_assert(offsetof(struct shared, traps) == 128, "layout");
static_assert(offsetof(struct shared, ranges) == 8320, "layout");
static_assert(sizeof(struct shared_range) == 1552, "layout");
static_assert(offsetof(struct shared, counters) == 33152, "layout");
static_assert(offsetof(struct shared, records) == 1081728, "layout");
static_assert(sizeof(struct shared_record) == 64, "layout");

#endif
