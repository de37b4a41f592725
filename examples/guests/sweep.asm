; A hostile guest: it reads, and then writes back, every MSR of some ranges, and touches every port at every width.
;   nasm -f bin -DBITS=64 -DMSRS=0,0x1fff,0xc0000000,0xc0001fff -DWRITE=1 -DPORTS=1 sweep.asm -o sweep.bin
; MSRS: first, last, first, last... WRITE: 1 writes too. PORTS: 1 IN, 2 IN and OUT, at all ports, 1, 2 and 4 bytes wide.
%ifndef BITS
%define BITS 16
%endif
%ifndef MSRS
%define MSRS 0,0x1fff,0xc0000000,0xc0001fff,0xc0010000,0xc0011fff
%endif
%ifndef WRITE
%define WRITE 1
%endif
%ifndef PORTS
%define PORTS 1
%endif
	bits BITS
%if BITS == 16
%define ORG 0x1000
%define SI_ si
%else
%define ORG 0x100000
%define SI_ esi
%endif
	org ORG

start:
%if BITS == 16
	mov word [13 * 4], fault	; interrupt vector table
	mov word [13 * 4 + 2], 0
%else
	lidt [idtr]
%endif
	mov SI_, ranges
.range:	mov ecx, [SI_]
	mov ebp, [SI_ + 4]
.msr:	xor eax, eax
	xor edx, edx
	rdmsr
%if WRITE
	wrmsr
%endif
	cmp ecx, ebp
	je .last
	inc ecx
	jmp .msr
.last:	add SI_, 8
	cmp SI_, ranges_end
	jb .range

%if PORTS
	xor edx, edx
.port:	in al, dx
	in ax, dx
	in eax, dx
%if PORTS > 1
	mov eax, edx
	out dx, al
	out dx, ax
	out dx, eax
%endif
	inc dx
	jnz .port
%endif
.rest:	hlt
	jmp .rest

; #GP: RDMSR and WRMSR have two bytes; go on behind them.
fault:
%if BITS == 16
	push bp
	mov bp, sp
	add word [bp + 2], 2
	pop bp
	iret
%elif BITS == 32
	add esp, 4
	add dword [esp], 2
	ret 8			; as IRET here: CS and EFLAGS are the same. Some KVMs cannot emulate IRET.
%else
	add rsp, 8
	add qword [rsp], 2
	iretq
%endif

	align 8
ranges:
	dd MSRS
ranges_end:

%if BITS != 16
%define FAULT (fault - $$ + ORG)
	align 16
idt:
%if BITS == 32
	times 13 * 8 db 0
	dw FAULT & 0xffff, 0x08, 0x8e00, FAULT >> 16
%else
	times 13 * 16 db 0
	dw FAULT & 0xffff, 0x08, 0x8e00, FAULT >> 16
	dd 0, 0
%endif
idt_end:
idtr:	dw idt_end - idt - 1
%if BITS == 32
	dd idt
%else
	dq idt
%endif
%endif
