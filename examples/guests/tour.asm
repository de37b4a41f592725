; A guest that goes round the devices and registers that tour.pol watches: PIT, CMOS, PCI configuration, MSRs with those
; of the x2APIC, string instructions, the serial port, and power off. Build it for 16, 32 or 64 bits:
;   nasm -f bin -DBITS=16 tour.asm -o tour.bin
%ifndef BITS
%define BITS 16
%endif
	bits BITS
%if BITS == 16
	org 0x1000
%else
	org 0x100000
%endif

start:
	cld
	mov al, 0x36		; PIT: channel 0, both bytes, square wave
	out 0x43, al
	mov al, 0x34
	out 0x40, al
	mov al, 0x12
	out 0x40, al

	mov al, 0x0f		; CMOS: shutdown status
	out 0x70, al
	in al, 0x71

	mov dx, 0xcf8		; PCI: vendor and device of the host bridge
	mov eax, 0x80000000
	out dx, eax
	mov dx, 0xcfc
	in eax, dx

	mov ecx, 0x8b		; microcode version: a constant
	rdmsr
	mov ecx, 0x1a0		; IA32_MISC_ENABLE: shadowed
	mov eax, 0x42
	xor edx, edx
	wrmsr
	rdmsr
	mov ecx, 0x1b		; IA32_APIC_BASE: x2APIC mode on
	rdmsr
	or eax, 0xc00
	wrmsr
	mov ecx, 0x803		; version
	rdmsr
	mov ecx, 0x80f		; spurious interrupt vector
	mov eax, 0x1ff
	xor edx, edx
	wrmsr

	mov al, 1		; serial port: a queue of 16 bytes
	mov dx, 0x3fa
	out dx, al
	mov esi, text		; OUTS with REP
	mov ecx, 5
	mov dx, 0x3f8
	rep outsb
	mov edi, 0x2000		; INS with REP, from the keyboard controller
	mov ecx, 2
	mov dx, 0x60
	rep insb

	mov dx, 0x604		; power off
	mov ax, 0x2000
	out dx, ax
.rest:	hlt
	jmp .rest

text:	db "tour", 10
