/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library tells policyc: counters and records in the shared file.
 */
#ifndef POLICYC_PRELOAD_TELLING_H
#define POLICYC_PRELOAD_TELLING_H

#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

/* NULL where the library runs without policyc: then no VM can be made. */
extern struct shared *shared;

/* Where it lies; the policies' files lie beside it. */
extern const char *shared_path;

/* Maps the file that POLICYC_EXEC names. */
void telling_begin(void);

/* One exit more. rule: 0 where traps is false. */
void telling_count(const struct shared_record *record);

/* Hands over a copy of a record; the time and the ticket are filled in. */
void telling_record(const struct shared_record *record);

/* Policyc looks at the shared file now, not in a while. */
void telling_ring(void);

/* A line on standard error. */
void telling_error(const char *text);

#endif
