// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

/* The physical addresses that the architectures can have at most. */
#define MOST_BITS 52u

enum policyc_applied policyc_place(uint64_t address, uint32_t pages,
				   uint8_t bits)
{
	uint64_t last = address + (uint64_t)pages * POLICYC_PAGE - 1u;

	if (address % POLICYC_PAGE != 0)
		return POLICYC_UNALIGNED;
	if (bits > MOST_BITS)
		bits = MOST_BITS;
	if (last < address || last >> bits != 0)
		return POLICYC_TOO_HIGH;
	return POLICYC_APPLIED;
}

/* Each byte is written once, so that none is ever seen half changed. */
void policyc_tighten(volatile uint8_t *page, const uint8_t *wanted,
		     size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		page[i] = (uint8_t)(page[i] | wanted[i]);
}

void policyc_loosen(volatile uint8_t *page, const uint8_t *wanted,
		    size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		page[i] = (uint8_t)(page[i] & wanted[i]);
}

const char *policyc_apply_reason(enum policyc_applied status)
{
	switch (status) {
	case POLICYC_APPLIED:
		return "the images are in force";
	case POLICYC_NO_IMAGE:
		return "an image is missing";
	case POLICYC_UNALIGNED:
		return "an image does not begin a 4 KiB page";
	case POLICYC_SCATTERED:
		return "the pages of one image do not adjoin";
	case POLICYC_TOO_HIGH:
		return "an image lies above the highest physical address";
	case POLICYC_NO_IO_BITMAPS:
		return "the processor has no I/O bitmaps";
	case POLICYC_NO_MSR_BITMAPS:
		return "the processor has no MSR bitmaps";
	case POLICYC_BAD_CONTROLS:
		return "a control is set that the processor does not have";
	case POLICYC_NOT_IN_FORCE:
		return "no images are in force that could be swapped";
	case POLICYC_WRAP_OPEN:
		return "IOPM bits 65536..65538 are not set: accesses that run "
		       "past the last port would not exit";
	case POLICYC_FIELD_FAILED:
		return "a VMCS field could not be read or written";
	default:
		return "an unknown status";
	}
}
