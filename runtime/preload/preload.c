/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a VMM by `policyc exec`: its ioctl() comes here first.
 *
 * KVM_CREATE_VM gives a machine whose MSR filter is the policy's; the VMM's
 * own filter is merged with it. Around KVM_RUN the exits of the filter, and
 * those on ports, are decided by the bundle's exit handler. What the handler
 * passes on, the VMM gets as the exit that it knows: the handler answers
 * "later", KVM_RUN returns to the VMM, and the VMM's next KVM_RUN brings its
 * answer. Everything else goes to the kernel as it came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"
#include "policy.h"
#include "telling.h"
#include "types.h"

#define EXPORTED __attribute__((visibility("default")))
#define MOST_FDS 65536
#define MOST_VCPU 4095u
#define MSR_EFER 0xc0000080u
#define EFER_LME (UINT64_C(1) << 8)
#define CR0_PG (UINT64_C(1) << 31)
#define GENERAL_PROTECTION 13u

/* Vectors that push an error code: 8, 10..14, 17, 21 (SDM vol. 3A 6.15). */
#define ERROR_CODES 0x00227d00u

/* asks: what the VMM itself wants to hear of (KVM_MSR_EXIT_REASON_*). */
struct machine {
	pthread_rwlock_t lock;
	struct filter own;	/* the VMM's */
	uint32_t asks;
	long run_bytes;		/* of struct kvm_run, with its data */
};

enum phase {
	PHASE_FREE,	/* the kernel is next */
	PHASE_PORT,	/* the VMM is asked about one element of a port exit */
	PHASE_MSR	/* the VMM is asked about an MSR */
};

/*
 * One vCPU, used by one thread at a time. answered: the VMM's answer is there,
 * for the next time that the handler asks for the real access.
 */
struct vcpu {
	struct machine *machine;
	struct kvm_run *run;
	size_t bytes;		/* of this structure and the state behind it */
	int fd;
	enum phase phase;
	bool answered;
	uint8_t direction;	/* of a port exit; what follows, too */
	uint8_t size;
	uint16_t port;
	uint32_t count;
	uint32_t done;
	uint64_t offset;	/* of its data in struct kvm_run */
	uint64_t shown;		/* what the VMM sees of a write */
	uint8_t vector;		/* an exception that the handler wants */
	struct shared_record record;
	_Alignas(16) uint8_t state[];
};

static struct machine *_Atomic machines[MOST_FDS];
static struct vcpu *_Atomic vcpus[MOST_FDS];
static struct filter policy;

