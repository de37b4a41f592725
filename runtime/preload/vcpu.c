/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Around KVM_RUN the exits of the filter, and those on ports, are decided by
 * the bundle's exit handler. What the handler passes on, the VMM gets as the
 * exit that it knows: the handler answers "later", KVM_RUN returns to the VMM,
 * and the VMM's next KVM_RUN brings its answer.
 */
#include "vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "telling.h"

#define MOST_VCPU 4095u
#define MSR_EFER 0xc0000080u
#define EFER_LME (UINT64_C(1) << 8)
#define CR0_PG (UINT64_C(1) << 31)
#define AUTO_WAITS 50000u	/* times 0.2 ms that a vCPU waits for policyc */

static struct vcpu *_Atomic vcpus[MOST_FDS];

/*
 * What the handler asks for.
 */

/* A port: the VMM's device. It is asked first, and has answered later. */
static enum policyc_status port_hook(void *context, struct policyc_port *access)
{
	struct vcpu *vcpu = context;

	if (!vcpu->answered) {
		vcpu->shown = access->value;
		return POLICYC_PENDING;
	}
	vcpu->answered = false;
	if (!access->write)
		memcpy(&access->value, (uint8_t *)vcpu->run + vcpu->offset +
		       (size_t)vcpu->done * vcpu->size, vcpu->size);
	return POLICYC_DONE;
}

/* KVM's own MSR, which no filter sees; false where KVM does not have it. */
static bool kernel_msr(int fd, unsigned long request, uint32_t index,
		       uint64_t *value)
{
	_Alignas(8) uint8_t bytes[sizeof(struct kvm_msrs) +
				  sizeof(struct kvm_msr_entry)] = {0};
	struct kvm_msr_entry entry = {.index = index, .data = *value};
	const struct kvm_msrs head = {.nmsrs = 1};

	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), &entry, sizeof(entry));
	if (kernel(fd, request, bytes) != 1)
		return false;
	memcpy(&entry, bytes + sizeof(head), sizeof(entry));
	*value = entry.data;
	return true;
}

/* The host may change what a guest may not: long mode under its feet. */
static bool is_forbidden(struct vcpu *vcpu, const struct policyc_msr *access)
{
	struct kvm_sregs sregs;

	return access->write && access->index == MSR_EFER &&
	       kernel(vcpu->fd, KVM_GET_SREGS, &sregs) == 0 &&
	       (sregs.cr0 & CR0_PG) != 0 &&
	       ((access->value ^ sregs.efer) & EFER_LME) != 0;
}

static enum policyc_status msr_of_vmm(struct vcpu *vcpu,
				      struct policyc_msr *access)
{
	if (!vcpu->answered) {
		vcpu->shown = access->value;
		return POLICYC_PENDING;
	}
	vcpu->answered = false;
	if (vcpu->run->msr.error != 0)
		return POLICYC_FAULT;
	if (!access->write)
		access->value = vcpu->run->msr.data;
	return POLICYC_DONE;
}

/* What KVM would answer the guest where it has no such MSR or value. */
static uint32_t kvm_reason(int fd, const struct policyc_msr *access)
{
	uint64_t value = 0;

	if (access->write &&
	    kernel_msr(fd, KVM_GET_MSRS, access->index, &value))
		return KVM_MSR_EXIT_REASON_INVAL;
	return KVM_MSR_EXIT_REASON_UNKNOWN;
}

/* An MSR: the VMM's where its own filter says so, else KVM's. */
static enum policyc_status msr_hook(void *context, struct policyc_msr *access)
{
	struct vcpu *vcpu = context;
	struct machine *machine = vcpu->machine;
	uint64_t value = access->value;
	uint32_t reason = KVM_MSR_EXIT_REASON_FILTER;

