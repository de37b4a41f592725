/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a policyc bundle's images in force on VT-x and on SVM.
 *
 * The files of this folder belong to no hypervisor: what differs from one to
 * the next is asked through port functions. docs/integration.md shows where
 * to call them.
 *
 *	static const struct policyc_vmx_ports ports = { ... };
 *	struct policyc_vmx_images images = {
 *		msr_bin, io_bin, io_bin + POLICYC_PAGE
 *	};
 *
 *	status = policyc_vmx_apply(&ports, vcpu, &images);
 *	if (status != POLICYC_APPLIED)
 *		panic(policyc_apply_reason(status));
 *
 * Images are read by the processor for as long as they are in force: they
 * must stay where they are, unchanged, in memory that no guest can write.
 */
#ifndef POLICYC_APPLY_H
#define POLICYC_APPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLICYC_PAGE 4096u
#define POLICYC_MSRPM_BYTES 8192u
#define POLICYC_IOPM_BYTES 12288u

/* What came of it. Anything but POLICYC_APPLIED: nothing has changed. */
enum policyc_applied {
	POLICYC_APPLIED,
	POLICYC_NO_IMAGE,	/* a pointer to an image is NULL */
	POLICYC_UNALIGNED,	/* an image does not begin a 4 KiB page */
	POLICYC_SCATTERED,	/* pages of one image do not adjoin */
	POLICYC_TOO_HIGH,	/* an image is above MAXPHYADDR */
	POLICYC_NO_IO_BITMAPS,	/* the processor lacks the control */
	POLICYC_NO_MSR_BITMAPS,	/* the processor lacks the control */
	POLICYC_BAD_CONTROLS,	/* others that the processor lacks are set */
	POLICYC_NOT_IN_FORCE,	/* swap before apply */
	POLICYC_WRAP_OPEN,	/* IOPM bits 65536..65538 are not all set */
	POLICYC_FIELD_FAILED	/* VMREAD or VMWRITE failed */
};

/* One line of English, without a full stop. */
const char *policyc_apply_reason(enum policyc_applied status);

/*
 * VT-x. All functions act on the VMCS that is current on this processor, of a
 * vCPU that is not running: nothing is in force before the next VM entry.
 */
struct policyc_vmx_ports {
	/* VMREAD and VMWRITE; false where the instruction failed. */
	bool (*vmread)(void *context, uint32_t field, uint64_t *value);
	bool (*vmwrite)(void *context, uint32_t field, uint64_t value);
	/* Of the capability MSRs 0x480, 0x482 and 0x48e. */
	uint64_t (*rdmsr)(void *context, uint32_t index);
	/* Physical address of the first byte of a page. */
	uint64_t (*physical)(void *context, const void *page);
	/* MAXPHYADDR: CPUID 0x80000008 EAX bits 7:0, or 36 without it. */
	uint8_t physical_bits;
};

/* One page each: msr.bin, and the two halves of io.bin. */
struct policyc_vmx_images {
	const void *msr;
	const void *io_a;	/* ports 0x0000..0x7fff */
	const void *io_b;	/* ports 0x8000..0xffff */
};

/*
 * Gives a vCPU its images. "Use I/O bitmaps" and "use MSR bitmaps" are turned
 * on, and with them what the capability MSRs demand; other controls stay.
 */
enum policyc_applied
policyc_vmx_apply(const struct policyc_vmx_ports *ports, void *context,
		  const struct policyc_vmx_images *images);

/*
 * Puts other images, of another profile, in force. Call it between a VM exit
 * and the next VM entry, and change the profile that exits are handled with
 * at the same time: then every access of the guest meets the old profile or
 * the new one. If a VMWRITE fails the old images are put back.
 */
enum policyc_applied
policyc_vmx_swap(const struct policyc_vmx_ports *ports, void *context,
		 const struct policyc_vmx_images *images);

/* SVM. The VMCB is memory, of a vCPU that is not running. */
struct policyc_svm_ports {
	/* Physical address of the first byte of a page. */
	uint64_t (*physical)(void *context, const void *page);
	/* MAXPHYADDR: CPUID 0x80000008 EAX bits 7:0. */
	uint8_t physical_bits;
};

/* msrpm.bin on two pages that adjoin, iopm.bin on three. */
struct policyc_svm_images {
	const void *msrpm;
	const void *iopm;
};

/*
 * Gives a vCPU its images: MSR_PROT and IOIO_PROT are turned on, other
 * intercepts stay, and the clean bits of what was changed are taken away.
 * It serves for a swap as well: a VMCB is read as a whole by VMRUN.
 */
enum policyc_applied
policyc_svm_apply(const struct policyc_svm_ports *ports, void *context,
		  void *vmcb, const struct policyc_svm_images *images);

/*
 * Where vCPUs share one copy of the images that cannot be swapped one by one,
 * it can be changed under them, in this order:
 *
 *	policyc_tighten(page, wanted, bytes);	old or new says exit: exit
 *	...change the profile of all vCPUs, wait until each has exited once...
 *	policyc_loosen(page, wanted, bytes);	as the new profile says
 *
 * At no time does an access pass that both profiles would stop. SVM: the
 * processor reads the maps anew at every access; no clean bit is concerned.
 */
void policyc_tighten(volatile uint8_t *page, const uint8_t *wanted,
		     size_t bytes);
void policyc_loosen(volatile uint8_t *page, const uint8_t *wanted,
		    size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