static int kernel(int fd, unsigned long request, void *argument)
{
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

__attribute__((constructor)) static void begin(void)
{
	telling_begin();
	if (shared == NULL)
		return;
	policy.denies = shared->denies;
	policy.used = shared->ranges_used;
	memcpy(policy.ranges, shared->ranges, sizeof(policy.ranges));
}

/* Memory that no allocator of the VMM's is asked for; NULL where none is. */
static void *room(size_t bytes)
{
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return found == MAP_FAILED ? NULL : found;
}

static int refuse(const char *text)
{
	if (shared != NULL)
		atomic_fetch_add(&shared->refused, 1);
	telling_error(text);
	errno = EACCES;
	return -1;
}

/*
 * Machines and their filters.
 */

static int install(int fd, struct filter *filter)
{
	struct kvm_msr_filter form;

	filter_form(&form, filter);
	return kernel(fd, KVM_X86_SET_MSR_FILTER, &form);
}

static int ask_for_exits(int fd, uint64_t reasons)
{
	struct kvm_enable_cap cap;

	memset(&cap, 0, sizeof(cap));
	cap.cap = KVM_CAP_X86_USER_SPACE_MSR;
	cap.args[0] = reasons | KVM_MSR_EXIT_REASON_FILTER;
	return kernel(fd, KVM_ENABLE_CAP, &cap);
}

static struct machine *new_machine(int kvm)
{
	struct machine *machine = room(sizeof(*machine));

	if (machine == NULL)
		return NULL;
	pthread_rwlock_init(&machine->lock, NULL);
	machine->run_bytes = kernel(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	return machine;
}

/* The capability comes before the filter: else a denied access is #GP. */
static int create_vm(int kvm, void *argument)
{
	struct machine *machine;
	int fd;

	if (shared == NULL)
		return refuse("no policy was found, so no machine is made");
	fd = kernel(kvm, KVM_CREATE_VM, argument);
	if (fd < 0)
		return fd;
	machine = fd < MOST_FDS ? new_machine(kvm) : NULL;
	if (machine == NULL || machine->run_bytes <= 0 ||
	    ask_for_exits(fd, 0) != 0 || install(fd, &policy) != 0) {
		(void)syscall(SYS_close, fd);
		if (machine != NULL)
			munmap(machine, sizeof(*machine));
		return refuse("KVM does not take the policy's filter");
	}
	atomic_store(&machines[fd], machine);
	atomic_fetch_add(&shared->machines, 1);
	return fd;
}

static struct machine *machine_of(int fd)
{
	if (fd < 0 || fd >= MOST_FDS)
		return NULL;
	return atomic_load(&machines[fd]);
}

/* The VMM's own filter: denied is what either denies. */
static int set_filter(int fd, const struct kvm_msr_filter *given)
{
	struct machine *machine = machine_of(fd);
	struct filter own;
	struct filter merged;
	int result;

	if (machine == NULL)
		return refuse("a filter for a machine that is not known");
	if (!filter_copy(&own, given)) {
		errno = EINVAL;
		return -1;
	}
	if (!filter_merge(&merged, &policy, &own))
		return refuse("16 ranges do not hold the policy's filter and "
			      "the VMM's");
	pthread_rwlock_wrlock(&machine->lock);
	result = install(fd, &merged);
	if (result == 0)
		machine->own = own;
	pthread_rwlock_unlock(&machine->lock);
	return result;
}

static int enable_cap(int fd, struct kvm_enable_cap *cap)
{
	struct machine *machine = machine_of(fd);
	int result;

	if (cap->cap != KVM_CAP_X86_USER_SPACE_MSR)
		return kernel(fd, KVM_ENABLE_CAP, cap);
	if (machine == NULL)
		return refuse("MSR exits for a machine that is not known");
	result = ask_for_exits(fd, cap->args[0]);
	if (result == 0) {
		pthread_rwlock_wrlock(&machine->lock);
		machine->asks = (uint32_t)cap->args[0];
		pthread_rwlock_unlock(&machine->lock);
	}
	return result;
}

/* Whether the VMM's own filter denies an access. */
static bool vmm_denies(struct machine *machine, uint32_t index, bool write)
{
	bool denies;

	pthread_rwlock_rdlock(&machine->lock);
	denies = filter_denies(&machine->own, index,
			       write ? FILTER_WRITE : FILTER_READ);
	pthread_rwlock_unlock(&machine->lock);
	return denies;
}

static bool vmm_asks(struct machine *machine, uint32_t reason)
{
	bool asks;

	pthread_rwlock_rdlock(&machine->lock);
	asks = (machine->asks & reason) != 0;
	pthread_rwlock_unlock(&machine->lock);
	return asks;
}

static bool policy_denies(uint32_t index, bool write)
{
	return filter_denies(&policy, index,
			     write ? FILTER_WRITE : FILTER_READ);
}

/*
 * What the handler asks for.
 */

/* A port: the VMM's device. It is asked first, and has answered later. */
int policy_port_real(void *context, struct policyc_port *access)
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

static int msr_of_vmm(struct vcpu *vcpu, struct policyc_msr *access)
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

/* An MSR: the VMM's where its own filter says so, else KVM's. */
int policy_msr_real(void *context, struct policyc_msr *access)
{
	struct vcpu *vcpu = context;
	struct machine *machine = vcpu->machine;
	uint64_t value = access->value;

	if (vcpu->answered ||
	    vmm_denies(machine, access->index, access->write)) {
		if (!vcpu->answered &&
		    !vmm_asks(machine, KVM_MSR_EXIT_REASON_FILTER))
			return POLICYC_FAULT;
		return msr_of_vmm(vcpu, access);
	}
	if (is_forbidden(vcpu, access) ||
	    !kernel_msr(vcpu->fd, access->write ? KVM_SET_MSRS : KVM_GET_MSRS,
			access->index, &value))
		return POLICYC_FAULT;
	access->value = value;
	return POLICYC_DONE;
}

static enum policyc_status port_hook(void *context, struct policyc_port *access)
{
	return (enum policyc_status)policy_port_real(context, access);
}

static enum policyc_status msr_hook(void *context, struct policyc_msr *access)
{
	return (enum policyc_status)policy_msr_real(context, access);
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

	if ((shared->flags & SHARED_ASKS_CPL) == 0 ||
	    kernel(vcpu->fd, KVM_GET_SREGS, &sregs) != 0)
		return 0;
	return sregs.ss.dpl & 3u;
}

/* An access that has not been seen before: counted, by who decides it. */
static void first_seen(struct vcpu *vcpu, uint8_t cpl)
{
	struct shared_record *record = &vcpu->record;
	struct policyc_access access;
	struct policy_verdict verdict;

	memset(&access, 0, sizeof(access));
	access.value = record->value;
	access.address = record->address;
	access.kind = record->kind;
	access.width = record->width;
	access.cpl = cpl;
	verdict = policy_decide(vcpu->state, &access);
	record->rule = record->traps != 0 ? verdict.rule : 0;
	record->action = verdict.action;
	record->answer = 0;
	record->fault = NO_FAULT;
	telling_count(record);
	if (record->traps == 0)
		atomic_fetch_add(&shared->let_through, 1);
}

static void finished(struct vcpu *vcpu, uint64_t answer)
{
	vcpu->record.answer = answer;
	if ((shared->flags & SHARED_TELL_ALL) != 0)
		tell(vcpu, TOLD_EXIT, 0);
}

static bool port_traps(uint32_t port, uint32_t size)
{
	uint32_t each;

	for (each = port; each < port + size; each++)
		if (each > 0xffffu ||
		    (shared->traps[each >> 3] >> (each & 7u) & 1) != 0)
			return true;
	return false;
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

static void begin_element(struct vcpu *vcpu, const uint8_t *data, uint8_t cpl)
{
	struct shared_record *record = &vcpu->record;
	const bool out = vcpu->direction == KVM_EXIT_IO_OUT;

	record->kind = (uint8_t)(out ? POLICYC_OUT : POLICYC_IN);
	record->width = vcpu->size;
	record->address = vcpu->port;
	record->traps = port_traps(vcpu->port, vcpu->size);
	record->value = 0;
	if (out)
		memcpy(&record->value, data, vcpu->size);
	first_seen(vcpu, cpl);
}

/* Element by element. answered: the VMM has done the one at vcpu->done. */
static enum step port_elements(struct vcpu *vcpu, bool answered)
{
	const bool out = vcpu->direction == KVM_EXIT_IO_OUT;
	const uint8_t cpl = privilege(vcpu);

	for (; vcpu->done < vcpu->count; vcpu->done++, answered = false) {
		uint8_t *data = (uint8_t *)vcpu->run + vcpu->offset +
				(size_t)vcpu->done * vcpu->size;
		struct policyc_kvm_io io = {
			data, 1, 0, vcpu->port, vcpu->direction, vcpu->size, cpl
		};
		uint64_t answer = 0;
		int status;

		if (!answered)
			begin_element(vcpu, data, cpl);
		else if (out)
			memcpy(data, &vcpu->record.value, vcpu->size);
		vcpu->answered = answered;
		status = policy_io(vcpu->state, &io);
		if (status == POLICYC_PENDING)
			return show_element(vcpu, data);
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

	if ((shared->flags & SHARED_TELL_ALL) == 0 &&
	    !port_traps(run->io.port, run->io.size)) {
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

/* KVM has queued #GP in place of the MSR access; this takes its place. */
static enum step replace_fault(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const uint8_t before = run->immediate_exit;
	struct kvm_vcpu_events events;

	run->immediate_exit = 1;
	(void)kernel(vcpu->fd, KVM_RUN, NULL);
	run->immediate_exit = before;
	if (kernel(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) != 0)
		return STEP_STOP;
	events.exception.nr = vcpu->vector;
	if ((ERROR_CODES >> (vcpu->vector & 31u) & 1u) == 0)
		events.exception.has_error_code = 0;
	events.exception_has_payload = 0;
	if (kernel(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) != 0)
		return STEP_STOP;
	return STEP_KERNEL;
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
	status = policy_msr(vcpu->state, &msr);
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
	finished(vcpu, write || status == POLICYC_FAULT ? 0 : msr.data);
	if (status == POLICYC_FAULT && vcpu->vector != GENERAL_PROTECTION)
		return replace_fault(vcpu);
	return STEP_KERNEL;
}

/* What only the VMM's own filter denies is the VMM's business, or #GP. */
static enum step msr_exit(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	struct shared_record *record = &vcpu->record;

	if (run->msr.reason != KVM_MSR_EXIT_REASON_FILTER ||
	    !policy_denies(run->msr.index, write)) {
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

static void forget(int fd)
{
	struct vcpu *vcpu;

	if (fd < 0 || fd >= MOST_FDS)
		return;
	vcpu = atomic_exchange(&vcpus[fd], NULL);
	if (vcpu != NULL) {
		munmap(vcpu->run, (size_t)vcpu->machine->run_bytes);
		munmap(vcpu, vcpu->bytes);
	}
	/* A machine's vCPUs may outlive its descriptor: its pages stay. */
	atomic_store(&machines[fd], NULL);
}

static struct vcpu *new_vcpu(int fd, struct machine *machine, uint32_t number)
{
	const size_t bytes = sizeof(struct vcpu) + policy_vcpu_bytes();
	struct vcpu *vcpu = room(bytes);

	if (vcpu == NULL)
		return NULL;
	vcpu->bytes = bytes;
	vcpu->machine = machine;
	vcpu->fd = fd;
	vcpu->record.vcpu = (uint16_t)number;
	vcpu->run = mmap(NULL, (size_t)machine->run_bytes,
			 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vcpu->run != MAP_FAILED &&
	    policy_set_up(vcpu->state, number, &hooks, vcpu))
		return vcpu;
	if (vcpu->run != MAP_FAILED)
		munmap(vcpu->run, (size_t)machine->run_bytes);
	munmap(vcpu, bytes);
	return NULL;
}

static int create_vcpu(int vm, unsigned long number)
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
	forget(fd);
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

static int run_vcpu(int fd, void *argument)
{
	struct vcpu *vcpu = fd >= 0 && fd < MOST_FDS ?
				    atomic_load(&vcpus[fd]) : NULL;
	enum step step = STEP_KERNEL;

	if (vcpu == NULL)
		return refuse("a vCPU that is not known");
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

/*
 * What the VMM calls.
 */

EXPORTED int ioctl(int fd, unsigned long request, ...);
EXPORTED int __ioctl_time64(int fd, unsigned long request, ...);
EXPORTED int close(int fd);

static int dispatch(int fd, unsigned long request, void *argument)
{
	switch ((uint32_t)request) {
	case KVM_CREATE_VM:
		return create_vm(fd, argument);
	case KVM_CREATE_VCPU:
		return create_vcpu(fd, (unsigned long)(uintptr_t)argument);
	case KVM_X86_SET_MSR_FILTER:
		return set_filter(fd, argument);
	case KVM_ENABLE_CAP:
		return enable_cap(fd, argument);
	case KVM_RUN:
		return run_vcpu(fd, argument);
	default:
		return (int)syscall(SYS_ioctl, fd, request, argument);
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	return dispatch(fd, request, argument);
}

int __ioctl_time64(int fd, unsigned long request, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	return dispatch(fd, request, argument);
}

int close(int fd)
{
	forget(fd);
	return (int)syscall(SYS_close, fd);
}
