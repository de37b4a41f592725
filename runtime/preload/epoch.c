/* SPDX-License-Identifier: Apache-2.0 */
#include "epoch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telling.h"

static struct epoch *epochs;

void *room(size_t bytes)
{
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return found == MAP_FAILED ? NULL : found;
}

/* "/tmp/.../shared" and ".7": the path of a policy's file. */
static bool path_of(char *path, size_t bytes, uint64_t number)
{
	const size_t length = strlen(shared_path);
	char digits[20];
	size_t used = 0;

	do {
		digits[used++] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	if (length + 1u + used + 1u > bytes)
		return false;
	memcpy(path, shared_path, length);
	path += length;
	*path++ = '.';
	while (used != 0)
		*path++ = digits[--used];
	*path = '\0';
	return true;
}

/* What lies at the path, if it is a policy from its first byte to its last. */
static const struct policy_file *map_file(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	const struct policy_file *file = NULL;
	struct stat info;
	void *found;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &info) == 0 && info.st_size > (off_t)sizeof(*file)) {
		found = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED,
			     fd, 0);
		file = found == MAP_FAILED ? NULL : found;
	}
	close(fd);
	if (file != NULL && file->magic == SHARED_MAGIC &&
	    file->classes != 0 && file->ranges_used <= SHARED_RANGES &&
	    (uint64_t)info.st_size ==
		    sizeof(*file) + (uint64_t)file->classes * SHARED_PORTS &&
	    memchr(file->library, 0, sizeof(file->library)) != NULL)
		return file;
	if (file != NULL)
		munmap((void *)(uintptr_t)file, (size_t)info.st_size);
	return NULL;
}

static const struct policy_library *handler_of(const struct policy_file *file)
{
	void *handle = dlopen(file->library, RTLD_NOW | RTLD_LOCAL);
	const struct policy_library *library =
		handle == NULL ? NULL : dlsym(handle, POLICY_SYMBOL);

	if (library == NULL || library->version != POLICY_VERSION ||
	    file->profile >= library->profiles ||
	    file->rule_count <= library->rules)
		return NULL;
	return library;
}

static struct epoch *fresh(uint64_t number, const char **why)
{
	char path[SHARED_PATH];
	const struct policy_library *library;
	const struct policy_file *file;
	struct epoch *epoch;

	file = path_of(path, sizeof(path), number) ? map_file(path) : NULL;
	if (file == NULL) {
		*why = "the VMM cannot read the policy's file";
		return NULL;
	}
	library = handler_of(file);
	epoch = library == NULL ? NULL : room(sizeof(*epoch));
	if (epoch == NULL) {
		*why = "the VMM cannot load the policy's exit handler";
		return NULL;
	}
	epoch->number = number;
	epoch->file = file;
	epoch->library = library;
	epoch->filter.denies = file->denies;
	epoch->filter.used = file->ranges_used;
	memcpy(epoch->filter.ranges, file->ranges, sizeof(file->ranges));
	epoch->next = epochs;
	epochs = epoch;
	return epoch;
}

struct epoch *epoch_load(uint64_t number, const char **why)
{
	struct epoch *epoch;

	for (epoch = epochs; epoch != NULL; epoch = epoch->next)
		if (epoch->number == number)
			return epoch;
	return fresh(number, why);
}
