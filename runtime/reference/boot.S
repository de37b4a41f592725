/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the reset vector to C, in flat 32-bit protected mode. The ROM is read
 * at its place below 4 GiB; the copy of it at 1 MiB is what runs.
 */
#define ROM 0xffff0000
#define RESET 0xff00
#define HV 0x100000

	.section .reset, "ax"
	.code16
reset_code:
	cli
	cld
	lgdtl	%cs:(reset_gdtr - reset_code + RESET)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x08, $reset_flat

	.code32
reset_flat:
	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	inb	$0x92, %al		/* address line 20 on, no reset */
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92
	movl	$ROM, %esi
	movl	$HV, %edi
	movl	$0x10000 / 4, %ecx
	rep movsl
	movl	$hv_start, %eax
	jmp	*%eax

	.balign	8
reset_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 08: code, 0..4 GiB, ring 0 */
	.quad	0x00cf93000000ffff	/* 10: data */
reset_gdtr:
	.word	. - reset_gdt - 1
	.long	reset_gdt

	.org	0xf0			/* where the processor begins */
	.code16
	jmp	reset_code
	.org	0x100

	.section .start, "ax"
	.code32
	.globl	hv_start
hv_start:
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movl	$stack_end, %esp
	call	hv_main
1:	hlt
	jmp	1b

/*
 * Exceptions: vector n begins at fault_entries + 16 * n. What is pushed, from
 * the top: vector, error code (or 0), EIP, CS, EFLAGS.
 */
#define ERROR_CODES 0x00227d00

	.text
	.globl	fault_entries
	.balign	16
fault_entries:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	((ERROR_CODES >> vector) & 1) == 0
	pushl	$0
	.endif
	pushl	$vector
	jmp	fault_common
	.set	vector, vector + 1
	.endr

fault_common:
	pusha
	movl	32(%esp), %eax		/* vector */
	leal	40(%esp), %edx		/* where EIP is */
	pushl	%edx
	pushl	%eax
	call	handle_fault
	addl	$8, %esp
	popa
	addl	$8, %esp
	iret

	.bss
	.balign	16
	.space	0x4000
stack_end:

	.section .note.GNU-stack, "", @progbits
