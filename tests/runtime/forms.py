"""Guests that make port accesses in every form, and tell where an exception found them."""

from __future__ import annotations

SETUP = "mov al, 0x66\nmov cx, 3\nmov si, data\nmov di, 0x900\n"
FORMS = {
    "out 0x10, al": ("mov al, 0x66\n@: out 0x10, al\n", 0x66, 3),
    "out 0x10, ax": ("mov al, 0x66\n@: out 0x10, ax\n", 0x66, 3),
    "out 0x10, eax": ("@: out 0x10, eax\n", 0x66, 3),
    "out dx, al": ("mov al, 0x66\n@: out dx, al\n", 0x66, 3),
    "out dx, ax": ("@: out dx, ax\n", 0x66, 3),
    "out dx, eax": ("@: out dx, eax\n", 0x66, 3),
    "in al, 0x10": ("@: in al, 0x10\n", 0x66, 3),
    "in eax, dx": ("@: in eax, dx\n", 0x66, 3),
    "insb": ("@: insb\n", 0x66, 3),
    "insd": ("@: insd\n", 0x66, 3),
    "outsb": ("@: outsb\n", 0x66, 3),
    "outsw": ("@: outsw\n", 0x66, 3),
    "rep insb": ("@: rep insb\n", 0x66, 3),
    "rep insb down": ("std\n@: rep insb\n", 0x66, 3),
    "rep outsb": ("@: rep outsb\n", 0x66, 3),
    "rep outsd": ("@: rep outsd\n", 0x66, 3),
    "the last rep outsb": ("mov cx, 1\n@: rep outsb\n", 0x66, 1),
    "rep outsb behind an out": ("mov al, 1\nout 0x11, al\n@: rep outsb\n", 1, 3),
    "out before a rep outsb": ("mov al, 1\n@: out dx, al\nrep outsb\n", 1, 3),
    "nothing but outs": ("out 0x11, al\nout 0x11, al\n@: out dx, al\nout dx, al\n", 0x66, 3),
}
"""Instructions by what they are tried for, and AL and CX at the one that faults, which @ labels."""


DATA = 13
"""Bytes at the end of the guest that OUTS reads."""


def guest16(code: str) -> str:
    """Runs to the fault, whose handler leaves IP and registers at 0x800, and the label's place at 0x810."""
    return (
        "mov word [4*13], gp\nmov word [4*13+2], 0\nmov sp, 0x7000\nmov word [0x810], here\n"
        f"mov dx, 0x10\n{SETUP}cld\n{code.replace('@', 'here')}mov word [0x800], 0xffff\nhlt\n"
        "gp: mov [0x802], ax\nmov [0x804], cx\nmov [0x806], si\nmov [0x808], di\npop bx\nmov [0x800], bx\npop bx\n"
        "pop bx\nmov [0x80a], bx\nhlt\nalign 16\ndata: db 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13\n"
    )
