; A guest that greets on the serial port and touches what hello.pol watches. Build it for 16, 32 or 64 bits:
;   nasm -f bin -DBITS=16 hello.asm -o hello.bin
%ifndef BITS
%define BITS 16
%endif
	bits BITS
%if BITS == 16
	org 0x1000
%define SI_ si
%else
	org 0x100000
%define SI_ esi
%endif

start:
	mov SI_, greeting
	cld
.next:	mov dx, 0x3fd		; line status: wait until the transmitter is empty
.wait:	in al, dx
	test al, 0x20
	jz .wait
	mov dx, 0x3f8
	lodsb
	test al, al
	jz .done
	out dx, al
	jmp .next
.done:
	mov ecx, 0xc0000080	; EFER: turn SYSCALL on
	rdmsr
	or eax, 1
	wrmsr
	mov ecx, 0x8b		; microcode version
	rdmsr
	mov ecx, 0x1a0		; IA32_MISC_ENABLE: shadowed, so that what is written comes back
	mov eax, 0x42
	xor edx, edx
	wrmsr
	rdmsr
	in al, 0x60		; no key was pressed
	mov al, 'd'
	out 0xe9, al		; debug console
	mov al, 10
	out 0xe9, al
	mov dx, 0xcf8		; PCI address register, 32 bits wide
	mov eax, 0x80000000
	out dx, eax
	mov al, 0
	out 0xf4, al		; end
.rest:	hlt
	jmp .rest

greeting:
	db "hello from a guest of ", '0' + BITS / 10, '0' + BITS % 10, " bits", 10, 0