	if (vcpu->answered)
		return msr_of_vmm(vcpu, access);
	if (!vmm_denies(machine, access->index, access->write)) {
		if (!is_forbidden(vcpu, access) &&
		    kernel_msr(vcpu->fd,
			       access->write ? KVM_SET_MSRS : KVM_GET_MSRS,
			       access->index, &value)) {
			access->value = value;
			return POLICYC_DONE;
		}
		reason = kvm_reason(vcpu->fd, access);
	}
	if (!vmm_asks(machine, reason))
		return POLICYC_FAULT;
	vcpu->run->msr.reason = reason;
	return msr_of_vmm(vcpu, access);
}

/* exit and notify: the VMM is the hypervisor whose answer they ask for. */
static enum policyc_status exit_hook(void *context,
				     struct policyc_access *access)
{
	enum policyc_status status;

	if (access->kind == POLICYC_IN || access->kind == POLICYC_OUT) {
		struct policyc_port port;

		memset(&port, 0, sizeof(port));
		port.value = (uint32_t)access->value;
		port.port = (uint16_t)access->address;
		port.width = access->width;
		port.write = access->kind == POLICYC_OUT;
		status = port_hook(context, &port);
		access->value = port.value;
	} else {
		struct policyc_msr msr;

		memset(&msr, 0, sizeof(msr));
		msr.value = access->value;
		msr.index = access->address;
		msr.write = access->kind == POLICYC_WRMSR;
		status = msr_hook(context, &msr);
		access->value = msr.value;
	}
	return status;
}

static void tell(struct vcpu *vcpu, uint8_t what, uint32_t suppressed)
{
	struct shared_record record = vcpu->record;

	record.what = what;
	record.suppressed = suppressed;
	telling_record(&record);
}

static void log_hook(void *context, const struct policyc_access *access,
		     uint32_t suppressed)
{
	(void)access;
	tell(context, TOLD_LOG, suppressed);
}

static void trace_hook(void *context, const struct policyc_access *access)
{
	(void)access;
	tell(context, TOLD_TRACE, 0);
}

static void kill_hook(void *context, const struct policyc_access *access)
{
	(void)access;
	tell(context, TOLD_KILL, 0);
}

