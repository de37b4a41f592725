"""Loading the database is small change in the start of a command."""

from __future__ import annotations

import subprocess
import sys

LOADING = """
import marshal
from policyc.database import _index, names
from tests.growth import seconds
code = marshal.dumps(compile(open(_index.__file__, encoding="utf-8").read(), "_index", "exec"))
def once():
    exec(marshal.loads(code), {})
    names.load().msr("IA32_EFER")
print(seconds(once, 0.010))
"""


def test_loading_and_the_first_name_take_milliseconds() -> None:
    run = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 0.010


def test_neither_yaml_nor_the_texts_are_loaded_for_a_name() -> None:
    asks = (
        "import sys; from policyc.database.names import load; d = load(); d.msr('IA32_EFER'); d.msr_name(16);"
        "d.msr_tags(16); d.port('COM1'); print([m for m in ('yaml', 'json', 'policyc.database._texts') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
