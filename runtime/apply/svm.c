// SPDX-License-Identifier: Apache-2.0
/* AMD APM vol. 2, 15.10, 15.11 and 15.15; appendix B, "Layout of VMCB". */
#include "pages.h"

#define VMCB_INTERCEPT_MISC1 0x00cu
#define VMCB_IOPM_BASE_PA 0x040u
#define VMCB_MSRPM_BASE_PA 0x048u
#define VMCB_CLEAN 0x0c0u

#define IOIO_PROT (UINT32_C(1) << 27)
#define MSR_PROT (UINT32_C(1) << 28)

/* Clean bit 0: the intercept vectors; 1: the two base addresses. */
#define CLEAN_INTERCEPTS UINT32_C(1)
#define CLEAN_MAPS UINT32_C(2)

/* Bits for accesses that start at 0xfffd..0xffff and run past the end. */
#define IOPM_PAST 8192u
#define IOPM_PAST_BITS 7u

/* The processor reads two pages and a byte of the IOPM's three pages. */
#define MSRPM_PAGES 2u
#define IOPM_PAGES 3u

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static void put(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8u * i);
}

static enum policyc_applied locate(const struct policyc_svm_ports *ports,
				   void *context, const void *image,
				   uint32_t pages, uint64_t *address)
{
	const uint8_t *page = image;

	if (page == NULL)
		return POLICYC_NO_IMAGE;
	*address = ports->physical(context, page);
	for (uint32_t i = 1; i < pages; i++) {
		uint64_t there = ports->physical(context,
						 page + i * POLICYC_PAGE);

		if (there != *address + (uint64_t)i * POLICYC_PAGE)
			return POLICYC_SCATTERED;
	}
	return policyc_place(*address, pages, ports->physical_bits);
}

enum policyc_applied
policyc_svm_apply(const struct policyc_svm_ports *ports, void *context,
		  void *vmcb, const struct policyc_svm_images *images)
{
	const uint8_t *iopm = images->iopm;
	uint8_t *control = vmcb;
	uint64_t msrpm_address;
	uint64_t iopm_address;
	enum policyc_applied status;

	status = locate(ports, context, images->msrpm, MSRPM_PAGES,
			&msrpm_address);
	if (status == POLICYC_APPLIED)
		status = locate(ports, context, iopm, IOPM_PAGES,
				&iopm_address);
	if (status != POLICYC_APPLIED)
		return status;
	if ((iopm[IOPM_PAST] & IOPM_PAST_BITS) != IOPM_PAST_BITS)
		return POLICYC_WRAP_OPEN;
	put(control + VMCB_IOPM_BASE_PA, iopm_address, 8);
	put(control + VMCB_MSRPM_BASE_PA, msrpm_address, 8);
	put(control + VMCB_INTERCEPT_MISC1,
	    get32(control + VMCB_INTERCEPT_MISC1) | IOIO_PROT | MSR_PROT, 4);
	put(control + VMCB_CLEAN,
	    get32(control + VMCB_CLEAN) & ~(CLEAN_INTERCEPTS | CLEAN_MAPS), 4);
	return POLICYC_APPLIED;
}
