// SPDX-License-Identifier: Apache-2.0
/*
 * Intel SDM vol. 3C, "VM-Execution Control Fields"; vol. 3D, appendix A,
 * "VMX Capability Reporting Facility", and appendix B, "Field Encoding".
 */
#include "pages.h"

#define IA32_VMX_BASIC 0x480u
#define IA32_VMX_PROCBASED_CTLS 0x482u
#define IA32_VMX_TRUE_PROCBASED_CTLS 0x48eu

/* Of IA32_VMX_BASIC. */
#define ADDRESSES_OF_32_BITS (UINT64_C(1) << 48)
#define TRUE_CONTROLS (UINT64_C(1) << 55)

#define IO_BITMAP_A 0x2000u
#define IO_BITMAP_B 0x2002u
#define MSR_BITMAP 0x2004u
#define PRIMARY_CONTROLS 0x4002u

#define USE_IO_BITMAPS (UINT32_C(1) << 25)
#define USE_MSR_BITMAPS (UINT32_C(1) << 28)
#define USE_BITMAPS (USE_IO_BITMAPS | USE_MSR_BITMAPS)

#define PAGES 3u
#define FIELDS 4u

/* The addresses first: a control must never find a stale one. */
static const uint32_t fields[FIELDS] = {
	MSR_BITMAP,
	IO_BITMAP_A,
	IO_BITMAP_B,
	PRIMARY_CONTROLS,
};

/* The physical addresses of the images, in the order of fields. */
static enum policyc_applied
locate(const struct policyc_vmx_ports *ports, void *context,
       const struct policyc_vmx_images *images, uint64_t values[FIELDS])
{
	const void *pages[PAGES];
	uint64_t basic = ports->rdmsr(context, IA32_VMX_BASIC);
	uint8_t bits = ports->physical_bits;

	pages[0] = images->msr;
	pages[1] = images->io_a;
	pages[2] = images->io_b;
	if ((basic & ADDRESSES_OF_32_BITS) != 0 && bits > 32u)
		bits = 32u;
	for (uint32_t i = 0; i < PAGES; i++) {
		enum policyc_applied status;

		if (pages[i] == NULL)
			return POLICYC_NO_IMAGE;
		values[i] = ports->physical(context, pages[i]);
		status = policyc_place(values[i], 1, bits);
		if (status != POLICYC_APPLIED)
			return status;
	}
	return POLICYC_APPLIED;
}

/*
 * Adds the bitmaps to the controls, and what the processor wants set. Low
 * half of the capability MSR: what must be 1; high half: what may be.
 */
static enum policyc_applied adjust(const struct policyc_vmx_ports *ports,
				   void *context, uint32_t *controls)
{
	uint64_t basic = ports->rdmsr(context, IA32_VMX_BASIC);
	uint64_t able = ports->rdmsr(context,
				     (basic & TRUE_CONTROLS) != 0 ?
				     IA32_VMX_TRUE_PROCBASED_CTLS :
				     IA32_VMX_PROCBASED_CTLS);
	uint32_t must = (uint32_t)able;
	uint32_t may = (uint32_t)(able >> 32);

	if ((may & USE_IO_BITMAPS) == 0)
		return POLICYC_NO_IO_BITMAPS;
	if ((may & USE_MSR_BITMAPS) == 0)
		return POLICYC_NO_MSR_BITMAPS;
	*controls |= USE_BITMAPS | must;
	return (*controls & ~may) != 0 ? POLICYC_BAD_CONTROLS : POLICYC_APPLIED;
}

/* The first so many fields, or none: if one fails, the rest is put back. */
static enum policyc_applied exchange(const struct policyc_vmx_ports *ports,
				     void *context,
				     const uint64_t values[FIELDS],
				     uint32_t count)
{
	uint64_t before[FIELDS];
	uint32_t done;

	for (uint32_t i = 0; i < count; i++)
		if (!ports->vmread(context, fields[i], &before[i]))
			return POLICYC_FIELD_FAILED;
	for (done = 0; done < count; done++)
		if (!ports->vmwrite(context, fields[done], values[done]))
			break;
	if (done == count)
		return POLICYC_APPLIED;
	while (done-- > 0)
		(void)ports->vmwrite(context, fields[done], before[done]);
	return POLICYC_FIELD_FAILED;
}

static enum policyc_applied read_controls(const struct policyc_vmx_ports *ports,
					  void *context, uint32_t *controls)
{
	uint64_t value;

	if (!ports->vmread(context, PRIMARY_CONTROLS, &value))
		return POLICYC_FIELD_FAILED;
	*controls = (uint32_t)value;
	return POLICYC_APPLIED;
}

enum policyc_applied
policyc_vmx_apply(const struct policyc_vmx_ports *ports, void *context,
		  const struct policyc_vmx_images *images)
{
	uint64_t values[FIELDS];
	uint32_t controls;
	enum policyc_applied status;

	status = locate(ports, context, images, values);
	if (status == POLICYC_APPLIED)
		status = read_controls(ports, context, &controls);
	if (status == POLICYC_APPLIED)
		status = adjust(ports, context, &controls);
	if (status != POLICYC_APPLIED)
		return status;
	values[PAGES] = controls;
	return exchange(ports, context, values, FIELDS);
}

enum policyc_applied
policyc_vmx_swap(const struct policyc_vmx_ports *ports, void *context,
		 const struct policyc_vmx_images *images)
{
	uint64_t values[FIELDS];
	uint32_t controls;
	enum policyc_applied status;

	status = locate(ports, context, images, values);
	if (status == POLICYC_APPLIED)
		status = read_controls(ports, context, &controls);
	if (status != POLICYC_APPLIED)
		return status;
	if ((controls & USE_BITMAPS) != USE_BITMAPS)
		return POLICYC_NOT_IN_FORCE;
	return exchange(ports, context, values, PAGES);
}
