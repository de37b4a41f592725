/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plainest VMM in C: a guest that writes to one port for ever, and a loop
 * over KVM_RUN that looks at each exit. Prints exits a second of processor
 * time. bench/exec.py runs it bare and under `policyc exec`.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 0x1000u

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct kvm_run *vcpu_at(int kvm, int vm, int *vcpu)
{
	/* again: out 0x10, al; jmp again */
	static const unsigned char guest[] = {0xe6, 0x10, 0xeb, 0xfc};
	struct kvm_userspace_memory_region region;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_run *run;

	memcpy(memory, guest, sizeof(guest));
	memset(&region, 0, sizeof(region));
	region.guest_phys_addr = PAGE;
	region.memory_size = PAGE;
	region.userspace_addr = (unsigned long)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
		fail("KVM_SET_USER_MEMORY_REGION");
	*vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (*vcpu < 0)
		fail("KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, *vcpu, 0);
	ioctl(*vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	ioctl(*vcpu, KVM_SET_SREGS, &sregs);
	memset(&regs, 0, sizeof(regs));
	regs.rip = PAGE;
	regs.rflags = 2;
	ioctl(*vcpu, KVM_SET_REGS, &regs);
	return run;
}

static double processor_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char **words)
{
	const long exits = count > 1 ? strtol(words[1], NULL, 10) : 100000;
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_run *run;
	double began;
	int vcpu;
	long i;

	if (vm < 0)
		fail("KVM_CREATE_VM");
	run = vcpu_at(kvm, vm, &vcpu);
	began = processor_time();
	for (i = 0; i < exits; i++)
		if (ioctl(vcpu, KVM_RUN, 0) != 0 ||
		    run->exit_reason != KVM_EXIT_IO || run->io.port != 0x10)
			fail("KVM_RUN");
	printf("%.0f\n", (double)exits / (processor_time() - began));
	return 0;
}
