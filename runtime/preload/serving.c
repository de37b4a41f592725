/* SPDX-License-Identifier: Apache-2.0 */
#include "serving.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "telling.h"

#define STACK_BYTES 0x40000u

/* Of this process; after fork() the child begins anew. */
static struct shared_process *place;
static serving_obey *carried_out;

static struct shared_process *find_place(void)
{
	uint32_t i;

	for (i = 0; i < SHARED_PROCESSES; i++) {
		uint64_t free = 0;

		if (atomic_compare_exchange_strong(&shared->processes[i].pid,
						   &free, (uint64_t)getpid()))
			return &shared->processes[i];
	}
	return NULL;
}

static void answer(uint64_t request)
{
	const uint64_t order = atomic_load(&shared->order);
	const char *why = "it cannot be put in force";
	const bool done = carried_out(order, &why);
	size_t length = strlen(why);

	if (length >= sizeof(place->why))
		length = sizeof(place->why) - 1u;
	memcpy(place->why, why, length);
	place->why[length] = '\0';
	atomic_store(&place->answer, 2u * request + (done ? 1u : 0u));
	telling_ring();
}

static void *serve(void *unused)
{
	uint64_t seen = 0;

	(void)unused;
	for (;;) {
		const uint32_t bell = atomic_load(&shared->order_bell);
		const uint64_t request = atomic_load(&shared->request);

		if (request != seen) {
			answer(request);
			seen = request;
			continue;
		}
		(void)syscall(SYS_futex, &shared->order_bell, FUTEX_WAIT, bell,
			      NULL, NULL, 0);
	}
	return NULL;
}

/* It gets no signal: these are the VMM's. */
static bool start_thread(void)
{
	pthread_attr_t how;
	pthread_t thread;
	sigset_t before;
	sigset_t all;
	int failed;

	sigfillset(&all);
	pthread_attr_init(&how);
	pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&how, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, &how, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&how);
	return failed == 0;
}

bool serving_begin(serving_obey *obey)
{
	carried_out = obey;
	place = find_place();
	if (place == NULL)
		return false;
	telling_ring();
	if ((shared->flags & SHARED_SWITCHES) == 0)
		return true;
	return start_thread();
}
