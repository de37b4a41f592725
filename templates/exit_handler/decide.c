/*
 * Deciding: from an access to the rule that speaks for it.
 */

/* All that the handling of one exit needs; lives on the caller's stack. */
struct policyc_frame {
	const struct policyc_vcpu *vcpu;
	const struct policyc_tables *tables;
	uint64_t *state;
	uint8_t windows;	/* how many windows of MSRs have bits */
};

/* Windows of 0x2000 MSRs; without a bitmap no MSR counts as outside. */
#define POLICYC_VMX_WINDOWS 2u	/* 0.. and 0xc0000000.. */
#define POLICYC_SVM_WINDOWS 3u	/* and 0xc0010000.. */
#define POLICYC_NO_BITMAP 0u

/* What is to be done: a rule's actions, but with drop in place of others. */
struct policyc_verdict {
	const struct policyc_rule *rule;
	uint8_t action;
};

static const struct policyc_class *class_of(const struct policyc_frame *frame)
{
	return &frame->tables->classes[frame->vcpu->vcpu_class];
}

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
static uint32_t search(const struct policyc_table *table, uint32_t address)
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
	return low;
}

/* The run of an address by its place in the pages: no search, no branch. */
static inline uint32_t look_up(const struct policyc_table *table,
			       uint32_t place)
{
	const struct policyc_page *page = &table->pages[place >> 8];

	return page->run + table->steps[page->steps + (place & 0xffu)];
}

static inline uint32_t find_msr(const struct policyc_table *table,
				uint32_t index)
{
	const uint32_t window = window_of(index);

	if (table->pages == NULL || window == POLICYC_SVM_WINDOWS)
		return search(table, index);
	return look_up(table, window << 13 | (index & 0x1fffu));
}

static inline uint32_t find_port(const struct policyc_table *table,
				 uint32_t port)
{
	if (table->pages == NULL)
		return search(table, port);
	return look_up(table, port);
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
	uint32_t number;

	for (;; link++) {
		number = tables->links[link];
		if (number == POLICYC_DEFAULT)
			break;
		if (rule_holds(frame, &tables->rules[number], access))
			return &tables->rules[number];
	}
	number = is_port(access) ? tables->io_default : tables->msr_default;
	return &tables->rules[number];
}

static struct policyc_verdict decide_msr(const struct policyc_frame *frame,
					 const struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	const struct policyc_table *table;
	struct policyc_verdict verdict;
	uint32_t run;

	table = class_of(frame)->columns[access->kind == POLICYC_WRMSR];
	run = find_msr(table, access->address);
	verdict.rule = ask_chain(frame, table->runs[run].link, access);
	/* An MSR without a bit exits always; its default is another one. */
	if (verdict.rule == &tables->rules[tables->msr_default] &&
	    !has_bit(frame, access->address))
		verdict.rule = &tables->rules[tables->outside];
	verdict.action = actions_of(frame, verdict.rule)->action;
	return verdict;
}

/* Whether an action gives one value for all bytes that its rule decides. */
static bool needs_every_byte(uint8_t action)
{
	return action == POLICYC_ACT_MASK || action == POLICYC_ACT_SHADOW ||
	       action == POLICYC_ACT_CONST;
}

static const struct policyc_table *
port_table(const struct policyc_frame *frame,
	   const struct policyc_access *access)
{
	/* Widths 1, 2, 4 are columns 0, 1, 2 of their direction. */
	const uint32_t column = (access->kind == POLICYC_OUT ? 5u : 2u) +
				access->width / 2u;

	return class_of(frame)->columns[column];
}

/* The place of an action among others; those that report come before others. */
static uint32_t strictness(const struct policyc_actions *actions)
{
	return 2u * actions->action +
	       (actions->before[0] == 0 ? 0u : 1u);
}

/*
 * A wide access is decided byte by byte: the strictest action wins, of equally
 * strict ones one that is logged, counted or traced, so that no wide access is
 * a way around that; of equals that of the lowest port. An action that gives a
 * value must decide every byte, else the access is dropped. Bytes past the last
 * port have no rule: an access that has some is never passed on.
 */
static struct policyc_verdict decide_port(const struct policyc_frame *frame,
					  const struct policyc_access *access)
{
	const struct policyc_tables *tables = frame->tables;
	const struct policyc_table *table = port_table(frame, access);
	uint32_t end = access->address + access->width - 1u;
	uint32_t run = find_port(table, access->address);
	const bool past = end > 0xffffu;
	struct policyc_verdict verdict;
	bool whole = !past;

	if (past)
		end = 0xffffu;
	verdict.rule = ask_chain(frame, table->runs[run].link, access);
	while (table->runs[run].last < end) {
		const struct policyc_rule *rule;

		run++;
		rule = ask_chain(frame, table->runs[run].link, access);
		if (rule == verdict.rule)
			continue;
		whole = false;
		if (strictness(actions_of(frame, rule)) >
		    strictness(actions_of(frame, verdict.rule)))
			verdict.rule = rule;
	}
	verdict.action = actions_of(frame, verdict.rule)->action;
	if (needs_every_byte(verdict.action) && !whole) {
		verdict.action = POLICYC_ACT_DROP;
	} else if (past && verdict.action == POLICYC_ACT_PASSTHROUGH) {
		verdict.rule = &tables->rules[tables->past_last_port];
		verdict.action = POLICYC_ACT_EXIT;
	}
	return verdict;
}
