"""Intel VT-x: bitmap layouts, VMCS fields, exit reasons. Intel SDM vol. 3C chapters 25, 28 and appendices A to C."""

from __future__ import annotations

LOW_FIRST, LOW_LAST = 0x0000_0000, 0x0000_1FFF
HIGH_FIRST, HIGH_LAST = 0xC000_0000, 0xC000_1FFF
MSR_WINDOWS = ((LOW_FIRST, LOW_LAST), (HIGH_FIRST, HIGH_LAST))
"""The MSRs that have bits; every other RDMSR or WRMSR exits (SDM vol. 3C, "MSR-Bitmap Address")."""

MSR_BITMAP_BYTES = 4096
READ_LOW, READ_HIGH, WRITE_LOW, WRITE_HIGH = 0, 1024, 2048, 3072
"""Byte offsets of the four 1 KiB quarters of the MSR bitmap."""

IO_BITMAP_BYTES = 4096
"""Bytes of I/O bitmap A (ports 0x0000..0x7fff) and of B (0x8000..0xffff); each a page of its own."""

IO_BITMAP_A, IO_BITMAP_B, MSR_BITMAP = 0x2000, 0x2002, 0x2004
PRIMARY_CONTROLS = 0x4002
EXIT_REASON, EXIT_QUALIFICATION, EXIT_INSTRUCTION_LENGTH, GUEST_RIP = 0x4402, 0x6400, 0x440C, 0x681E
"""VMCS field encodings (SDM vol. 3D, appendix B)."""

UNCONDITIONAL_IO_EXITING, USE_IO_BITMAPS, USE_MSR_BITMAPS = 24, 25, 28
"""Bits of the primary processor-based VM-execution controls (SDM vol. 3C, table 25-6)."""

REASON_IO, REASON_RDMSR, REASON_WRMSR = 30, 31, 32
"""Basic exit reasons (SDM vol. 3D, appendix C)."""
