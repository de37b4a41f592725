"""A database without names: what these tests say holds whatever the database knows."""

from __future__ import annotations

from policyc.vocabulary.intervals import Intervals


class Nameless:
    version = "none"
    names = 0

    def msr(self, name: str) -> Intervals | None:
        return None

    def port(self, name: str) -> Intervals | None:
        return None

    def msr_member(self, name: str, number: int) -> int | None:
        return None

    def port_member(self, name: str, number: int) -> int | None:
        return None

    def msr_family(self, name: str) -> int | None:
        return None

    def port_family(self, name: str) -> int | None:
        return None

    def msr_name(self, index: int) -> str | None:
        return None

    def port_name(self, port: int) -> str | None:
        return None

    def suggest_msr(self, text: str) -> list[tuple[str, int]]:
        return []

    def suggest_port(self, text: str) -> list[tuple[str, int]]:
        return []

    def msr_unreadable(self, index: int) -> bool:
        return False
