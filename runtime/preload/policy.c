/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bundle's exit handler and this file are one unit, so that a verdict can
 * be had without carrying it out. policyc writes forwards.h: PREFIX, PROFILE,
 * and names for what forward(...) calls that no library has.
 */
#include "forwards.h"

#include "exit_handler.c"
#include "policy.h"
#include "shared.h"

#define JOINED(prefix, name) prefix##_##name
#define EXPANDED(prefix, name) JOINED(prefix, name)
#define NAME(name) EXPANDED(PREFIX, name)

/* What forward(...) calls: the VMM, as for exit. */
#define FORWARD(space, name) \
	enum policyc_status name(void *context, \
				 struct policyc_##space *access) \
	{ \
		return (enum policyc_status)policy_##space##_real(context, \
								  access); \
	}
FORWARDS

size_t policy_vcpu_bytes(void)
{
	return sizeof(struct NAME(vcpu));
}

bool policy_set_up(void *vcpu, uint32_t number,
		   const struct policyc_hooks *hooks, void *context)
{
	if (!NAME(init)(vcpu, number, hooks, context))
		return false;
	NAME(reset)(vcpu, &PROFILE);
	return true;
}

int policy_io(void *vcpu, struct policyc_kvm_io *io)
{
	return (int)NAME(kvm_io)(vcpu, &PROFILE, io);
}

int policy_msr(void *vcpu, struct policyc_kvm_msr *msr)
{
	return (int)NAME(kvm_msr)(vcpu, &PROFILE, msr);
}

struct policy_verdict policy_decide(void *vcpu,
				    const struct policyc_access *access)
{
	struct NAME(vcpu) *own = vcpu;
	const struct policyc_tables *tables = &PROFILE.tables;
	const struct policyc_frame frame = {
		&own->vcpu, tables, own->state, POLICYC_NO_BITMAP
	};
	const struct policyc_verdict verdict =
		is_port(access) ? decide_port(&frame, access) :
				  decide_msr(&frame, access);
	struct policy_verdict answer;

	answer.rule = (uint32_t)(verdict.rule - tables->rules);
	if (answer.rule == tables->past_last_port)
		answer.rule = RULE_PAST_LAST_PORT;
	answer.action = verdict.action;
	return answer;
}
