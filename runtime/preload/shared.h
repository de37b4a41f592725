/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `policyc exec` and the library in the VMM share: a file that both map,
 * and one for each policy, beside it. policyc/runtime/shared.py has the same
 * numbers.
 */
#ifndef POLICYC_SHARED_H
#define POLICYC_SHARED_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHARED_MAGIC UINT64_C(0x3263657863796c70)
#define SHARED_RANGES 16u	/* KVM_MSR_FILTER_MAX_RANGES */
#define SHARED_BITMAP 0x600u	/* KVM_MSR_FILTER_MAX_BITMAP_SIZE */
#define SHARED_PORTS 0x2000u	/* bytes: a bit for each port */
#define SHARED_COUNTERS 65536u
#define SHARED_RECORDS 4096u
#define SHARED_PROCESSES 64u
#define SHARED_AUTOS 16u
#define SHARED_AUTO_RANGES 64u
#define SHARED_PATH 1024u

#define SHARED_TELL_ALL 1u	/* a record for each exit */
#define SHARED_SWITCHES 2u	/* the policy may change while the VMM runs */

#define POLICY_ASKS_CPL 1u	/* some rule wants to know the privilege */

/* What a record is about. */
#define TOLD_EXIT 1u
#define TOLD_LOG 2u
#define TOLD_TRACE 3u
#define TOLD_KILL 4u

#define NO_FAULT 0xffu

/* What policyc asks of all processes. */
#define ORDER_TRY 1u	/* could this policy be put in force? */
#define ORDER_DO 2u	/* put it in force */

struct shared_range {
	uint32_t flags;		/* 1 read, 2 write */
	uint32_t base;
	uint32_t nmsrs;
	uint32_t reserved;
	uint8_t bitmap[SHARED_BITMAP];	/* a set bit allows */
};

/* The file of one policy; its number follows the shared file's name. */
struct policy_file {
	uint64_t magic;
	uint32_t flags;
	uint32_t denies;	/* the filter's default */
	uint32_t ranges_used;
	uint32_t profile;	/* of the library's */
	uint32_t rule_base;	/* added to its rules' numbers in all reports */
	uint32_t rule_count;	/* numbers set aside; the last: see below */
	uint32_t classes;	/* of vCPUs */
	uint32_t reserved;
	char library[SHARED_PATH];
	struct shared_range ranges[SHARED_RANGES];
	uint8_t traps[][SHARED_PORTS];	/* by class: ports' bits */
};

/* key: address, rule << 32, width << 56, kind << 60, traps << 62, 1 << 63. */
struct shared_counter {
	_Atomic uint64_t key;	/* 0: free */
	_Atomic uint64_t count;
};

/*
 * rule: the last number set aside stands for an access that runs past the last
 * port. It is a number of the policy in force when the access began.
 */
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

/* A process that has machines. answer: 2 * request, + 1 for yes. */
struct shared_process {
	_Atomic uint64_t pid;	/* 0: free */
	_Atomic uint64_t answer;
	char why[112];		/* of a no */
};

/* The first access of this kind asks policyc for another profile. */
struct shared_auto {
	_Atomic uint32_t fired;	/* by the library */
	_Atomic uint32_t done;	/* by policyc: the vCPU may go on */
	uint32_t kind;
	uint32_t ranges_used;
	uint32_t asks_value;
	uint32_t reserved;
	uint64_t value;
	uint32_t ranges[SHARED_AUTO_RANGES][2];	/* first, last */
};

struct shared {
	/* Written by policyc. */
	uint64_t magic;
	uint32_t flags;
	uint32_t autos_used;
	_Atomic uint64_t in_force;	/* policy that a new process takes */
	_Atomic uint64_t order;		/* ORDER_*, policy << 8 */
	_Atomic uint64_t request;	/* counts the orders */
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
	_Atomic uint32_t order_bell;	/* futex: policyc has an order */
	_Atomic uint32_t bell;		/* futex: the library has something */
	_Atomic uint64_t armed;		/* autos that have not fired */
	uint64_t reserved[15];
	struct shared_process processes[SHARED_PROCESSES];
	struct shared_auto autos[SHARED_AUTOS];
	struct shared_counter counters[SHARED_COUNTERS];
	struct shared_record records[SHARED_RECORDS];
};

static_assert(sizeof(struct shared_range) == 1552, "layout");
static_assert(offsetof(struct policy_file, library) == 40, "layout");
static_assert(offsetof(struct policy_file, ranges) == 1064, "layout");
static_assert(offsetof(struct policy_file, traps) == 25896, "layout");
static_assert(offsetof(struct shared, in_force) == 16, "layout");
static_assert(offsetof(struct shared, machines) == 40, "layout");
static_assert(offsetof(struct shared, order_bell) == 120, "layout");
static_assert(offsetof(struct shared, processes) == 256, "layout");
static_assert(sizeof(struct shared_process) == 128, "layout");
static_assert(offsetof(struct shared, autos) == 8448, "layout");
static_assert(sizeof(struct shared_auto) == 544, "layout");
static_assert(offsetof(struct shared, counters) == 17152, "layout");
static_assert(offsetof(struct shared, records) == 1065728, "layout");
static_assert(sizeof(struct shared_record) == 64, "layout");

#endif
