/*
 * Acting: a verdict carried out on one access.
 */

/* Words of the state that every policy has; what follows is in the header. */
#define POLICYC_STATE_PENDING 0u
#define POLICYC_NOT_PENDING 0u

/* Vectors that push an error code: 8, 10..14, 17, 21 (SDM vol. 3A 6.15). */
#define POLICYC_ERROR_CODES 0x00227d00u

static struct policyc_fault fault_of(uint8_t vector)
{
	struct policyc_fault fault;

	fault.address = 0;
	fault.error_code = 0;
	fault.vector = vector;
	fault.has_error_code =
		(POLICYC_ERROR_CODES >> (vector & 31u) & 1u) != 0;
	return fault;
}

static struct policyc_fault general_protection(void)
{
	return fault_of(13);
}

/* What a hook may answer for one access; anything else is not believed. */
static enum policyc_status believed(enum policyc_status status)
{
	switch (status) {
	case POLICYC_DONE:
	case POLICYC_FAULT:
	case POLICYC_PENDING:
	case POLICYC_KILL:
		return status;
	case POLICYC_AGAIN:
	case POLICYC_REFUSED:
	default:
		return POLICYC_REFUSED;
	}
}

static enum policyc_status call_msr(policyc_msr_handler *handler,
				    void *context,
				    struct policyc_access *access)
{
	enum policyc_status status;
	struct policyc_msr msr;

	msr.value = access->value;
	msr.index = access->address;
	msr.cpl = access->cpl;
	msr.write = access->kind == POLICYC_WRMSR;
	msr.fault = access->fault;
	status = handler(context, &msr);
	access->value = msr.value;
	access->fault = msr.fault;
	return status;
}

static enum policyc_status call_port(policyc_port_handler *handler,
				     void *context,
				     struct policyc_access *access)
{
	enum policyc_status status;
	struct policyc_port port;

	port.value = (uint32_t)access->value;
	port.port = (uint16_t)access->address;
	port.width = access->width;
	port.cpl = access->cpl;
	port.write = access->kind == POLICYC_OUT;
	port.fault = access->fault;
	status = handler(context, &port);
	access->value = port.value;
	access->fault = port.fault;
	return status;
}

/* The access itself, on the hardware. */
static enum policyc_status do_real(const struct policyc_frame *frame,
				   struct policyc_access *access)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;

	if (is_port(access))
		return call_port(vcpu->hooks->port, vcpu->context, access);
	return call_msr(vcpu->hooks->msr, vcpu->context, access);
}

static enum policyc_status do_forward(const struct policyc_frame *frame,
				      const struct policyc_actions *actions,
				      struct policyc_access *access)
{
	void *context = frame->vcpu->context;

	if (is_port(access))
		return call_port(actions->port, context, access);
	return call_msr(actions->msr, context, access);
}

static enum policyc_status do_mask(const struct policyc_frame *frame,
				   const struct policyc_actions *actions,
				   struct policyc_access *access)
{
	enum policyc_status status;

	if (is_write(access)) {
		access->value = (access->value & actions->value) | actions->set;
		access->value &= ones(access->width);
		return do_real(frame, access);
	}
	status = do_real(frame, access);
	access->value = (access->value & actions->value) | actions->set;
	return status;
}

/* The cell of an address that a rule shadows; there always is one. */
static uint32_t find_cell(const struct policyc_cells *cells, uint32_t count,
			  const struct policyc_access *access)
{
	uint32_t low = 0;

	while (count > 1u) {
		const uint32_t half = count / 2u;

		if (cells[low + half].first <= access->address)
			low += half;
		count -= half;
	}
	return cells[low].cell + (access->address - cells[low].first);
}

/* Shadowed ports are bytes of memory, eight to a word of the state. */
static void do_port_shadow(const struct policyc_frame *frame,
			   struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	uint64_t *words = &frame->state[tables->port_cell_word];
	struct policyc_access byte = *access;
	uint64_t value = 0;
	uint32_t i;

	for (i = 0; i < access->width; i++) {
		uint32_t cell;
		uint32_t shift;
		uint64_t *word;

		byte.address = access->address + i;
		cell = find_cell(tables->port_cells, tables->port_cell_count,
				 &byte);
		shift = 8u * (cell & 7u);
		word = &words[cell >> 3];
		if (is_write(access)) {
			*word &= ~((uint64_t)0xff << shift);
			*word |= (access->value >> 8u * i & 0xffu) << shift;
		}
		value |= (*word >> shift & 0xffu) << 8u * i;
	}
	access->value = value;
}

static void do_shadow(const struct policyc_frame *frame,
		      struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	uint64_t *word;

	if (is_port(access)) {
		do_port_shadow(frame, access);
		return;
	}
	word = &frame->state[find_cell(tables->msr_cells,
				       tables->msr_cell_count, access)];
	if (is_write(access))
		*word = access->value;
	access->value = *word;
}

/* The default hook, unless a handler was registered for the whole access. */
static enum policyc_status do_exit(const struct policyc_frame *frame,
				   struct policyc_access *access)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;
	const struct policyc_registration *found;

	found = find_registration(vcpu->registry, access);
	if (found == NULL)
		return vcpu->hooks->exit(vcpu->context, access);
	if (is_port(access))
		return call_port(found->port, found->context, access);
	return call_msr(found->msr, found->context, access);
}

