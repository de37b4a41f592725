"""Actions and conditions are read back from a manifest as they were written, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyc.runtime import words
from policyc.semantics.policy import VECTORS, Action, Condition
from policyc.semantics.wording import action_text, condition_text
from policyc.vocabulary.diagnostic import UnreadableError

U64 = st.integers(0, 2**64 - 1)
BARE = ("exit", "passthrough", "drop", "notify", "kill", "count", "trace")
ACTIONS = st.one_of(
    st.sampled_from([Action(name) for name in BARE]),
    st.builds(lambda rate: Action("log", (("rate", rate),)), st.integers(0, 2**32 - 1)),
    st.builds(lambda value: Action("const", (("value", value),)), U64),
    st.builds(lambda init: Action("shadow", (("init", init),)), U64),
    st.builds(lambda a, b: Action("mask", (("and", a), ("or", b))), U64, U64),
    st.builds(lambda vector: Action("inject", (("vector", vector),)), st.sampled_from(sorted(VECTORS.values()))),
    st.builds(
        lambda name: Action("forward", (("handler", name),)), st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,62}", fullmatch=True)
    ),
)  # fmt: skip
CONDITIONS = st.builds(
    Condition, st.sampled_from(("value", "cpl")), U64, st.sampled_from(("==", "!=", "<", "<=", ">", ">=")), U64
)


@given(ACTIONS)
def test_an_action_comes_back_as_it_was(action) -> None:
    assert words.action(action_text(action)) == action


@given(CONDITIONS)
def test_a_condition_comes_back_as_it_was(condition) -> None:
    assert words.condition(condition_text(condition)) == condition


@pytest.mark.parametrize(
    "text",
    ["", "explode", "kill()x", "kill(1)", "const", "const(value=1)", "const(-1)", "const(0x10000000000000000)",
     "mask(and=0x1, and=)", "mask(xor=0x1)", "inject", "inject(32)", "inject(pf)", "forward", "forward(system(1))",
     "forward(a-b)", "log(rate=01)", "log(0x5)", "shadow(0x5)", "Kill", "kill ", "const(1_0)"],
)  # fmt: skip
def test_what_policyc_does_not_write_is_refused(text) -> None:
    with pytest.raises(UnreadableError, match="is no action"):
        words.action(text)


@pytest.mark.parametrize("texts", [[], ["count"], ["kill", "kill"], ["kill", "log"]])
def test_a_chain_has_one_terminal_action_at_its_end(texts) -> None:
    with pytest.raises(UnreadableError, match="is no chain"):
        words.actions(texts)


@pytest.mark.parametrize("text", ["", "value", "value == 1", "port == 0x1", "value & 0x1 = 0x1", "value ** 0x2 == 0x1"])
def test_no_other_condition_is_read(text) -> None:
    with pytest.raises(UnreadableError, match="is no condition"):
        words.condition(text)
