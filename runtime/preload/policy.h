/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bundle's exit handler, without the names that its policy gave it.
 */
#ifndef POLICYC_PRELOAD_POLICY_H
#define POLICYC_PRELOAD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the handler's own types only what these functions pass on. */
struct policyc_hooks;
struct policyc_access;
struct policyc_kvm_io;
struct policyc_kvm_msr;
struct policyc_msr;
struct policyc_port;

/* Who decides an access. rule: as in struct shared_record. */
struct policy_verdict {
	uint32_t rule;
	uint8_t action;
};

size_t policy_vcpu_bytes(void);
bool policy_set_up(void *vcpu, uint32_t number,
		   const struct policyc_hooks *hooks, void *context);
int policy_io(void *vcpu, struct policyc_kvm_io *io);
int policy_msr(void *vcpu, struct policyc_kvm_msr *msr);
struct policy_verdict policy_decide(void *vcpu,
				    const struct policyc_access *access);

/* The access itself, in the VMM or in KVM: an enum policyc_status. */
int policy_msr_real(void *context, struct policyc_msr *access);
int policy_port_real(void *context, struct policyc_port *access);

#endif
