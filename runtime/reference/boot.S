/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the reset vector to C, in 64-bit mode. The ROM is read at its place
 * below 4 GiB; the copy of it at 1 MiB is what runs.
 */
#define ROM 0xffff0000
#define RESET 0xff00
#define HV 0x100000

#define EFER 0xc0000080
#define EFER_LME 0x100
#define CR4_PAE 0x20
#define CR0_PG 0x80000000
/* Present, writable; a page of 2 MiB as well. */
#define TABLE 3
#define LARGE_PAGE 0x83

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
	.quad	0x00af9b000000ffff	/* 18: 64-bit code */
reset_gdtr:
	.word	. - reset_gdt - 1
	.long	reset_gdt

	.org	0xf0			/* where the processor begins */
	.code16
	jmp	reset_code
	.org	0x100

/*
 * 64-bit mode wants paging: all of 4 GiB is mapped to itself, by one table
 * that points to four with pages of 2 MiB.
 */
	.section .start, "ax"
	.code32
	.globl	hv_start
hv_start:
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movl	$boot_pdpt + TABLE, boot_pml4
	movl	$boot_directories + TABLE, %eax
	movl	$boot_pdpt, %edi
	movl	$4, %ecx
1:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	loop	1b
	movl	$LARGE_PAGE, %eax
	movl	$boot_directories, %edi
	movl	$4 * 512, %ecx
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	ljmpl	$0x18, $hv_long

	.code64
hv_long:
	movl	$stack_end, %esp
	call	hv_main
1:	hlt
	jmp	1b

/*
 * Exceptions: vector n begins at fault_entries + 16 * n. What is pushed, from
 * the top: vector, error code (or 0), RIP, CS, RFLAGS, RSP, SS.
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
	pushq	$0
	.endif
	pushq	$vector
	jmp	fault_common
	.set	vector, vector + 1
	.endr

fault_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	72(%rsp), %rdi		/* vector */
	leaq	88(%rsp), %rsi		/* where RIP is */
	call	handle_fault
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.bss
	.balign	4096
	.globl	boot_pml4
boot_pml4:
	.space	0x1000
boot_pdpt:
	.space	0x1000
boot_directories:
	.space	0x4000
	.space	0x4000
stack_end:

	.section .note.GNU-stack, "", @progbits
