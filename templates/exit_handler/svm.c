/*
 * SVM: VMEXIT_IOIO and VMEXIT_MSR (AMD APM vol. 2, 15.10.2 and 15.11).
 */

#define POLICYC_SVM_IOIO 0x7bu
#define POLICYC_SVM_MSR 0x7cu
#define POLICYC_SVM_MSR_BYTES 2u

/* 1, 2 or 4 from a field of three bits of which one is set, else 0. */
static uint8_t svm_size(uint64_t bits)
{
	bits &= 7u;
	return (uint8_t)(bits == 1u || bits == 2u || bits == 4u ? bits : 0u);
}

/* EXITINFO1 of IOIO: type, string, REP, operand and address size, segment. */
static bool svm_decode_io(struct policyc_io *io, uint64_t info)
{
	io->in = (info & 1u) != 0;
	io->string = (info >> 2 & 1u) != 0;
	io->repeat = (info >> 3 & 1u) != 0;
	io->width = svm_size(info >> 4);
	io->address_bytes = (uint8_t)(2u * svm_size(info >> 7));
	io->segment = (uint8_t)(io->in ? 0u : info >> 10 & 7u);
	io->port = (uint16_t)(info >> 16);
	if (io->width == 0)
		return false;
	return !io->string || (io->address_bytes != 0 && io->segment <= 5u);
}

static enum policyc_status svm_msr(const struct policyc_frame *frame,
				   struct policyc_guest *guest,
				   const struct policyc_svm_exit *exit)
{
	uint64_t next_rip = exit->next_rip;

	if (exit->info1 > 1u)
		return POLICYC_REFUSED;
	if (next_rip == 0)
		next_rip = guest->rip + POLICYC_SVM_MSR_BYTES;
	return msr_exit(frame, guest, next_rip, exit->info1 == 1u);
}

static enum policyc_status svm_exit(const struct policyc_frame *frame,
				    struct policyc_guest *guest,
				    const struct policyc_svm_exit *exit)
{
	/* EXITINFO2 holds the RIP of the instruction after IN or OUT. */
	struct policyc_io io = {exit->info2, 0, 0, 0, 0, false, false, false};

	switch (exit->exit_code) {
	case POLICYC_SVM_IOIO:
		if (!svm_decode_io(&io, exit->info1))
			return POLICYC_REFUSED;
		return io_exit(frame, guest, &io);
	case POLICYC_SVM_MSR:
		return svm_msr(frame, guest, exit);
	default:
		return POLICYC_REFUSED;
	}
}
