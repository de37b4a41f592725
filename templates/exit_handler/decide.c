/*
 * Deciding: from an access to the rule that speaks for it.
 */

/* All that the handling of one exit needs; lives on the caller's stack. */
struct policyc_frame {
	const struct policyc_vcpu *vcpu;
	const struct policyc_tables *tables;
	const struct policyc_class *vcpu_class;
	uint64_t *state;
	uint8_t windows;	/* how many windows of MSRs have bits */
};

static inline struct policyc_frame frame_of(const struct policyc_vcpu *vcpu,
					    const struct policyc_tables *tables,
					    uint64_t *state, uint8_t windows)
{
	const struct policyc_frame frame = {
		vcpu, tables, &tables->classes[vcpu->vcpu_class], state, windows
	};

	return frame;
}

/* Windows of 0x2000 MSRs; without a bitmap no MSR counts as outside. */
#define POLICYC_VMX_WINDOWS 2u	/* 0.. and 0xc0000000.. */
#define POLICYC_SVM_WINDOWS 3u	/* and 0xc0010000.. */
#define POLICYC_NO_BITMAP 0u

/* What is to be done: a rule's actions, but with drop in place of others. */
struct policyc_verdict {
	const struct policyc_rule *rule;
	uint8_t action;		/* enum policyc_action */
	bool reports;		/* there are actions before that one */
};

static const struct policyc_actions *
actions_of(const struct policyc_frame *frame, const struct policyc_rule *rule)
{
	return &frame->tables->actions[rule->actions];
}

static bool is_write(const struct policyc_access *access)
{
	return access->kind == POLICYC_WRMSR || access->kind == POLICYC_OUT;
}

static bool is_port(const struct policyc_access *access)
{
	return access->kind == POLICYC_IN || access->kind == POLICYC_OUT;
}

/* All ones in the low width bytes; width is 1, 2, 4 or 8. */
static uint64_t ones(uint32_t width)
{
	return UINT64_MAX >> (64u - 8u * width);
}

/* The number of an MSR's window; POLICYC_SVM_WINDOWS where it has none. */
static uint32_t window_of(uint32_t index)
{
	switch (index >> 13) {
	case 0x0:
		return 0;
	case 0x60000:
		return 1;
	case 0x60008:
		return 2;
	default:
		return POLICYC_SVM_WINDOWS;
	}
}

static bool has_bit(const struct policyc_frame *frame, uint32_t index)
{
	return frame->windows == POLICYC_NO_BITMAP ||
	       window_of(index) < frame->windows;
}

/* The run of an address, among all. */
static const struct policyc_run *search(const struct policyc_table *table,
					uint32_t address)
{
	uint32_t low = 0;
	uint32_t high = table->last;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2u;

		if (table->runs[middle].last < address)
			low = middle + 1u;
		else
			high = middle;
	}
	return &table->runs[low];
}

/* The run of an address, and the kind of its step. */
struct policyc_found {
	const struct policyc_run *run;
	uint32_t kind;
};

/* By an address's place in the pages: no search, no branch. */
static inline struct policyc_found look_up(const struct policyc_table *table,
					   uint32_t place)
{
	const struct policyc_page *page = &table->pages[place >> 8];
	const struct policyc_step *step =
		&table->steps[page->steps + (place & 0xffu)];
	const struct policyc_found found = {
		&table->runs[page->run + step->run], step->kind
	};

	return found;
}

static bool condition_holds(const struct policyc_condition *condition,
			    const struct policyc_access *access)
{
	uint64_t subject;

	/* A read carries no value in, so no condition on it holds. */
	if (!condition->cpl && !is_write(access))
		return false;
	subject = condition->cpl ? access->cpl : access->value;
	subject &= condition->mask;
	switch (condition->op) {
	case POLICYC_EQ:
		return subject == condition->operand;
	case POLICYC_NE:
		return subject != condition->operand;
	case POLICYC_LT:
		return subject < condition->operand;
	case POLICYC_LE:
		return subject <= condition->operand;
	case POLICYC_GT:
		return subject > condition->operand;
	default:
		return subject >= condition->operand;
	}
}

static bool rule_holds(const struct policyc_frame *frame,
		       const struct policyc_rule *rule,
		       const struct policyc_access *access)
{
	const struct policyc_condition *conditions =
		&frame->tables->conditions[rule->condition];
	uint32_t i;

	for (i = 0; i < rule->conditions; i++)
		if (!condition_holds(&conditions[i], access))
			return false;
	return true;
}

/* The first rule of a chain that holds; the last one of a chain always does. */
static inline const struct policyc_rule *
ask_chain(const struct policyc_frame *frame, uint32_t link,
	  const struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;

	while (!rule_holds(frame, &tables->rules[tables->links[link]], access))
		link++;
	return &tables->rules[tables->links[link]];
}

