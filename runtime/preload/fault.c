/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM tells of IN and INS before it moves RIP. Of OUT, too, where the
 * processor did the decoding; where KVM's emulator did, RIP has moved already,
 * and so have the registers of OUTS. With REP they have, but RIP has not, not
 * even at the last element. Which of them it is shows when the access is
 * finished, and in the guest's code.
 */
#include "fault.h"

#include <string.h>
#include <sys/ioctl.h>

/* Vectors that push an error code: 8, 10..14, 17, 21 (SDM vol. 3A 6.15). */
#define ERROR_CODES 0x00227d00u
#define CR0_PE (UINT64_C(1) << 0)
#define FLAG_DF (UINT64_C(1) << 10)
#define LONGEST 15	/* bytes of an instruction */

/* An I/O instruction as it lies in memory. */
struct code {
	uint32_t length;
	bool is_string;
	bool repeats;
	bool has_67;	/* the other address size */
};

struct stand {
	struct vcpu *vcpu;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* What KVM_RUN has begun is done; the guest does not go on. */
static void finish(struct vcpu *vcpu)
{
	const uint8_t before = vcpu->run->immediate_exit;

	vcpu->run->immediate_exit = 1;
	(void)kernel(vcpu->fd, KVM_RUN, NULL);
	vcpu->run->immediate_exit = before;
}

static bool queue(struct vcpu *vcpu, bool is_protected)
{
	struct kvm_vcpu_events events;

	if (kernel(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) != 0)
		return false;
	events.exception.injected = 1;
	events.exception.pending = 0;
	events.exception.nr = vcpu->vector;
	events.exception.has_error_code =
		is_protected && (ERROR_CODES >> (vcpu->vector & 31u) & 1u) != 0;
	events.exception.error_code = 0;
	events.exception_has_payload = 0;
	return kernel(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) == 0;
}

bool fault_of_msr(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	finish(vcpu);
	return kernel(vcpu->fd, KVM_GET_SREGS, &sregs) == 0 &&
	       queue(vcpu, (sregs.cr0 & CR0_PE) != 0);
}

/* Bytes of the guest's memory, by linear address; the count that is there. */
static uint32_t read_linear(const struct stand *stand, uint64_t linear,
			    uint8_t *to, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i++) {
		struct kvm_translation at;

		memset(&at, 0, sizeof(at));
		at.linear_address = linear + i;
		if (kernel(stand->vcpu->fd, KVM_TRANSLATE, &at) != 0 ||
		    at.valid == 0 ||
		    !machine_read(stand->vcpu->machine, at.physical_address,
				  &to[i], 1))
			break;
	}
	return i;
}

static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
	case 0x64: case 0x65: case 0x66: case 0x67:
	case 0xf2: case 0xf3:
		return true;
	default:
		return false;
	}
}

/* Opcodes 6c..6f, e4..e7 and ec..ef: even ones move a byte. */
static bool moves(uint8_t opcode, const struct vcpu *vcpu)
{
	const bool out = (opcode & 2u) != 0;

	return ((opcode & 0xfcu) == 0x6cu || (opcode & 0xf4u) == 0xe4u) &&
	       out == (vcpu->direction == KVM_EXIT_IO_OUT) &&
	       ((opcode & 1u) == 0) == (vcpu->size == 1);
}

static bool is_in_dx(const struct stand *stand)
{
	return (stand->regs.rdx & 0xffffu) == stand->vcpu->port;
}

static void take_prefix(struct code *code, uint8_t byte)
{
	code->repeats |= byte == 0xf2 || byte == 0xf3;
	code->has_67 |= byte == 0x67;
	code->length++;
}

/* The string instruction at RIP, if that is what lies there. */
static bool string_at(const struct stand *stand, struct code *code)
{
	uint8_t bytes[LONGEST] = {0};
	uint32_t i = 0;

	memset(code, 0, sizeof(*code));
	(void)read_linear(stand, stand->sregs.cs.base + stand->regs.rip, bytes,
			  sizeof(bytes));
	for (; i < LONGEST - 1 && is_prefix(bytes[i]); i++)
		take_prefix(code, bytes[i]);
	if (stand->sregs.cs.l != 0 && (bytes[i] & 0xf0u) == 0x40u &&
	    i < LONGEST - 1)
		i++;
	code->is_string = true;
	return (bytes[i] & 0xfcu) == 0x6cu && moves(bytes[i], stand->vcpu) &&
	       is_in_dx(stand);
}

/* OUT needs the prefix 66 for the size that its mode does not have. */
static bool wants_66(const struct stand *stand)
{
	const bool is_wide = stand->sregs.cs.l != 0 || stand->sregs.cs.db != 0;

	return stand->vcpu->size == (is_wide ? 2 : 4);
}

