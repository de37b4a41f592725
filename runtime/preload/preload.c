/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a VMM by `policyc exec`: its ioctl() comes here first, and what
 * makes and ends descriptors. machine.c puts the policy's filter on machines,
 * vcpu.c decides exits. Everything else goes to the kernel as it came.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"
#include "telling.h"
#include "vcpu.h"

#define EXPORTED __attribute__((visibility("default")))

#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_SET_USER_MEMORY_REGION2 0x40a0ae49u
#endif

__attribute__((constructor)) static void begin(void)
{
	telling_begin();
	machines_begin();
}

EXPORTED int ioctl(int fd, unsigned long request, ...);
EXPORTED int close(int fd);
EXPORTED int dup(int fd);
EXPORTED int dup2(int fd, int to);
EXPORTED int dup3(int fd, int to, int flags);
EXPORTED int fcntl(int fd, int command, ...);
EXPORTED int fcntl64(int fd, int command, ...);

/* Its descriptor may have been a vCPU's whose end nobody told. */
static int new_machine(int kvm, void *argument)
{
	const int fd = machine_create(kvm, argument);

	vcpu_forget(fd);
	return fd;
}

static int dispatch(int fd, unsigned long request, void *argument)
{
	switch ((uint32_t)request) {
	case KVM_CREATE_VM:
		return new_machine(fd, argument);
	case KVM_CREATE_VCPU:
		return vcpu_create(fd, (unsigned long)(uintptr_t)argument);
	case KVM_X86_SET_MSR_FILTER:
		return machine_filter(fd, argument);
	case KVM_ENABLE_CAP:
		return machine_capability(fd, argument);
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2:
		return machine_memory(fd, request, argument);
	case KVM_RUN:
		return vcpu_run(fd, argument);
	default:
		return kernel(fd, request, argument);
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

/*
 * Descriptors. A child of vfork() has the parent's memory, but descriptors of
 * its own: what it closes is not forgotten.
 */

static void forget(int fd)
{
	if (!is_own_process())
		return;
	vcpu_forget(fd);
	machine_forget(fd);
}

static int shared_by(int from, int to)
{
	if (to < 0 || from == to || !is_own_process())
		return to;
	vcpu_forget(to);
	machine_forget(to);
	vcpu_share(from, to);
	machine_share(from, to);
	return to;
}

int close(int fd)
{
	forget(fd);
	return (int)syscall(SYS_close, fd);
}

int dup(int fd)
{
	return shared_by(fd, (int)syscall(SYS_dup, fd));
}

int dup2(int fd, int to)
{
	return shared_by(fd, (int)syscall(SYS_dup2, fd, to));
}

int dup3(int fd, int to, int flags)
{
	return shared_by(fd, (int)syscall(SYS_dup3, fd, to, flags));
}

typedef int fcntl_like(int fd, int command, ...);

/* libc's, which does more than the kernel's. POSIX has it fit a pointer. */
static fcntl_like *libc_fcntl(void)
{
	static void *_Atomic found;
	void *at = atomic_load(&found);

	if (at == NULL) {
		at = dlsym(RTLD_NEXT, "fcntl");
		atomic_store(&found, at);
	}
	return (fcntl_like *)(uintptr_t)at;
}

static int control(int fd, int command, void *argument)
{
	fcntl_like *next = libc_fcntl();
	int result;

	if (next == NULL) {
		errno = ENOSYS;
		return -1;
	}
	result = next(fd, command, argument);
	if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
		return result;
	return shared_by(fd, result);
}

int fcntl(int fd, int command, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, command);
	argument = va_arg(rest, void *);
	va_end(rest);
	return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, command);
	argument = va_arg(rest, void *);
	va_end(rest);
	return control(fd, command, argument);
}