/* A rule's verdict on accesses that it decides as a whole. */
static struct policyc_verdict verdict_of(const struct policyc_frame *frame,
					 const struct policyc_rule *rule)
{
	const struct policyc_actions *actions = actions_of(frame, rule);
	const struct policyc_verdict verdict = {
		rule, actions->action, actions->before[0] != 0
	};

	return verdict;
}

/* The verdict of a run's rules on this very access. */
static struct policyc_verdict ask(const struct policyc_frame *frame,
				  const struct policyc_run *run,
				  const struct policyc_access *access)
{
	return verdict_of(frame, ask_chain(frame, run->link, access));
}

/* What was found, where no rule has to be asked. */
static inline struct policyc_verdict told(const struct policyc_frame *frame,
					  struct policyc_found found)
{
	const struct policyc_tables *tables = frame->tables;
	const struct policyc_verdict verdict = {
		&tables->rules[tables->links[found.run->link]],
		(uint8_t)(found.kind & POLICYC_STEP_ACTION),
		(found.kind & POLICYC_STEP_REPORTS) != 0
	};

	return verdict;
}

/* The same of an MSR, where the run's rules end with the default. */
static struct policyc_verdict ask_msr(const struct policyc_frame *frame,
				      const struct policyc_run *run,
				      const struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	const struct policyc_verdict verdict = ask(frame, run, access);

	/* An MSR without a bit exits always; its default is another one. */
	if (verdict.rule == &tables->rules[tables->msr_default] &&
	    !has_bit(frame, access->address))
		return verdict_of(frame, &tables->rules[tables->outside]);
	return verdict;
}

static struct policyc_verdict decide_msr(const struct policyc_frame *frame,
					 const struct policyc_access *access)
{
	const struct policyc_table *table =
		&frame->vcpu_class->columns[is_write(access) ? 1 : 0];
	const uint32_t index = access->address;
	const uint32_t window = window_of(index);
	struct policyc_found found;

	if (window == POLICYC_SVM_WINDOWS)
		return ask_msr(frame, search(table, index), access);
	found = look_up(table, window << 13 | (index & 0x1fffu));
	if ((found.kind & POLICYC_STEP_ASKS) != 0)
		return ask_msr(frame, found.run, access);
	return told(frame, found);
}

/* Whether an action gives one value for all bytes that its rule decides. */
static bool needs_every_byte(uint8_t action)
{
	return action == POLICYC_ACT_MASK || action == POLICYC_ACT_SHADOW ||
	       action == POLICYC_ACT_CONST;
}

/* The place of a verdict among others; those that report come before others. */
static uint32_t strictness(const struct policyc_verdict *verdict)
{
	return 2u * verdict->action + (verdict->reports ? 1u : 0u);
}

/*
 * A wide access is decided byte by byte: the strictest action wins, of equally
 * strict ones one that is logged, counted or traced, so that no wide access is
 * a way around that; of equals that of the lowest port. An action that gives a
 * value must decide every byte, else the access is dropped. Bytes past the last
 * port have no rule: an access that has some is never passed on.
 */
static struct policyc_verdict decide_bytes(const struct policyc_frame *frame,
					   const struct policyc_run *run,
					   const struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	struct policyc_verdict verdict = ask(frame, run, access);
	uint32_t end = access->address + access->width - 1u;
	const bool past = end > 0xffffu;
	bool whole = !past;

	if (past)
		end = 0xffffu;
	while (run->last < end) {
		struct policyc_verdict other;

		run++;
		other = ask(frame, run, access);
		if (other.rule == verdict.rule)
			continue;
		whole = false;
		if (strictness(&other) > strictness(&verdict))
			verdict = other;
	}
	if (needs_every_byte(verdict.action) && !whole)
		verdict.action = POLICYC_ACT_DROP;
	else if (past && verdict.action == POLICYC_ACT_PASSTHROUGH)
		return verdict_of(frame,
				  &tables->rules[tables->past_last_port]);
	return verdict;
}

/*
 * Widths 1, 2, 4 are the columns 0, 1, 2 of their direction. The table of a
 * byte, as most accesses are, is chosen by branches: these are foreseen, while
 * an index would delay the loads that follow.
 */
static inline struct policyc_found find_port(const struct policyc_frame *frame,
					     uint32_t port, uint32_t width,
					     bool in)
{
	const struct policyc_table *columns = frame->vcpu_class->columns;
	const struct policyc_table *ins = &columns[2];
	const struct policyc_table *outs = &columns[5];

	if (width == 1u && in)
		return look_up(ins, port);
	if (width == 1u)
		return look_up(outs, port);
	return look_up((in ? ins : outs) + width / 2u, port);
}

/* found: what find_port() says of the access's first byte. */
static inline struct policyc_verdict
decide_port(const struct policyc_frame *frame, struct policyc_found found,
	    const struct policyc_access *access)
{
	if ((found.kind & POLICYC_STEP_ASKS) != 0 ||
	    found.run->last < access->address + access->width - 1u)
		return decide_bytes(frame, found.run, access);
	return told(frame, found);
}
