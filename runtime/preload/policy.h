/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle's exit handler as a library of its own, which is loaded beside the
 * one in the VMM. All its profiles are in it, by number.
 */
#ifndef POLICYC_PRELOAD_POLICY_H
#define POLICYC_PRELOAD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types.h"

#define POLICY_VERSION 1u
#define POLICY_SYMBOL "policyc_policy"

/* Begins what the handler's hooks get as context: what forward(...) calls. */
struct policy_context {
	policyc_msr_handler *msr;
	policyc_port_handler *port;
};

/* Who decides an access. rule: its number; past the last port, the count. */
struct policy_verdict {
	uint32_t rule;
	uint8_t action;
};

/* The shadow of an MSR or a port; false where there is none. */
typedef bool policy_find(void *where, bool port, uint32_t address,
			 uint64_t *value);

struct policy_library {
	uint32_t version;
	uint32_t profiles;
	uint32_t rules;
	size_t vcpu_bytes;
	bool (*set_up)(void *vcpu, uint32_t number, uint32_t profile,
		       const struct policyc_hooks *hooks, void *context);
	uint32_t (*vcpu_class)(const void *vcpu);
	int (*io)(void *vcpu, uint32_t profile, struct policyc_kvm_io *io);
	int (*msr)(void *vcpu, uint32_t profile, struct policyc_kvm_msr *msr);
	struct policy_verdict (*decide)(void *vcpu, uint32_t profile,
					const struct policyc_access *access);
	/* A shadow of its own, as policy_find; and all of them from others. */
	bool (*shadow)(const void *vcpu, bool port, uint32_t address,
		       uint64_t *value);
	void (*adopt)(void *vcpu, policy_find *find, void *where);
};

#endif
