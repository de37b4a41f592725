/*
 * VT-x: exit reasons 30, 31 and 32 (Intel SDM vol. 3C, 28.2 and appendix C).
 */

#define POLICYC_VMX_REASON_IO 30u
#define POLICYC_VMX_REASON_RDMSR 31u
#define POLICYC_VMX_REASON_WRMSR 32u
#define POLICYC_VMX_ENTRY_FAILURE (UINT32_C(1) << 31)

/* Bits 2:0 of the qualification are a width less one; the others reserved. */
static bool vmx_width_is_known(uint64_t qualification)
{
	return (0x0bu >> (qualification & 7u) & 1u) != 0;
}

/*
 * The memory operand from the instruction information: address size in bits
 * 9:7, segment in bits 17:15, which INS leaves undefined: it uses ES.
 */
static bool vmx_decode_string(struct policyc_io *io, uint32_t information)
{
	const uint32_t size = information >> 7 & 7u;
	const uint32_t segment = io->in ? 0u : information >> 15 & 7u;

	io->address_bytes = (uint8_t)(2u << size);
	io->segment = (uint8_t)segment;
	return size <= 2u && segment <= 5u;
}

static bool vmx_decode_io(struct policyc_io *io,
			  const struct policyc_vmx_exit *exit)
{
	const uint64_t qualification = exit->qualification;

	io->width = (uint8_t)((qualification & 7u) + 1u);
	io->in = (qualification >> 3 & 1u) != 0;
	io->string = (qualification >> 4 & 1u) != 0;
	io->repeat = (qualification >> 5 & 1u) != 0;
	io->port = (uint16_t)(qualification >> 16);
	if (!vmx_width_is_known(qualification))
		return false;
	return !io->string || vmx_decode_string(io, exit->instruction_info);
}

static enum policyc_status vmx_exit(const struct policyc_frame *frame,
				    struct policyc_guest *guest,
				    const struct policyc_vmx_exit *exit)
{
	const uint64_t next_rip = guest->rip + exit->instruction_length;
	struct policyc_io io = {next_rip, 0, 0, 0, 0, false, false, false};

	if ((exit->reason & POLICYC_VMX_ENTRY_FAILURE) != 0)
		return POLICYC_REFUSED;
	if (exit->instruction_length - 1u > 14u)
		return POLICYC_REFUSED;
	switch (exit->reason & 0xffffu) {
	case POLICYC_VMX_REASON_IO:
		if (!vmx_decode_io(&io, exit))
			return POLICYC_REFUSED;
		return io_exit(frame, guest, &io);
	case POLICYC_VMX_REASON_RDMSR:
		return msr_exit(frame, guest, next_rip, false);
	case POLICYC_VMX_REASON_WRMSR:
		return msr_exit(frame, guest, next_rip, true);
	default:
		return POLICYC_REFUSED;
	}
}
