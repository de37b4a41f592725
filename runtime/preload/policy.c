/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bundle's exit handler and this file are one unit, so that a verdict can
 * be had without carrying it out, and shadows by address. policyc writes
 * forwards.h: PREFIX, PROFILES, and names for what forward(...) calls that no
 * library has.
 */
#include "forwards.h"

#include "exit_handler.c"
#include "policy.h"

#define JOINED(prefix, name) prefix##_##name
#define EXPANDED(prefix, name) JOINED(prefix, name)
#define NAME(name) EXPANDED(PREFIX, name)

/* What forward(...) calls: the VMM, as for exit. */
#define FORWARD(space, name) \
	enum policyc_status name(void *context, \
				 struct policyc_##space *access) \
	{ \
		const struct policy_context *real = context; \
		return real->space(context, access); \
	}
FORWARDS

static const struct NAME(profile) *const policy_profiles[] = {PROFILES};

static bool policy_set_up(void *vcpu, uint32_t number, uint32_t profile,
		   const struct policyc_hooks *hooks, void *context)
{
	if (!NAME(init)(vcpu, number, hooks, context))
		return false;
	NAME(reset)(vcpu, policy_profiles[profile]);
	return true;
}

static uint32_t policy_class(const void *vcpu)
{
	const struct NAME(vcpu) *own = vcpu;

	return own->vcpu.vcpu_class;
}

static int policy_io(void *vcpu, uint32_t profile, struct policyc_kvm_io *io)
{
	return (int)NAME(kvm_io)(vcpu, policy_profiles[profile], io);
}

static int policy_msr(void *vcpu, uint32_t profile, struct policyc_kvm_msr *msr)
{
	return (int)NAME(kvm_msr)(vcpu, policy_profiles[profile], msr);
}

#define RULES ((uint32_t)(sizeof(NAME(rules)) / sizeof(NAME(rules)[0])))

static struct policyc_verdict policy_judge(const struct policyc_frame *frame,
					   const struct policyc_access *access)
{
	if (!is_port(access))
		return decide_msr(frame, access);
	return decide_port(frame,
			   find_port(frame, access->address, access->width,
				     !is_write(access)),
			   access);
}

static struct policy_verdict policy_decide(void *vcpu, uint32_t profile,
					   const struct policyc_access *access)
{
	struct NAME(vcpu) *own = vcpu;
	const struct policyc_tables *tables = &policy_profiles[profile]->tables;
	const struct policyc_frame frame = frame_of(
		&own->vcpu, tables, own->state, POLICYC_NO_BITMAP);
	const struct policyc_verdict verdict = policy_judge(&frame, access);
	struct policy_verdict answer;

	answer.rule = (uint32_t)(verdict.rule - tables->rules);
	if (answer.rule == tables->past_last_port)
		answer.rule = RULES;
	answer.action = verdict.action;
	return answer;
}

/* One of the shadows; all profiles have the same cells. */
static bool policy_cell(bool port, uint32_t address, uint32_t *cell)
{
	const struct policyc_tables *tables = &policy_profiles[0]->tables;
	const struct policyc_cells *cells =
		port ? tables->port_cells : tables->msr_cells;
	const uint32_t count =
		port ? tables->port_cell_count : tables->msr_cell_count;
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (address < cells[i].first || address > cells[i].last)
			continue;
		*cell = cells[i].cell + (address - cells[i].first);
		return true;
	}
	return false;
}

static bool policy_shadow(const void *vcpu, bool port, uint32_t address,
		   uint64_t *value)
{
	const struct NAME(vcpu) *own = vcpu;
	const uint64_t *ports =
		&own->state[policy_profiles[0]->tables.port_cell_word];
	uint32_t cell;

	if (!policy_cell(port, address, &cell))
		return false;
	*value = port ? ports[cell >> 3] >> 8u * (cell & 7u) & 0xffu :
			own->state[cell];
	return true;
}

static void policy_adopt_space(struct NAME(vcpu) *own, bool port,
			       policy_find *find, void *where)
{
	const struct policyc_tables *tables = &policy_profiles[0]->tables;
	const struct policyc_cells *cells =
		port ? tables->port_cells : tables->msr_cells;
	const uint32_t count =
		port ? tables->port_cell_count : tables->msr_cell_count;
	uint64_t *ports = &own->state[tables->port_cell_word];
	uint64_t value;
	uint32_t cell;
	uint32_t i;

	for (i = 0; i < count; i++) {
		const uint32_t end =
			cells[i].cell + (cells[i].last - cells[i].first);

		for (cell = cells[i].cell; cell <= end; cell++) {
			const uint32_t shift = 8u * (cell & 7u);

			if (!find(where, port,
				  cells[i].first + (cell - cells[i].cell),
				  &value))
				continue;
			if (!port) {
				own->state[cell] = value;
				continue;
			}
			ports[cell >> 3] &= ~((uint64_t)0xff << shift);
			ports[cell >> 3] |= (value & 0xffu) << shift;
		}
	}
}

static void policy_adopt(void *vcpu, policy_find *find, void *where)
{
	policy_adopt_space(vcpu, false, find, where);
	policy_adopt_space(vcpu, true, find, where);
}

/* POLICY_SYMBOL. */
__attribute__((visibility("default"))) extern const struct policy_library
	policyc_policy;

const struct policy_library policyc_policy = {
	POLICY_VERSION,
	(uint32_t)(sizeof(policy_profiles) / sizeof(policy_profiles[0])),
	RULES,
	sizeof(struct NAME(vcpu)),
	policy_set_up,
	policy_class,
	policy_io,
	policy_msr,
	policy_decide,
	policy_shadow,
	policy_adopt,
};
