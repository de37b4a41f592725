"""Puts a fault of tests/handler/faults.py into the handler's C, when the environment names one."""

from __future__ import annotations

import os

import pytest

from tests.handler.faults import FAULTS, VARIABLE


@pytest.fixture(autouse=True, scope="session")
def faulty_code():
    number = os.environ.get(VARIABLE)
    if number is None:
        yield
        return
    from policyc.emitters import handler

    fault, read = FAULTS[int(number)], handler._part

    def part(name: str) -> str:
        text = read(name)
        if name != fault.file:
            return text
        assert text.count(fault.old) == 1, fault
        return text.replace(fault.old, fault.new)

    patch = pytest.MonkeyPatch()
    patch.setattr(handler, "_part", part)
    yield
    patch.undo()
