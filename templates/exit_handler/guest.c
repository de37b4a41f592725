/*
 * Registers: what RDMSR, WRMSR, IN and OUT, with or without a string operand,
 * read and write, on VT-x and SVM alike.
 */

#define POLICYC_TRAP_FLAG (UINT64_C(1) << 8)
#define POLICYC_DIRECTION_FLAG (UINT64_C(1) << 10)

/* An IN or OUT instruction, decoded. */
struct policyc_io {
	uint64_t next_rip;
	uint16_t port;
	uint8_t width;		/* 1, 2 or 4 */
	uint8_t segment;	/* of a string operand, 0..5 */
	uint8_t address_bytes;	/* of a string operand, 2, 4 or 8 */
	bool in;
	bool string;
	bool repeat;
};

/* Outside 64-bit code RIP has 32 bits. */
static void finish(struct policyc_guest *guest, uint64_t next_rip)
{
	guest->rip = guest->long_mode ? next_rip : next_rip & UINT32_MAX;
}

/* A fault is injected where the instruction stands; nothing else changes. */
static enum policyc_status conclude(const struct policyc_frame *frame,
				    const struct policyc_access *access,
				    enum policyc_status status)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;

	if (status == POLICYC_FAULT) {
		/* Of a string's memory too: the guest leaves the access. */
		frame->state[POLICYC_STATE_PENDING] = POLICYC_NOT_PENDING;
		vcpu->hooks->inject(vcpu->context, &access->fault);
	}
	return status;
}

static enum policyc_status msr_exit(const struct policyc_frame *frame,
				    struct policyc_guest *guest,
				    uint64_t next_rip, bool write)
{
	struct policyc_access access = {
		0,
		(uint32_t)guest->rcx,
		0,
		0,
		(uint8_t)(write ? POLICYC_WRMSR : POLICYC_RDMSR),
		8,
		guest->cpl,
		{0, 0, 0, false},
	};
	enum policyc_status status;

	if (write)
		access.value = guest->rdx << 32 | (guest->rax & UINT32_MAX);
	status = perform(frame, decide_msr(frame, &access), &access);
	if (status != POLICYC_DONE)
		return conclude(frame, &access, status);
	if (!write) {
		guest->rax = access.value & UINT32_MAX;
		guest->rdx = access.value >> 32;
	}
	finish(guest, next_rip);
	return POLICYC_DONE;
}

static struct policyc_access port_access(const struct policyc_guest *guest,
					 const struct policyc_io *io)
{
	const struct policyc_access access = {
		0,
		io->port,
		0,
		0,
		(uint8_t)(io->in ? POLICYC_IN : POLICYC_OUT),
		io->width,
		guest->cpl,
		{0, 0, 0, false},
	};

	return access;
}

/* The low width bytes of old replaced; a dword clears what is above it. */
static uint64_t merged(uint64_t old, const struct policyc_access *access)
{
	if (access->width == 4)
		return access->value;
	return (old & ~ones(access->width)) | access->value;
}

static enum policyc_status plain_io(const struct policyc_frame *frame,
				    struct policyc_guest *guest,
				    const struct policyc_io *io)
{
	/* First of all: what comes next need not wait for it. */
	const struct policyc_found found =
		find_port(frame, io->port, io->width, io->in);
	struct policyc_access access = port_access(guest, io);
	enum policyc_status status;

	access.value = io->in ? 0 : guest->rax & ones(io->width);
	status = perform(frame, decide_port(frame, found, &access), &access);
	if (status != POLICYC_DONE)
		return conclude(frame, &access, status);
	if (io->in)
		guest->rax = merged(guest->rax, &access);
	finish(guest, io->next_rip);
	return POLICYC_DONE;
}

/*
 * A register written with the address size: a word leaves what is above it,
 * a dword clears it.
 */
static uint64_t put_address(const struct policyc_io *io, uint64_t old,
			    const uint64_t *value)
{
	const uint64_t cut = *value & ones(io->address_bytes);

	return io->address_bytes == 2 ? (old & ~ones(2)) | cut : cut;
}

