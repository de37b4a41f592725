/*
 * Registering: handlers that become known at run time. They answer accesses
 * whose action is exit, before the default hook does.
 */

/* Ports first, then MSRs, in the order of their addresses. */
static uint64_t registry_key(const struct policyc_registration *entry)
{
	return (entry->msr != NULL ? (uint64_t)1 << 32 : 0) | entry->first;
}

static uint64_t registry_end(const struct policyc_registration *entry)
{
	return (entry->msr != NULL ? (uint64_t)1 << 32 : 0) | entry->last;
}

/* The number of entries that begin at key or before. */
static uint32_t registry_place(const struct policyc_registry *registry,
			       uint64_t key)
{
	uint32_t low = 0;
	uint32_t high = registry->used;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2u;

		if (registry_key(&registry->slots[middle]) <= key)
			low = middle + 1u;
		else
			high = middle;
	}
	return low;
}

/* The handler registered for every byte of an access, NULL without one. */
static const struct policyc_registration *
find_registration(const struct policyc_registry *registry,
		  const struct policyc_access *access)
{
	const bool port = is_port(access);
	const uint64_t key =
		(port ? 0 : (uint64_t)1 << 32) | access->address;
	const uint64_t end = key + (port ? access->width - 1u : 0u);
	uint32_t place;

	if (registry == NULL)
		return NULL;
	place = registry_place(registry, key);
	if (place == 0 || registry_end(&registry->slots[place - 1u]) < end)
		return NULL;
	return &registry->slots[place - 1u];
}

static bool well_formed(const struct policyc_registration *entry)
{
	if ((entry->msr == NULL) == (entry->port == NULL))
		return false;
	if (entry->first > entry->last)
		return false;
	return entry->port == NULL || entry->last <= 0xffffu;
}

/* False: malformed, no slot left, or an overlap with what is there. */
static bool registry_add(struct policyc_registry *registry,
			 const struct policyc_registration *entry)
{
	uint32_t place;
	uint32_t i;

	if (!well_formed(entry) || registry->used == registry->capacity)
		return false;
	/* The last entry that begins before this one ends must end earlier. */
	place = registry_place(registry, registry_end(entry));
	if (place > 0 && registry_end(&registry->slots[place - 1u]) >=
				 registry_key(entry))
		return false;
	for (i = registry->used; i > place; i--)
		registry->slots[i] = registry->slots[i - 1u];
	registry->slots[place] = *entry;
	registry->used++;
	return true;
}

/* False: there is no such entry. Only first and the kind are looked at. */
static bool registry_remove(struct policyc_registry *registry,
			    const struct policyc_registration *entry)
{
	const uint64_t key = registry_key(entry);
	uint32_t place = registry_place(registry, key);

	if (place == 0 || registry_key(&registry->slots[place - 1u]) != key)
		return false;
	for (; place < registry->used; place++)
		registry->slots[place - 1u] = registry->slots[place];
	registry->used--;
	return true;
}
