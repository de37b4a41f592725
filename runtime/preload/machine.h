/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMM's machines: their filters, their memory, and the policy in force on
 * all of them. Whatever changes one holds one lock, which is this file's.
 */
#ifndef POLICYC_PRELOAD_MACHINE_H
#define POLICYC_PRELOAD_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "epoch.h"
#include "filter.h"

#define MOST_FDS 65536
#define MOST_SLOTS 512u

/* Guest memory that the VMM gave: struct kvm_userspace_memory_region. */
struct slot {
	uint64_t guest;
	uint64_t bytes;
	uint64_t host;
};

/*
 * own: the VMM's filter. asks: what it wants to hear of itself
 * (KVM_MSR_EXIT_REASON_*). users: descriptors and vCPUs that refer to it;
 * an orphan has no descriptor left, so its filter stays as it is.
 */
struct machine {
	pthread_rwlock_t lock;
	struct filter own;
	uint32_t asks;
	long run_bytes;		/* of struct kvm_run, with its data */
	int pid;		/* whose it is: no other process may use it */
	uint32_t users;
	uint32_t descriptors;
	bool is_orphan;
	struct slot slots[MOST_SLOTS];
};

/* Before any other; what fork() leaves of it has no machine. */
void machines_begin(void);

/* The policy of new accesses. */
struct epoch *policy_in_force(void);

/* What is known of a descriptor; NULL where it is none of a machine. */
struct machine *machine_of(int fd);

/* A further descriptor of the same machine; the end of one. */
void machine_share(int from, int to);
void machine_forget(int fd);

/* One user more, or less; the last one's end is the structure's. */
void machine_hold(struct machine *machine);
void machine_release(struct machine *machine);

/* The VMM's calls. */
int machine_create(int kvm, void *argument);
int machine_filter(int fd, const struct kvm_msr_filter *given);
int machine_capability(int fd, struct kvm_enable_cap *cap);
int machine_memory(int fd, unsigned long request, void *region);

/* Whether the VMM's own filter denies an access; whether it asks for exits. */
bool vmm_denies(struct machine *machine, uint32_t index, bool write);
bool vmm_asks(struct machine *machine, uint32_t reason);

/* Copies guest-physical memory that lies in one slot; false where it is not. */
bool machine_read(struct machine *machine, uint64_t guest, void *to,
		  size_t bytes);

/* Whether this process is the one that the tables are of: not after vfork. */
bool is_own_process(void);

/* Says why on standard error; -1, with errno EACCES. */
int refuse(const char *text);

int kernel(int fd, unsigned long request, void *argument);

#endif