static uint64_t seconds_hook(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* On KVM no exit has an operand in memory. */
static enum policyc_status memory_hook(void *context,
				       struct policyc_operand *operand)
{
	(void)context;
	(void)operand;
	return POLICYC_FAULT;
}

/* #GP is KVM's; another exception takes its place once it is queued. */
static void inject_hook(void *context, const struct policyc_fault *fault)
{
	struct vcpu *vcpu = context;

	vcpu->vector = fault->vector;
}

static const struct policyc_hooks hooks = {
	.exit = exit_hook,
	.notify = exit_hook,
	.kill = kill_hook,
	.log = log_hook,
	.trace = trace_hook,
	.seconds = seconds_hook,
	.msr = msr_hook,
	.port = port_hook,
	.memory = memory_hook,
	.inject = inject_hook,
};

/*
 * Exits.
 */

enum step {
	STEP_KERNEL,	/* all is done: run the guest */
	STEP_VMM,	/* the VMM has an exit to answer */
	STEP_STOP	/* the policy stops the machine */
};

static uint8_t privilege(const struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	if ((vcpu->epoch->file->flags & POLICY_ASKS_CPL) == 0 ||
	    kernel(vcpu->fd, KVM_GET_SREGS, &sregs) != 0)
		return 0;
	return sregs.ss.dpl & 3u;
}

/*
 * An access that has not been seen before: counted, by who decides it. It is
 * decided by the policy in force now, to its end.
 */
static void first_seen(struct vcpu *vcpu, uint8_t cpl)
{
	const struct policy_file *file = vcpu->epoch->file;
	struct shared_record *record = &vcpu->record;
	struct policyc_access access;
	struct policy_verdict verdict;

	memset(&access, 0, sizeof(access));
	access.value = record->value;
	access.address = record->address;
	access.kind = record->kind;
	access.width = record->width;
	access.cpl = cpl;
	verdict = vcpu->epoch->library->decide(vcpu->memory->state,
					       file->profile, &access);
	if (verdict.rule == vcpu->epoch->library->rules)
		verdict.rule = file->rule_count - 1u;
	record->rule = record->traps != 0 ? file->rule_base + verdict.rule : 0;
	record->action = verdict.action;
	record->answer = 0;
	record->fault = NO_FAULT;
	telling_count(record);
	if (record->traps == 0)
		atomic_fetch_add(&shared->let_through, 1);
}

/* Policyc has put another policy in force, or has said why not. */
static void wait_for(struct shared_auto *rule)
{
	const struct timespec pause = {0, 200000};
	uint32_t i;

	telling_ring();
	for (i = 0; i < AUTO_WAITS && atomic_load(&rule->done) == 0 &&
		    atomic_load(&shared->killed) == 0; i++)
		nanosleep(&pause, NULL);
}

static bool is_awaited(const struct shared_auto *rule,
		       const struct shared_record *record)
{
	const uint32_t more = record->kind == POLICYC_IN ||
					      record->kind == POLICYC_OUT ?
				      record->width - 1u : 0;
	uint32_t i;

	if (rule->kind != record->kind ||
	    (rule->asks_value != 0 && rule->value != record->value))
		return false;
	for (i = 0; i < rule->ranges_used && i < SHARED_AUTO_RANGES; i++)
		if (record->address <= rule->ranges[i][1] &&
		    (uint64_t)record->address + more >= rule->ranges[i][0])
			return true;
	return false;
}

static bool is_armed(void)
{
	return atomic_load_explicit(&shared->armed, memory_order_relaxed) != 0;
}

/* The first of the rules that waits for the access, once. */
static void fire(const struct shared_record *record)
{
	uint32_t i;

	for (i = 0; i < shared->autos_used && i < SHARED_AUTOS; i++) {
		struct shared_auto *rule = &shared->autos[i];
		uint32_t fired = 0;

		if (!is_awaited(rule, record) ||
		    !atomic_compare_exchange_strong(&rule->fired, &fired, 1))
			continue;
		atomic_fetch_sub(&shared->armed, 1);
		wait_for(rule);
		return;
	}
}

static void finished(struct vcpu *vcpu, uint64_t answer)
{
	vcpu->record.answer = answer;
	if ((shared->flags & SHARED_TELL_ALL) != 0)
		tell(vcpu, TOLD_EXIT, 0);
	if (is_armed())
		fire(&vcpu->record);
}

static bool port_traps(const struct vcpu *vcpu, uint32_t port, uint32_t size)
{
	const uint8_t *bits = vcpu->epoch->file->traps[vcpu->vcpu_class];
	uint32_t each;

	for (each = port; each < port + size; each++)
		if (each > 0xffffu || (bits[each >> 3] >> (each & 7u) & 1) != 0)
			return true;
	return false;
}

/*
 * What a handler remembers.
 */

static struct memory *new_memory(struct vcpu *vcpu, const struct epoch *epoch)
{
	const size_t bytes =
		sizeof(struct memory) + epoch->library->vcpu_bytes;
	struct memory *memory = room(bytes);

	if (memory == NULL)
		return NULL;
	memory->library = epoch->library;
	memory->bytes = bytes;
	if (epoch->library->set_up(memory->state, vcpu->record.vcpu,
				   epoch->file->profile, &hooks, vcpu))
		return memory;
	munmap(memory, bytes);
	return NULL;
}

/* The shadow that was in use last. */
static bool find_shadow(void *where, bool port, uint32_t address,
			uint64_t *value)
{
	const struct memory *memory = where;

	for (; memory != NULL; memory = memory->next)
		if (memory->library->shadow(memory->state, port, address,
					    value))
			return true;
	return false;
}

/* The memory of the epoch's handler becomes the first; false: none is left. */
static bool remember(struct vcpu *vcpu, const struct epoch *epoch)
{
	struct memory **link = &vcpu->memory;
	struct memory *memory;

	while (*link != NULL && (*link)->library != epoch->library)
		link = &(*link)->next;
	memory = *link;
	if (memory == NULL)
		memory = new_memory(vcpu, epoch);
	else if (memory == vcpu->memory)
		return true;
	else
		*link = memory->next;
	if (memory == NULL)
		return false;
	/* Its own are the oldest but for those that nobody else has. */
	memory->library->adopt(memory->state, find_shadow, vcpu->memory);
	memory->next = vcpu->memory;
	vcpu->memory = memory;
	return true;
}

/* An access begins: under the policy in force. */
static bool begin_access(struct vcpu *vcpu)
{
	const struct epoch *epoch = policy_in_force();
	uint32_t vcpu_class;

	if (epoch == vcpu->epoch)
		return true;
	if (!remember(vcpu, epoch))
		return false;
	vcpu_class = epoch->library->vcpu_class(vcpu->memory->state);
	if (vcpu_class >= epoch->file->classes)
		return false;
	vcpu->vcpu_class = vcpu_class;
	vcpu->epoch = epoch;
	return true;
}

/* The VMM gets one element, as an exit of its own. */
static enum step show_element(struct vcpu *vcpu, uint8_t *data)
{
	if (vcpu->direction == KVM_EXIT_IO_OUT)
		memcpy(data, &vcpu->shown, vcpu->size);
	vcpu->run->io.count = 1;
	vcpu->run->io.data_offset = vcpu->offset +
				    (uint64_t)vcpu->done * vcpu->size;
	vcpu->phase = PHASE_PORT;
	return STEP_VMM;
}

static bool begin_element(struct vcpu *vcpu, const uint8_t *data)
{
	struct shared_record *record = &vcpu->record;
	const bool out = vcpu->direction == KVM_EXIT_IO_OUT;

	if (!begin_access(vcpu))
		return false;
	record->kind = (uint8_t)(out ? POLICYC_OUT : POLICYC_IN);
	record->width = vcpu->size;
	record->address = vcpu->port;
	record->traps = port_traps(vcpu, vcpu->port, vcpu->size);
	record->value = 0;
	if (out)
		memcpy(&record->value, data, vcpu->size);
	first_seen(vcpu, privilege(vcpu));
	return true;
}

static int decide_element(struct vcpu *vcpu, uint8_t *data)
{
	struct policyc_kvm_io io = {
		data, 1, 0, vcpu->port, vcpu->direction, vcpu->size,
		privilege(vcpu)
	};

	vcpu->vector = GENERAL_PROTECTION;
	return vcpu->epoch->library->io(vcpu->memory->state,
					vcpu->epoch->file->profile, &io);
}

/* The rest of the instruction is not done: the guest has an exception. */
static enum step raise_at_port(struct vcpu *vcpu)
{
	vcpu->phase = PHASE_FREE;
	if (!fault_of_port(vcpu)) {
		telling_error("the place of an access to a port is not found, "
			      "so no exception can be raised there");
		return STEP_STOP;
	}
	vcpu->record.fault = vcpu->vector;
	finished(vcpu, 0);
	return STEP_KERNEL;
}

/* Element by element. answered: the VMM has done the one at vcpu->done. */
static enum step port_elements(struct vcpu *vcpu, bool answered)
{
	const bool out = vcpu->direction == KVM_EXIT_IO_OUT;

	for (; vcpu->done < vcpu->count; vcpu->done++, answered = false) {
		uint8_t *data = (uint8_t *)vcpu->run + vcpu->offset +
				(size_t)vcpu->done * vcpu->size;
		uint64_t answer = 0;
		int status;

		if (!answered && !begin_element(vcpu, data))
			return STEP_STOP;
		if (answered && out)
			memcpy(data, &vcpu->record.value, vcpu->size);
		vcpu->answered = answered;
		status = decide_element(vcpu, data);
		if (status == POLICYC_PENDING)
			return show_element(vcpu, data);
		if (status == POLICYC_FAULT)
			return raise_at_port(vcpu);
		if (status != POLICYC_DONE)
			return STEP_STOP;
		if (!out)
			memcpy(&answer, data, vcpu->size);
		finished(vcpu, answer);
	}
	vcpu->phase = PHASE_FREE;
	return STEP_KERNEL;
}

/* What no bit asks for goes to the VMM as it is, unless all is to be told. */
static enum step port_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (!begin_access(vcpu))
		return STEP_STOP;
	if ((shared->flags & SHARED_TELL_ALL) == 0 && !is_armed() &&
	    !port_traps(vcpu, run->io.port, run->io.size)) {
		atomic_fetch_add(&shared->exits, run->io.count);
		atomic_fetch_add(&shared->let_through, run->io.count);
		return STEP_VMM;
	}
	vcpu->direction = run->io.direction;
	vcpu->size = run->io.size;
	vcpu->port = run->io.port;
	vcpu->count = run->io.count;
	vcpu->offset = run->io.data_offset;
	vcpu->done = 0;
	return port_elements(vcpu, false);
}

