/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serving.h"
#include "telling.h"

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct machine *_Atomic machines[MOST_FDS];
static struct epoch *_Atomic in_force;
static struct filter merged;	/* in use while the lock is held */
static _Atomic int own_pid;	/* 0: this process has no machine yet */
static uint32_t orphans;	/* machines that only vCPUs refer to */

int kernel(int fd, unsigned long request, void *argument)
{
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

int refuse(const char *text)
{
	if (shared != NULL)
		atomic_fetch_add(&shared->refused, 1);
	telling_error(text);
	errno = EACCES;
	return -1;
}

static void forked(void)
{
	pthread_mutex_init(&changing, NULL);
	atomic_store(&own_pid, 0);
	orphans = 0;
}

void machines_begin(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

bool is_own_process(void)
{
	return atomic_load(&own_pid) == (int)getpid();
}

struct epoch *policy_in_force(void)
{
	return atomic_load_explicit(&in_force, memory_order_acquire);
}

struct machine *machine_of(int fd)
{
	if (fd < 0 || fd >= MOST_FDS)
		return NULL;
	return atomic_load(&machines[fd]);
}

/*
 * Whose they are.
 */

/* The lock is held. */
static void release(struct machine *machine)
{
	if (--machine->users != 0)
		return;
	if (machine->is_orphan)
		orphans--;
	munmap(machine, sizeof(*machine));
}

void machine_hold(struct machine *machine)
{
	pthread_mutex_lock(&changing);
	machine->users++;
	pthread_mutex_unlock(&changing);
}

void machine_release(struct machine *machine)
{
	pthread_mutex_lock(&changing);
	release(machine);
	pthread_mutex_unlock(&changing);
}

/* The lock is held. */
static void drop(int fd)
{
	struct machine *machine = atomic_exchange(&machines[fd], NULL);

	if (machine == NULL)
		return;
	machine->is_orphan = --machine->descriptors == 0 &&
			     machine->pid == atomic_load(&own_pid);
	orphans += machine->is_orphan;
	release(machine);
}

void machine_forget(int fd)
{
	if (machine_of(fd) == NULL)
		return;
	pthread_mutex_lock(&changing);
	drop(fd);
	pthread_mutex_unlock(&changing);
}

/* The lock is held. A machine that was there has lost its descriptor unseen. */
static void keep(int fd, struct machine *machine)
{
	drop(fd);
	machine->users++;
	machine->descriptors++;
	atomic_store(&machines[fd], machine);
}

void machine_share(int from, int to)
{
	struct machine *machine;

	if (machine_of(from) == NULL || to < 0 || to >= MOST_FDS)
		return;
	pthread_mutex_lock(&changing);
	machine = atomic_load(&machines[from]);
	if (machine != NULL)
		keep(to, machine);
	pthread_mutex_unlock(&changing);
}

/*
 * Filters.
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

int machine_filter(int fd, const struct kvm_msr_filter *given)
{
	struct machine *machine = machine_of(fd);
	struct filter own;
	int result = -1;

	if (machine == NULL)
		return refuse("a filter for a machine that is not known");
	if (!filter_copy(&own, given)) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&changing);
	if (!filter_merge(&merged, &policy_in_force()->filter, &own)) {
		pthread_mutex_unlock(&changing);
		return refuse("16 ranges do not hold the policy's filter and "
			      "the VMM's");
	}
	pthread_rwlock_wrlock(&machine->lock);
	result = install(fd, &merged);
	if (result == 0)
		machine->own = own;
	pthread_rwlock_unlock(&machine->lock);
	pthread_mutex_unlock(&changing);
	return result;
}

int machine_capability(int fd, struct kvm_enable_cap *cap)
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

bool vmm_denies(struct machine *machine, uint32_t index, bool write)
{
	bool denies;

	pthread_rwlock_rdlock(&machine->lock);
	denies = filter_denies(&machine->own, index,
			       write ? FILTER_WRITE : FILTER_READ);
	pthread_rwlock_unlock(&machine->lock);
	return denies;
}

bool vmm_asks(struct machine *machine, uint32_t reason)
{
	bool asks;

	pthread_rwlock_rdlock(&machine->lock);
	asks = (machine->asks & reason) != 0;
	pthread_rwlock_unlock(&machine->lock);
	return asks;
}

/*
 * Another policy, on all machines or on none.
 */

/* One descriptor of each machine of this process, from fd on; -1: no more. */
static int next_machine(int fd)
{
	for (; fd < MOST_FDS; fd++) {
		const struct machine *machine = atomic_load(&machines[fd]);
		int before;

		if (machine == NULL || machine->pid != (int)getpid())
			continue;
		for (before = 0; before < fd; before++)
			if (atomic_load(&machines[before]) == machine)
				break;
		if (before == fd)
			return fd;
	}
	return -1;
}

static bool could_take(struct epoch *epoch, const char **why)
{
	int fd;

	if (orphans != 0) {
		*why = "the VMM has closed a machine that still has vCPUs";
		return false;
	}
	for (fd = next_machine(0); fd >= 0; fd = next_machine(fd + 1))
		if (!filter_merge(&merged, &epoch->filter,
				  &atomic_load(&machines[fd])->own)) {
			*why = "16 ranges do not hold the policy's filter and "
			       "the VMM's";
			return false;
		}
	return true;
}

static bool put_filters(struct epoch *epoch, int end)
{
	int fd;

	for (fd = next_machine(0); fd >= 0 && fd != end;
	     fd = next_machine(fd + 1))
		if (!filter_merge(&merged, &epoch->filter,
				  &atomic_load(&machines[fd])->own) ||
		    install(fd, &merged) != 0) {
			if (end < 0)
				(void)put_filters(policy_in_force(), fd);
			return false;
		}
	return true;
}

/* The lock is held. The filters come first: KVM swaps each at once. */
static bool take(struct epoch *epoch, const char **why)
{
	if (epoch == NULL || !could_take(epoch, why))
		return false;
	if (!put_filters(epoch, -1)) {
		*why = "KVM refuses the policy's filter";
		return false;
	}
	atomic_store_explicit(&in_force, epoch, memory_order_release);
	return true;
}

static bool obey(uint64_t order, const char **why)
{
	struct epoch *epoch;
	bool done;

	pthread_mutex_lock(&changing);
	epoch = epoch_load(order >> 8, why);
	if ((order & 0xffu) == ORDER_TRY)
		done = epoch != NULL && could_take(epoch, why);
	else
		done = take(epoch, why);
	pthread_mutex_unlock(&changing);
	return done;
}

/*
 * Machines.
 */

/* The first machine of a process: policyc hears of it, and it of policyc. */
static const char *begin_process(void)
{
	const char *why = NULL;
	struct epoch *epoch;

	if (is_own_process())
		return NULL;
	epoch = epoch_load(atomic_load(&shared->in_force), &why);
	if (epoch != NULL && !serving_begin(obey))
		return "policyc cannot be told of this process";
	/* It may have changed before policyc knew whom to tell. */
	if (epoch != NULL)
		epoch = epoch_load(atomic_load(&shared->in_force), &why);
	if (epoch == NULL)
		return why;
	atomic_store(&in_force, epoch);
	atomic_store(&own_pid, (int)getpid());
	return NULL;
}

static struct machine *new_machine(int kvm)
{
	struct machine *machine = room(sizeof(*machine));

	if (machine == NULL)
		return NULL;
	pthread_rwlock_init(&machine->lock, NULL);
	machine->run_bytes = kernel(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	machine->pid = (int)getpid();
	return machine;
}

/* The capability comes before the filter: else a denied access is #GP. */
static bool govern(int kvm, int fd)
{
	struct machine *machine = fd < MOST_FDS ? new_machine(kvm) : NULL;

	if (machine == NULL)
		return false;
	if (machine->run_bytes <= 0 || ask_for_exits(fd, 0) != 0 ||
	    install(fd, &policy_in_force()->filter) != 0) {
		munmap(machine, sizeof(*machine));
		return false;
	}
	keep(fd, machine);
	atomic_fetch_add(&shared->machines, 1);
	return true;
}

int machine_create(int kvm, void *argument)
{
	const char *why;
	int fd = -1;

	if (shared == NULL)
		return refuse("no policy was found, so no machine is made");
	pthread_mutex_lock(&changing);
	why = begin_process();
	if (why == NULL) {
		fd = kernel(kvm, KVM_CREATE_VM, argument);
		if (fd >= 0 && !govern(kvm, fd)) {
			(void)syscall(SYS_close, fd);
			why = "KVM does not take the policy's filter";
		}
	}
	pthread_mutex_unlock(&changing);
	return why == NULL ? fd : refuse(why);
}

/*
 * Memory.
 */

/* Both forms of a region begin alike. */
int machine_memory(int fd, unsigned long request, void *region)
{
	struct machine *machine = machine_of(fd);
	const int result = kernel(fd, request, region);
	struct kvm_userspace_memory_region given;
	struct slot *slot;

	if (result != 0 || machine == NULL)
		return result;
	memcpy(&given, region, sizeof(given));
	if (given.slot >= MOST_SLOTS)
		return result;
	slot = &machine->slots[given.slot];
	pthread_rwlock_wrlock(&machine->lock);
	slot->guest = given.guest_phys_addr;
	slot->bytes = given.memory_size;
	slot->host = given.userspace_addr;
	pthread_rwlock_unlock(&machine->lock);
	return result;
}

bool machine_read(struct machine *machine, uint64_t guest, void *to,
		  size_t bytes)
{
	bool found = false;
	uint32_t i;

	pthread_rwlock_rdlock(&machine->lock);
	for (i = 0; i < MOST_SLOTS && !found; i++) {
		const struct slot *slot = &machine->slots[i];
		const uint64_t at = guest - slot->guest;

		if (guest < slot->guest || bytes > slot->bytes ||
		    at > slot->bytes - bytes)
			continue;
		memcpy(to, (const void *)(uintptr_t)(slot->host + at), bytes);
		found = true;
	}
	pthread_rwlock_unlock(&machine->lock);
	return found;
}
