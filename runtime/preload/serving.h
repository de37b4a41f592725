/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policyc orders while the VMM runs: a thread of the VMM's process hears
 * it, and answers.
 */
#ifndef POLICYC_PRELOAD_SERVING_H
#define POLICYC_PRELOAD_SERVING_H

#include <stdbool.h>
#include <stdint.h>

/* Carries out an ORDER_*; false, with the reason, where nothing changed. */
typedef bool serving_obey(uint64_t order, const char **why);

/*
 * Makes the process known to policyc. Where its policy may change, a thread
 * waits for orders from then on. Once in each process.
 */
bool serving_begin(serving_obey *obey);

#endif
