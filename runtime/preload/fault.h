/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exception for the guest in place of an access that KVM has begun.
 */
#ifndef POLICYC_PRELOAD_FAULT_H
#define POLICYC_PRELOAD_FAULT_H

#include <stdbool.h>

#include "vcpu.h"

#define GENERAL_PROTECTION 13u

/* KVM has been told to raise #GP for an MSR: vcpu->vector takes its place. */
bool fault_of_msr(struct vcpu *vcpu);

/*
 * vcpu->vector at the IN, OUT, INS or OUTS of the exit, at the element
 * vcpu->done: the earlier ones stand. False where its place is not found.
 */
bool fault_of_port(struct vcpu *vcpu);

#endif