/* answered: the VMM has done it, and struct kvm_run holds its answer. */
static enum step msr_access(struct vcpu *vcpu, bool answered)
{
	struct shared_record *record = &vcpu->record;
	struct kvm_run *run = vcpu->run;
	const bool write = record->kind == POLICYC_WRMSR;
	struct policyc_kvm_msr msr = {
		record->value, record->address, 0, privilege(vcpu), write
	};
	int status;

	if (!answered)
		first_seen(vcpu, msr.cpl);
	vcpu->answered = answered;
	vcpu->vector = GENERAL_PROTECTION;
	vcpu->phase = PHASE_FREE;
	status = vcpu->epoch->library->msr(vcpu->memory->state,
					   vcpu->epoch->file->profile, &msr);
	if (status == POLICYC_PENDING) {
		run->msr.data = write ? vcpu->shown : 0;
		vcpu->phase = PHASE_MSR;
		return STEP_VMM;
	}
	if (status != POLICYC_DONE && status != POLICYC_FAULT)
		return STEP_STOP;
	run->msr.error = status == POLICYC_FAULT;
	run->msr.data = msr.data;
	if (status == POLICYC_FAULT)
		record->fault = vcpu->vector;
	if (status == POLICYC_FAULT && vcpu->vector != GENERAL_PROTECTION &&
	    !fault_of_msr(vcpu))
		return STEP_STOP;
	finished(vcpu, write || status == POLICYC_FAULT ? 0 : msr.data);
	return STEP_KERNEL;
}

