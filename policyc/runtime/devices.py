"""The few devices behind the policy: what a small guest needs to be heard and to end.

Serial port 0x3f8 (output; always ready), debug console 0xe9, QEMU's exits: isa-debug-exit at 0xf4, ACPI power-off at
0x604. Other ports are empty: reads give all ones, writes go nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from policyc.runtime.endings import ENDED, Ending, Stop

SERIAL, SERIAL_LAST = 0x3F8, 0x3FF
DEBUG_CONSOLE = 0xE9
DEBUG_EXIT, DEBUG_EXIT_LAST = 0xF4, 0xF7
ACPI_CONTROL = 0x604
_SLEEP_ENABLE = 1 << 13
"""SLP_EN of PM1_CNT (ACPI 4.8.3.2): QEMU powers off at sleep type 0."""

_DATA, _LINE_CONTROL, _LINE_STATUS = 0, 3, 5
_DIVISOR_LATCH = 0x80
_RESET = (0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xB0, 0x00)
"""16550 registers at reset: no interrupt pending, transmitter empty, modem lines up."""


class Devices:
    """console: gets each byte that the guest prints."""

    def __init__(self, console: Callable[[int], None]) -> None:
        self.console = console
        self._registers = bytearray(_RESET)
        self._divisor = bytearray((1, 0))

    def read_port(self, port: int, width: int) -> int:
        """An IN of 1, 2 or 4 bytes, little endian."""
        value = 0
        for each in range(width):
            value |= self._read(port + each) << 8 * each
        return value

    def write_port(self, port: int, width: int, value: int) -> None:
        """An OUT. Raises Stop where the guest ends itself."""
        if DEBUG_EXIT <= port <= DEBUG_EXIT_LAST:
            raise Stop(Ending(ENDED, f"the guest wrote {value:#x} to the exit port {port:#x}", value))
        if port == ACPI_CONTROL and width > 1 and value & _SLEEP_ENABLE:
            raise Stop(Ending(ENDED, "the guest powered off through port 0x604", value))
        for each in range(width):
            self._write(port + each, value >> 8 * each & 0xFF)

    def _read(self, port: int) -> int:
        if SERIAL <= port <= SERIAL_LAST:
            register = port - SERIAL
            if register < 2 and self._registers[_LINE_CONTROL] & _DIVISOR_LATCH:
                return self._divisor[register]
            return self._registers[register]
        # Bochs' and QEMU's way to find out whether there is a debug console.
        return DEBUG_CONSOLE if port == DEBUG_CONSOLE else 0xFF

    def _write(self, port: int, value: int) -> None:
        if port == DEBUG_CONSOLE:
            self.console(value)
        elif SERIAL <= port <= SERIAL_LAST:
            register = port - SERIAL
            if register < 2 and self._registers[_LINE_CONTROL] & _DIVISOR_LATCH:
                self._divisor[register] = value
            elif register == _DATA:
                self.console(value)
            elif register in (1, _LINE_CONTROL, 4, 7):  # Interrupt enable, line and modem control, scratch.
                self._registers[register] = value