static enum policyc_status do_kill(const struct policyc_frame *frame,
				   const struct policyc_access *access)
{
	frame->vcpu->hooks->kill(frame->vcpu->context, access);
	return POLICYC_KILL;
}

static enum policyc_status act(const struct policyc_frame *frame,
			       struct policyc_verdict verdict,
			       struct policyc_access *access)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;
	const struct policyc_actions *actions =
		actions_of(frame, verdict.rule);

	switch (verdict.action) {
	case POLICYC_ACT_PASSTHROUGH:
		return do_real(frame, access);
	case POLICYC_ACT_MASK:
		return do_mask(frame, actions, access);
	case POLICYC_ACT_FORWARD:
		return do_forward(frame, actions, access);
	case POLICYC_ACT_EXIT:
		return do_exit(frame, access);
	case POLICYC_ACT_NOTIFY:
		return vcpu->hooks->notify(vcpu->context, access);
	case POLICYC_ACT_SHADOW:
		do_shadow(frame, access);
		return POLICYC_DONE;
	case POLICYC_ACT_CONST:
		access->value = actions->value;
		return POLICYC_DONE;
	case POLICYC_ACT_DROP:
		access->value = is_port(access) ? UINT64_MAX : 0;
		return POLICYC_DONE;
	case POLICYC_ACT_INJECT:
		access->fault = fault_of(actions->vector);
		return POLICYC_FAULT;
	case POLICYC_ACT_KILL:
	default:
		return do_kill(frame, access);
	}
}

/* At most rate events a second; the number held back since comes along. */
static void do_log(const struct policyc_frame *frame,
		   const struct policyc_actions *actions,
		   const struct policyc_access *access, uint64_t *bucket)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;
	uint32_t used;
	uint32_t held;
	uint64_t now;

	if (actions->rate == 0) {
		vcpu->hooks->log(vcpu->context, access, 0);
		return;
	}
	now = vcpu->hooks->seconds(vcpu->context);
	used = (uint32_t)bucket[1];
	held = (uint32_t)(bucket[1] >> 32);
	if (bucket[0] != now)
		used = 0;
	if (used < actions->rate) {
		vcpu->hooks->log(vcpu->context, access, held);
		used++;
		held = 0;
	} else if (held != UINT32_MAX) {
		held++;
	}
	bucket[0] = now;
	bucket[1] = (uint64_t)held << 32 | used;
}

/* The actions before the last one. The rule's slot: its counter, its log. */
static void act_before(const struct policyc_frame *frame,
		       const struct policyc_rule *rule,
		       const struct policyc_access *access)
{
	const struct policyc_actions *actions = actions_of(frame, rule);
	const struct policyc_vcpu *vcpu = frame->vcpu;
	uint64_t *slot = &frame->state[rule->slot];
	size_t i;

	for (i = 0; i < sizeof(actions->before); i++) {
		switch (actions->before[i]) {
		case POLICYC_BEFORE_LOG:
			do_log(frame, actions, access, slot + 1);
			break;
		case POLICYC_BEFORE_COUNT:
			(*slot)++;
			break;
		case POLICYC_BEFORE_TRACE:
			vcpu->hooks->trace(vcpu->context, access);
			break;
		default:
			return;
		}
	}
}

/* What was pending: the address and the rule, which make up no 0. */
static uint64_t pending_mark(const struct policyc_frame *frame,
			     const struct policyc_rule *rule,
			     const struct policyc_access *access)
{
	const uint64_t number = (uint64_t)(rule - frame->tables->rules) + 1u;

	return (uint64_t)access->address << 32 | (number & UINT32_MAX);
}

/*
 * Carries one access out as it was decided. After POLICYC_DONE a read's value
 * is in the access, cut to its width; after POLICYC_FAULT the fault is.
 */
static enum policyc_status perform(const struct policyc_frame *frame,
				   struct policyc_verdict verdict,
				   struct policyc_access *access)
{
	uint64_t *pending = &frame->state[POLICYC_STATE_PENDING];
	enum policyc_status status;

	access->fault = general_protection();
	access->line = verdict.rule->line;
	access->file = verdict.rule->file;
	/*
	 * What was answered "later" has been logged and counted by then; but
	 * another access may come instead, or another value, another rule.
	 */
	if (verdict.reports &&
	    (*pending == POLICYC_NOT_PENDING ||
	     *pending != pending_mark(frame, verdict.rule, access)))
		act_before(frame, verdict.rule, access);
	*pending = POLICYC_NOT_PENDING;
	status = believed(act(frame, verdict, access));
	if (status == POLICYC_PENDING)
		*pending = pending_mark(frame, verdict.rule, access);
	access->value &= ones(access->width);
	return status;
}

static enum policyc_status perform_port(const struct policyc_frame *frame,
					struct policyc_access *access)
{
	const struct policyc_found found =
		find_port(frame, access->address, access->width,
			  !is_write(access));

	return perform(frame, decide_port(frame, found, access), access);
}
