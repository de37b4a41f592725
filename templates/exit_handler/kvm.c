/*
 * KVM: KVM_EXIT_IO, KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR. KVM finishes
 * the instruction itself when the vCPU runs next, so no register is touched.
 */

/* KVM gives one page of data at most (Documentation/virt/kvm/api.rst). */
#define POLICYC_KVM_DATA_BYTES 4096u

static bool kvm_io_well_formed(const struct policyc_kvm_io *io)
{
	if (io->direction > 1u || io->done > io->count)
		return false;
	if (io->size != 1 && io->size != 2 && io->size != 4)
		return false;
	return io->count <= POLICYC_KVM_DATA_BYTES / io->size;
}

static uint64_t kvm_get(const struct policyc_kvm_io *io)
{
	const uint8_t *data = io->data + (size_t)io->done * io->size;
	uint64_t value = 0;
	uint32_t i;

	for (i = 0; i < io->size; i++)
		value |= (uint64_t)data[i] << 8u * i;
	return value;
}

static void kvm_put(const struct policyc_kvm_io *io, uint64_t value)
{
	uint8_t *data = io->data + (size_t)io->done * io->size;
	uint32_t i;

	for (i = 0; i < io->size; i++)
		data[i] = (uint8_t)(value >> 8u * i);
}

/* Elements from done on; after POLICYC_PENDING a second call goes on there. */
static enum policyc_status kvm_io(const struct policyc_frame *frame,
				  struct policyc_kvm_io *io)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;
	const bool in = io->direction == 0;
	enum policyc_status status = POLICYC_DONE;

	if (!kvm_io_well_formed(io))
		return POLICYC_REFUSED;
	for (; io->done < io->count; io->done++) {
		struct policyc_access access = {
			0,
			io->port,
			0,
			0,
			(uint8_t)(in ? POLICYC_IN : POLICYC_OUT),
			io->size,
			io->cpl,
			{0, 0, 0, false},
		};

		if (!in)
			access.value = kvm_get(io);
		status = perform_port(frame, &access);
		if (status == POLICYC_FAULT)
			vcpu->hooks->inject(vcpu->context, &access.fault);
		if (status != POLICYC_DONE)
			break;
		if (in)
			kvm_put(io, access.value);
	}
	return status;
}

/* #GP is what KVM raises for error; other exceptions are for the hook. */
static enum policyc_status kvm_msr(const struct policyc_frame *frame,
				   struct policyc_kvm_msr *msr)
{
	const struct policyc_vcpu *vcpu = frame->vcpu;
	struct policyc_access access = {
		msr->write ? msr->data : 0,
		msr->index,
		0,
		0,
		(uint8_t)(msr->write ? POLICYC_WRMSR : POLICYC_RDMSR),
		8,
		msr->cpl,
		{0, 0, 0, false},
	};
	const enum policyc_status status =
		perform(frame, decide_msr(frame, &access), &access);

	msr->error = status != POLICYC_DONE;
	if (status == POLICYC_DONE && !msr->write)
		msr->data = access.value;
	if (status == POLICYC_FAULT && access.fault.vector != 13)
		vcpu->hooks->inject(vcpu->context, &access.fault);
	return status;
}