static bool policy_denies(const struct vcpu *vcpu, uint32_t index, bool write)
{
	return filter_denies(&vcpu->epoch->filter, index,
			     write ? FILTER_WRITE : FILTER_READ);
}

/*
 * What only the VMM's own filter denies is the VMM's business, or #GP. What
 * neither denies came by a filter that is no more: the policy decides it.
 */
static enum step msr_exit(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	struct shared_record *record = &vcpu->record;

	if (!begin_access(vcpu))
		return STEP_STOP;
	if (run->msr.reason != KVM_MSR_EXIT_REASON_FILTER ||
	    (!policy_denies(vcpu, run->msr.index, write) &&
	     vmm_denies(vcpu->machine, run->msr.index, write))) {
		atomic_fetch_add(&shared->other, 1);
		if (vmm_asks(vcpu->machine, (uint32_t)run->msr.reason))
			return STEP_VMM;
		run->msr.error = 1;
		return STEP_KERNEL;
	}
	record->kind = (uint8_t)(write ? POLICYC_WRMSR : POLICYC_RDMSR);
	record->width = 8;
	record->address = run->msr.index;
	record->traps = 1;
	record->value = write ? run->msr.data : 0;
	return msr_access(vcpu, false);
}

/*
 * vCPUs.
 */

static struct vcpu *vcpu_of(int fd)
{
	return fd >= 0 && fd < MOST_FDS ? atomic_load(&vcpus[fd]) : NULL;
}