static enum policyc_status use_memory(const struct policyc_frame *frame,
				      struct policyc_operand *operand,
				      enum policyc_memory operation)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;

	operand->operation = (uint8_t)operation;
	operand->fault = general_protection();
	return believed(vcpu->hooks->memory(vcpu->context, operand));
}

/* The destination is probed first: a byte read from a FIFO is gone. */
static enum policyc_status in_element(const struct policyc_frame *frame,
				      struct policyc_operand *operand,
				      struct policyc_access *access)
{
	enum policyc_status status;

	status = use_memory(frame, operand, POLICYC_MEMORY_PROBE);
	access->fault = operand->fault;
	if (status != POLICYC_DONE)
		return status;
	access->value = 0;
	status = perform_port(frame, access);
	if (status != POLICYC_DONE)
		return status;
	operand->value = (uint32_t)access->value;
	status = use_memory(frame, operand, POLICYC_MEMORY_WRITE);
	access->fault = operand->fault;
	/* "Later" would read the port a second time. */
	return status == POLICYC_PENDING ? POLICYC_REFUSED : status;
}

static enum policyc_status out_element(const struct policyc_frame *frame,
				       struct policyc_operand *operand,
				       struct policyc_access *access)
{
	enum policyc_status status;

	status = use_memory(frame, operand, POLICYC_MEMORY_READ);
	access->fault = operand->fault;
	if (status != POLICYC_DONE)
		return status;
	access->value = operand->value & ones(operand->width);
	return perform_port(frame, access);
}

/* One element; the index register moves only when all of it is done. */
static enum policyc_status string_element(const struct policyc_frame *frame,
					  struct policyc_guest *guest,
					  const struct policyc_io *io)
{
	uint64_t *index = io->in ? &guest->rdi : &guest->rsi;
	struct policyc_access access = port_access(guest, io);
	struct policyc_operand operand = {
		*index & ones(io->address_bytes),
		0,
		0,
		io->segment,
		io->width,
		io->address_bytes,
		guest->cpl,
		{0, 0, 0, false},
	};
	enum policyc_status status;
	uint64_t moved;

	status = io->in ? in_element(frame, &operand, &access)
			: out_element(frame, &operand, &access);
	if (status != POLICYC_DONE)
		return conclude(frame, &access, status);
	if ((guest->rflags & POLICYC_DIRECTION_FLAG) != 0)
		moved = operand.offset - io->width;
	else
		moved = operand.offset + io->width;
	*index = put_address(io, *index, &moved);
	return POLICYC_DONE;
}

/*
 * INS or OUTS. The registers show what is done after every element, so that
 * the guest, or a call for what was pending, goes on from there. With the trap
 * flag one element is done, as the processor would.
 */
static enum policyc_status string_io(const struct policyc_frame *frame,
				     struct policyc_guest *guest,
				     const struct policyc_io *io)
{
	const bool trap = (guest->rflags & POLICYC_TRAP_FLAG) != 0;
	const uint32_t limit = trap ? 1u : POLICYC_STRING_LIMIT;
	uint64_t left = 1;
	uint32_t done;

	if (io->repeat)
		left = guest->rcx & ones(io->address_bytes);
	for (done = 0; left > 0; done++) {
		enum policyc_status status;

		if (done == limit)
			return POLICYC_AGAIN;
		status = string_element(frame, guest, io);
		if (status != POLICYC_DONE)
			return status;
		left--;
		if (io->repeat)
			guest->rcx = put_address(io, guest->rcx, &left);
	}
	finish(guest, io->next_rip);
	return POLICYC_DONE;
}

static enum policyc_status io_exit(const struct policyc_frame *frame,
				   struct policyc_guest *guest,
				   const struct policyc_io *io)
{
	if (io->string)
		return string_io(frame, guest, io);
	return plain_io(frame, guest, io);
}
