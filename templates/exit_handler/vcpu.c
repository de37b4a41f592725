/*
 * Setting up a vCPU, and resetting what it remembers.
 */

/* The class of a vCPU; the last row ends with the last number there is. */
static uint32_t find_class(const struct policyc_vcpus *rows, uint32_t number)
{
	while (rows->last < number)
		rows++;
	return rows->vcpu_class;
}

static void fill_ports(uint64_t *words, const struct policyc_reset *reset)
{
	uint32_t cell;

	for (cell = reset->from; cell <= reset->to; cell++) {
		const uint32_t place = (cell - reset->from) % reset->unit;
		const uint64_t byte = reset->value >> 8u * place & 0xffu;
		const uint32_t shift = 8u * (cell & 7u);

		words[cell >> 3] &= ~((uint64_t)0xff << shift);
		words[cell >> 3] |= byte << shift;
	}
}

/* Every shadow cell to the value that its rule says; nothing is pending. */
static void reset_shadows(const struct policyc_frame *frame)
{
	const struct policyc_resets *resets =
		&frame->tables->resets[frame->vcpu->vcpu_class];
	uint64_t *ports = &frame->state[frame->tables->port_cell_word];
	uint32_t i;

	frame->state[POLICYC_STATE_PENDING] = POLICYC_NOT_PENDING;
	for (i = 0; i < resets->count; i++) {
		const struct policyc_reset *reset = &resets->resets[i];
		uint32_t cell;

		if (reset->unit < 8) {
			fill_ports(ports, reset);
			continue;
		}
		for (cell = reset->from; cell <= reset->to; cell++)
			frame->state[cell] = reset->value;
	}
}