static void discard(struct vcpu *vcpu)
{
	struct memory *memory;

	while ((memory = vcpu->memory) != NULL) {
		vcpu->memory = memory->next;
		munmap(memory, memory->bytes);
	}
	if (vcpu->run != NULL)
		munmap(vcpu->run, (size_t)vcpu->machine->run_bytes);
	machine_release(vcpu->machine);
	munmap(vcpu, sizeof(*vcpu));
}

void vcpu_forget(int fd)
{
	struct vcpu *vcpu;

	if (vcpu_of(fd) == NULL)
		return;
	vcpu = atomic_exchange(&vcpus[fd], NULL);
	if (vcpu != NULL && --vcpu->descriptors == 0)
		discard(vcpu);
}

void vcpu_share(int from, int to)
{
	struct vcpu *vcpu = vcpu_of(from);

	if (vcpu == NULL || to < 0 || to >= MOST_FDS)
		return;
	vcpu->descriptors++;
	atomic_store(&vcpus[to], vcpu);
}

static struct vcpu *new_vcpu(int fd, struct machine *machine, uint32_t number)
{
	struct vcpu *vcpu = room(sizeof(*vcpu));
	void *run;

	if (vcpu == NULL)
		return NULL;
	machine_hold(machine);
	vcpu->machine = machine;
	vcpu->context.msr = msr_hook;
	vcpu->context.port = port_hook;
	vcpu->descriptors = 1;
	vcpu->fd = fd;
	vcpu->record.vcpu = (uint16_t)number;
	run = mmap(NULL, (size_t)machine->run_bytes, PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	if (run != MAP_FAILED) {
		vcpu->run = run;
		if (begin_access(vcpu))
			return vcpu;
	}
	discard(vcpu);
	return NULL;
}

int vcpu_create(int vm, unsigned long number)
{
	struct machine *machine = machine_of(vm);
	struct vcpu *vcpu;
	int fd;

	if (machine == NULL)
		return refuse("a vCPU for a machine that is not known");
	if (number > MOST_VCPU)
		return refuse("policies know vCPUs 0..4095");
	fd = (int)syscall(SYS_ioctl, vm, KVM_CREATE_VCPU, number);
	if (fd < 0)
		return fd;
	vcpu_forget(fd);
	machine_forget(fd);
	vcpu = fd < MOST_FDS ? new_vcpu(fd, machine, (uint32_t)number) : NULL;
	if (vcpu == NULL) {
		(void)syscall(SYS_close, fd);
		return refuse("no room for a vCPU");
	}
	atomic_store(&vcpus[fd], vcpu);
	return fd;
}

/* The VMM is asked to end, and no vCPU runs any more. */
static int stopped(void)
{
	const struct timespec pause = {0, 1000000};

	if (atomic_exchange(&shared->killed, 1) == 0)
		kill(getpid(), SIGTERM);
	nanosleep(&pause, NULL);
	errno = EINTR;
	return -1;
}

static enum step handle(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		return port_exit(vcpu);
	case KVM_EXIT_X86_RDMSR:
		return msr_exit(vcpu, false);
	case KVM_EXIT_X86_WRMSR:
		return msr_exit(vcpu, true);
	default:
		atomic_fetch_add(&shared->other, 1);
		return STEP_VMM;
	}
}

int vcpu_run(int fd, void *argument)
{
	struct vcpu *vcpu = vcpu_of(fd);
	enum step step = STEP_KERNEL;

	if (vcpu == NULL)
		return refuse("a vCPU that is not known");
	vcpu->fd = fd;
	if (vcpu->phase == PHASE_PORT)
		step = port_elements(vcpu, true);
	else if (vcpu->phase == PHASE_MSR)
		step = msr_access(vcpu, true);
	while (step == STEP_KERNEL) {
		int result;

		if (atomic_load_explicit(&shared->killed,
					 memory_order_relaxed) != 0)
			return stopped();
		result = kernel(fd, KVM_RUN, argument);
		if (result < 0)
			return result;
		step = handle(vcpu);
	}
	return step == STEP_STOP ? stopped() : 0;
}
