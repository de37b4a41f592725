/* SPDX-License-Identifier: Apache-2.0 */
/* What both processors demand of the memory that holds an image. */
#ifndef POLICYC_APPLY_PAGES_H
#define POLICYC_APPLY_PAGES_H

#include "policyc_apply.h"

/*
 * Checks that an image of so many pages, the first at a physical address,
 * begins a page and ends below 1 << bits.
 */
enum policyc_applied policyc_place(uint64_t address, uint32_t pages,
				   uint8_t bits);

#endif
