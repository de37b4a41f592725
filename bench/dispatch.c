/*
 * Times exits of a handler: "dispatch MILLISECONDS < qualifications" prints nanoseconds and, where the counter works,
 * cycles per exit, of the fastest round. The qualifications, one a line, are the traffic; every exit is an IN or OUT
 * under VT-x.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "exit_handler.h"

#define MOST 65536

static uint64_t qualifications[MOST];

static enum policyc_status done(void *context, struct policyc_access *access)
{
	(void)context;
	access->value = 0x55;
	return POLICYC_DONE;
}

static enum policyc_status done_msr(void *context, struct policyc_msr *access)
{
	(void)context;
	access->value = 0x55;
	return POLICYC_DONE;
}

static enum policyc_status done_port(void *context, struct policyc_port *access)
{
	(void)context;
	access->value = 0x55;
	return POLICYC_DONE;
}

static enum policyc_status no_memory(void *context, struct policyc_operand *operand)
{
	(void)context;
	(void)operand;
	return POLICYC_FAULT;
}

static void no_fault(void *context, const struct policyc_fault *fault)
{
	(void)context;
	(void)fault;
}

static const struct policyc_hooks hooks = {
	done, done, NULL, NULL, NULL, NULL, done_msr, done_port, no_memory, no_fault
};

static uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
	static struct vm_vcpu vcpu;
	struct policyc_guest guest = {0, 0, 0, 0, 0, 0, 2, 0, true};
	struct policyc_vmx_exit exit = {0, 30, 1, 0};
	const double patience = (argc > 1 ? atof(argv[1]) : 100) * 1e6;
	const double start = now();
	double best = 1e30;
	uint64_t best_cycles = UINT64_MAX;
	uint64_t number;
	int count = 0;
	int i;

	while (count < MOST && scanf("%" SCNu64, &number) == 1)
		qualifications[count++] = number;
	if (count == 0 || !vm_init(&vcpu, 0, &hooks, NULL))
		return 1;
	do {
		const double begin = now();
		const uint64_t first = cycles();
		uint64_t spent;

		for (i = 0; i < count; i++) {
			exit.qualification = qualifications[i];
			if (vm_vmx_exit(&vcpu, &vm_base, &guest, &exit) != POLICYC_DONE)
				return 2;
		}
		spent = cycles() - first;
		if ((now() - begin) / count < best)
			best = (now() - begin) / count;
		if (spent / (uint64_t)count < best_cycles)
			best_cycles = spent / (uint64_t)count;
	} while (now() - start < patience);
	printf("%.2f %" PRIu64 "\n", best, best_cycles);
	return 0;
}
