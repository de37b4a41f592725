/* SPDX-License-Identifier: Apache-2.0 */
#include "telling.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROBES 64u	/* places of the table that one key may take */
#define WAITS 1000u	/* milliseconds for which a full ring is waited for */

struct shared *shared;
const char *shared_path;

void telling_begin(void)
{
	static char kept[SHARED_PATH];
	const char *path = getenv("POLICYC_EXEC");
	struct stat info;
	struct shared *found;
	int fd;

	if (path == NULL || strlen(path) >= sizeof(kept))
		return;
	strcpy(kept, path);
	shared_path = kept;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (fstat(fd, &info) == 0 && info.st_size == sizeof(*found)) {
		found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE,
			     MAP_SHARED, fd, 0);
		if (found != MAP_FAILED && found->magic == SHARED_MAGIC)
			shared = found;
	}
	close(fd);
}

static uint64_t key_of(const struct shared_record *record)
{
	return UINT64_C(1) << 63 | (uint64_t)(record->traps != 0) << 62 |
	       (uint64_t)(record->kind & 3u) << 60 |
	       (uint64_t)(record->width & 15u) << 56 |
	       (uint64_t)(record->rule & 0xffffffu) << 32 | record->address;
}

void telling_count(const struct shared_record *record)
{
	const uint64_t key = key_of(record);
	uint64_t place = key * UINT64_C(0x9e3779b97f4a7c15) >> 48;
	uint32_t i;

	atomic_fetch_add(&shared->exits, 1);
	for (i = 0; i < PROBES; i++, place++) {
		struct shared_counter *counter =
			&shared->counters[place % SHARED_COUNTERS];
		uint64_t found = atomic_load(&counter->key);

		if (found == 0 &&
		    atomic_compare_exchange_strong(&counter->key, &found, key))
			found = key;
		if (found == key) {
			atomic_fetch_add(&counter->count, 1);
			return;
		}
	}
	atomic_fetch_add(&shared->unlisted, 1);
}

/* Waits for room in the ring; once that was in vain, no more. */
static bool has_room(uint64_t ticket)
{
	const struct timespec pause = {0, 1000000};
	uint32_t i;

	for (i = 0; i < WAITS; i++) {
		if (ticket - atomic_load(&shared->read) < SHARED_RECORDS)
			return true;
		if (atomic_load(&shared->lost) != 0)
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

void telling_record(const struct shared_record *record)
{
	struct shared_record *to;
	struct timespec now;
	uint64_t ticket = atomic_load(&shared->written);

	do {
		if (!has_room(ticket)) {
			atomic_fetch_add(&shared->lost, 1);
			return;
		}
	} while (!atomic_compare_exchange_weak(&shared->written, &ticket,
					       ticket + 1u));
	to = &shared->records[ticket % SHARED_RECORDS];
	clock_gettime(CLOCK_MONOTONIC, &now);
	to->nanoseconds = (uint64_t)now.tv_sec * UINT64_C(1000000000) +
			  (uint64_t)now.tv_nsec;
	to->value = record->value;
	to->answer = record->answer;
	to->address = record->address;
	to->rule = record->rule;
	to->suppressed = record->suppressed;
	to->vcpu = record->vcpu;
	to->what = record->what;
	to->kind = record->kind;
	to->width = record->width;
	to->action = record->action;
	to->fault = record->fault;
	to->traps = record->traps;
	atomic_store(&to->ticket, ticket + 1u);
}

void telling_ring(void)
{
	atomic_fetch_add(&shared->bell, 1);
	(void)syscall(SYS_futex, &shared->bell, FUTEX_WAKE, INT_MAX, NULL,
		      NULL, 0);
}

void telling_error(const char *text)
{
	static const char begin[] = "policyc exec: ";
	ssize_t ignored = write(STDERR_FILENO, begin, sizeof(begin) - 1u);

	ignored += write(STDERR_FILENO, text, strlen(text));
	ignored += write(STDERR_FILENO, "\n", 1);
	(void)ignored;
}
