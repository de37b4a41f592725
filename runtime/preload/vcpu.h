/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU under the policy: what it remembers, and where its exit stands.
 */
#ifndef POLICYC_PRELOAD_VCPU_H
#define POLICYC_PRELOAD_VCPU_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "epoch.h"
#include "machine.h"
#include "shared.h"

enum phase {
	PHASE_FREE,	/* the kernel is next */
	PHASE_PORT,	/* the VMM is asked about one element of a port exit */
	PHASE_MSR	/* the VMM is asked about an MSR */
};

/* What one exit handler remembers of a vCPU; the latest in use is first. */
struct memory {
	const struct policy_library *library;
	struct memory *next;
	size_t bytes;
	_Alignas(16) uint8_t state[];
};

/*
 * Used by one thread at a time. epoch: the policy that decides the access at
 * hand. answered: the VMM's answer is there, for the next time that the
 * handler asks for the real access.
 */
struct vcpu {
	struct policy_context context;	/* first: the handler's forwards */
	struct machine *machine;
	struct kvm_run *run;
	const struct epoch *epoch;
	struct memory *memory;
	uint32_t vcpu_class;
	uint32_t descriptors;
	int fd;
	enum phase phase;
	bool answered;
	uint8_t direction;	/* of a port exit; what follows, too */
	uint8_t size;
	uint16_t port;
	uint32_t count;
	uint32_t done;
	uint64_t offset;	/* of its data in struct kvm_run */
	uint64_t shown;		/* what the VMM sees of a write */
	uint8_t vector;		/* an exception that the handler wants */
	struct shared_record record;
};

/* The VMM's calls. */
int vcpu_create(int vm, unsigned long number);
int vcpu_run(int fd, void *argument);

/* A further descriptor of the same vCPU; the end of one. */
void vcpu_share(int from, int to);
void vcpu_forget(int fd);

#endif
