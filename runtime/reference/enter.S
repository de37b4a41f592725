/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the guest and back. Both functions take the guest's registers (struct
 * registers of hv.h), of which ESP, EIP and EFLAGS are kept in VMCS or VMCB.
 */
#define EAX 0
#define ECX 4
#define EDX 8
#define EBX 12
#define EBP 20
#define ESI 24
#define EDI 28

#define HOST_RSP 0x6c14

	.text

	.macro	load_guest from		/* all but the base register itself */
	movl	ECX(\from), %ecx
	movl	EBX(\from), %ebx
	movl	EBP(\from), %ebp
	movl	ESI(\from), %esi
	movl	EDI(\from), %edi
	.endm

	.macro	save_guest to
	movl	%ecx, ECX(\to)
	movl	%ebx, EBX(\to)
	movl	%ebp, EBP(\to)
	movl	%esi, ESI(\to)
	movl	%edi, EDI(\to)
	.endm

	.macro	save_host
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	.endm

	.macro	restore_host
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	.endm

/* bool vmx_enter(struct registers *guest, bool launched): false: no entry. */
	.globl	vmx_enter, vmx_exit_point
vmx_enter:
	save_host
	movl	20(%esp), %eax
	movzbl	24(%esp), %edx
	pushl	%eax
	movl	$HOST_RSP, %ecx
	vmwrite	%esp, %ecx
	testl	%edx, %edx
	load_guest %eax			/* moves leave the flags alone */
	movl	EDX(%eax), %edx
	movl	EAX(%eax), %eax
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	addl	$4, %esp
	xorl	%eax, %eax
	restore_host
	ret

vmx_exit_point:
	pushl	%eax
	movl	4(%esp), %eax
	save_guest %eax
	movl	%edx, EDX(%eax)
	popl	EAX(%eax)
	addl	$4, %esp
	movl	$1, %eax
	restore_host
	ret

/* void svm_enter(struct registers *guest, uint32_t vmcb): EAX is the VMCB's. */
	.globl	svm_enter
svm_enter:
	save_host
	movl	20(%esp), %edx
	movl	24(%esp), %eax
	pushl	%edx
	load_guest %edx
	movl	EDX(%edx), %edx
	vmrun	%eax
	pushl	%edx
	movl	4(%esp), %edx
	save_guest %edx
	popl	EDX(%edx)
	addl	$4, %esp
	restore_host
	ret

	.section .note.GNU-stack, "", @progbits
