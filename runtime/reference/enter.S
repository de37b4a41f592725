/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the guest and back. Both functions take the guest's registers (struct
 * registers of hv.h), of which RSP, RIP and RFLAGS are kept in VMCS or VMCB.
 */
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56
#define R8 64
#define R9 72
#define R10 80
#define R11 88
#define R12 96
#define R13 104
#define R14 112
#define R15 120

#define HOST_RSP 0x6c14

	.text

	.macro	load_guest		/* from RDI, all but RAX and RDI */
	movq	RCX(%rdi), %rcx
	movq	RDX(%rdi), %rdx
	movq	RBX(%rdi), %rbx
	movq	RBP(%rdi), %rbp
	movq	RSI(%rdi), %rsi
	movq	R8(%rdi), %r8
	movq	R9(%rdi), %r9
	movq	R10(%rdi), %r10
	movq	R11(%rdi), %r11
	movq	R12(%rdi), %r12
	movq	R13(%rdi), %r13
	movq	R14(%rdi), %r14
	movq	R15(%rdi), %r15
	.endm

	.macro	save_guest		/* to RDI, all but RAX and RDI */
	movq	%rcx, RCX(%rdi)
	movq	%rdx, RDX(%rdi)
	movq	%rbx, RBX(%rdi)
	movq	%rbp, RBP(%rdi)
	movq	%rsi, RSI(%rdi)
	movq	%r8, R8(%rdi)
	movq	%r9, R9(%rdi)
	movq	%r10, R10(%rdi)
	movq	%r11, R11(%rdi)
	movq	%r12, R12(%rdi)
	movq	%r13, R13(%rdi)
	movq	%r14, R14(%rdi)
	movq	%r15, R15(%rdi)
	.endm

	.macro	save_host
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdi			/* where the guest's registers are */
	.endm

	.macro	restore_host
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	.endm

/* bool vmx_enter(struct registers *guest, bool launched): false: no entry. */
	.globl	vmx_enter, vmx_exit_point
vmx_enter:
	save_host
	movl	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
	testb	%sil, %sil
	load_guest			/* moves leave the flags alone */
	movq	RAX(%rdi), %rax
	movq	RDI(%rdi), %rdi
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	restore_host
	xorl	%eax, %eax
	ret

vmx_exit_point:
	pushq	%rdi
	movq	8(%rsp), %rdi
	save_guest
	movq	%rax, RAX(%rdi)
	popq	RDI(%rdi)
	restore_host
	movl	$1, %eax
	ret

/*
 * void svm_enter(struct registers *guest, uint64_t vmcb): RAX is the VMCB's.
 * What VMRUN leaves alone (FS, GS, TR, SYSCALL's MSRs) is the guest's all the
 * time, as the host has no use for it; VMSAVE lets the VMCB show it.
 */
	.globl	svm_enter, svm_load
svm_enter:
	save_host
	movq	%rsi, %rax
	load_guest
	movq	RDI(%rdi), %rdi
	vmrun	%rax
	vmsave	%rax
	pushq	%rdi
	movq	8(%rsp), %rdi
	save_guest
	popq	RDI(%rdi)
	restore_host
	ret

/* void svm_load(uint64_t vmcb): the guest's FS, GS, TR and the like. */
svm_load:
	movq	%rdi, %rax
	vmload	%rax
	ret

	.section .note.GNU-stack, "", @progbits