/* The OUT or OUTS that ends before RIP, if one does. */
static bool ends_before(const struct stand *stand, struct code *code)
{
	const uint64_t end = stand->sregs.cs.base + stand->regs.rip;
	const struct vcpu *vcpu = stand->vcpu;
	uint8_t bytes[LONGEST];	/* the last one first */
	uint32_t known = 0;

	while (known < LONGEST &&
	       read_linear(stand, end - 1u - known, &bytes[known], 1) == 1)
		known++;
	memset(code, 0, sizeof(*code));
	if (known >= 2 && (bytes[1] & 0xfcu) == 0xe4u &&
	    moves(bytes[1], vcpu) && bytes[0] == vcpu->port)
		code->length = 2;
	else if (known >= 1 && (bytes[0] & 0xfcu) != 0xe4u &&
		 moves(bytes[0], vcpu) && is_in_dx(stand))
		code->length = 1;
	else
		return false;
	code->is_string = (bytes[code->length - 1u] & 0xfcu) == 0x6cu;
	if (!code->is_string) {
		if (wants_66(stand) && code->length < known &&
		    bytes[code->length] == 0x66)
			code->length++;
		return true;
	}
	while (code->length < known && is_prefix(bytes[code->length]))
		take_prefix(code, bytes[code->length]);
	return true;
}

static uint64_t address_mask(const struct stand *stand,
			     const struct code *code)
{
	if (stand->sregs.cs.l != 0)
		return code->has_67 ? UINT32_MAX : UINT64_MAX;
	if ((stand->sregs.cs.db != 0) != code->has_67)
		return UINT32_MAX;
	return 0xffff;
}

static uint64_t moved(uint64_t value, uint64_t mask, uint64_t by)
{
	return (value & ~mask) | ((value + by) & mask);
}

/* Registers of a string as they were, or would be, so many elements on. */
static void step_string(struct stand *stand, const struct code *code,
			uint64_t elements)
{
	const uint64_t mask = address_mask(stand, code);
	const bool out = stand->vcpu->direction == KVM_EXIT_IO_OUT;
	uint64_t by = elements * stand->vcpu->size;

	if ((stand->regs.rflags & FLAG_DF) != 0)
		by = 0 - by;
	if (out)
		stand->regs.rsi = moved(stand->regs.rsi, mask, by);
	else
		stand->regs.rdi = moved(stand->regs.rdi, mask, by);
	if (code->repeats)
		stand->regs.rcx = moved(stand->regs.rcx, mask, 0 - elements);
}

/* RIP, and what else an emulated OUT or OUTS has moved, back to its start. */
static bool back(struct stand *stand)
{
	const uint64_t accumulator =
		UINT64_MAX >> (64u - 8u * stand->vcpu->size);
	struct code behind;
	struct code here;
	const bool ended = ends_before(stand, &behind) && !behind.repeats;
	const bool goes_on = string_at(stand, &here) && here.repeats;

	/* Both fit seldom; what was not in the accumulator was no OUT's. */
	if (goes_on && (!ended || (!behind.is_string &&
				   ((stand->regs.rax ^
				     stand->vcpu->record.value) &
				    accumulator) != 0))) {
		step_string(stand, &here, UINT64_MAX);
		return true;
	}
	if (!ended)
		return false;
	stand->regs.rip -= behind.length;
	if (behind.is_string)
		step_string(stand, &behind, UINT64_MAX);
	return true;
}

/* What INS is going to write from the element on is what is there already. */
static void keep_memory(const struct stand *stand, const struct code *code)
{
	const struct vcpu *vcpu = stand->vcpu;
	const uint64_t mask = address_mask(stand, code);
	uint8_t *data = (uint8_t *)vcpu->run + vcpu->offset;
	uint64_t at = stand->regs.rdi;
	uint32_t i;

	for (i = 0; i < vcpu->count; i++, data += vcpu->size) {
		const uint64_t linear = stand->sregs.es.base + (at & mask);

		if (i >= vcpu->done)
			(void)read_linear(stand, linear, data, vcpu->size);
		at = (stand->regs.rflags & FLAG_DF) != 0 ? at - vcpu->size :
							   at + vcpu->size;
	}
}

/* IN and INS: nothing has moved yet. */
static bool finish_in(struct stand *stand)
{
	struct vcpu *vcpu = stand->vcpu;
	struct kvm_regs regs = stand->regs;
	struct code code;

	if (string_at(stand, &code)) {
		keep_memory(stand, &code);
		/* These elements and no more, lest KVM asks for others. */
		regs.rcx = vcpu->count;
		if (kernel(vcpu->fd, KVM_SET_REGS, &regs) != 0)
			return false;
		step_string(stand, &code, vcpu->done);
	}
	finish(vcpu);
	return true;
}

static bool finish_out(struct stand *stand)
{
	struct kvm_regs after;

	finish(stand->vcpu);
	if (kernel(stand->vcpu->fd, KVM_GET_REGS, &after) != 0)
		return false;
	return after.rip != stand->regs.rip || back(stand);
}

bool fault_of_port(struct vcpu *vcpu)
{
	struct stand stand;

	stand.vcpu = vcpu;
	if (kernel(vcpu->fd, KVM_GET_REGS, &stand.regs) != 0 ||
	    kernel(vcpu->fd, KVM_GET_SREGS, &stand.sregs) != 0)
		return false;
	if (!(vcpu->direction == KVM_EXIT_IO_OUT ? finish_out(&stand) :
						   finish_in(&stand)))
		return false;
	return kernel(vcpu->fd, KVM_SET_REGS, &stand.regs) == 0 &&
	       queue(vcpu, (stand.sregs.cr0 & CR0_PE) != 0);
}
