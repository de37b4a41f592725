"""Actions and conditions read back from a manifest, which spells them as the language does.

The inverse of ``action_text`` and ``condition_text`` in policyc.semantics.wording. Manifests may come from anybody, so
whatever policyc would not have written is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from policyc.semantics.policy import STRICTNESS, VECTORS, Action, Actions, Condition
from policyc.vocabulary.actions import NON_TERMINAL
from policyc.vocabulary.diagnostic import UnreadableError

_U64 = (1 << 64) - 1
_ACTION = re.compile(r"([a-z]+)(?:\(([^()]*)\))?", re.ASCII)
_CONDITION = re.compile(r"(value|cpl)(?: & (0x[0-9a-f]{1,16}))? (==|!=|<|<=|>|>=) (0x[0-9a-f]{1,16})", re.ASCII)
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,10}", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}", re.ASCII)


def actions(texts: Sequence[str]) -> Actions:
    """The chain: non-terminal actions, then one terminal. Raises UnreadableError for anything else."""
    chain = tuple(action(each) for each in texts)
    if not chain or not chain[-1].terminal or any(each.terminal for each in chain[:-1]):
        raise UnreadableError(f"manifest.json: {ascii(list(texts))[:80]} is no chain of actions")
    return chain


def action(text: str) -> Action:
    """``log(rate=5)``, ``mask(and=0xf, or=0x1)``, ``kill``."""
    match = _ACTION.fullmatch(text)
    if match is None or match[1] not in (*STRICTNESS, *NON_TERMINAL):
        raise _no_action(text)
    name, inside = match[1], match[2]
    given = {}
    for part in (inside or "").split(", ") if inside else ():
        key, equals, value = part.rpartition("=")
        given[key if equals else ""] = value
    made = _action(name, given)
    if made is None:
        raise _no_action(text)
    return made


def _action(name: str, given: dict[str, str]) -> Action | None:
    """None where the arguments are not those of the action."""
    if name == "log":
        rate = _number(given.pop("rate", "0"))
        return None if given or rate is None else Action(name, (("rate", rate),))
    if name == "mask":
        kept, added = _number(given.pop("and", hex(_U64))), _number(given.pop("or", "0x0"))
        return None if given or kept is None or added is None else Action(name, (("and", kept), ("or", added)))
    if name == "inject":
        word = given.pop("", "")
        vector = VECTORS.get(word, _number(word))
        return None if given or vector is None or vector > 31 else Action(name, (("vector", vector),))
    if name == "forward":
        handler = given.pop("", "")
        return None if given or not _NAME.fullmatch(handler) else Action(name, (("handler", handler),))
    if name in ("const", "shadow"):
        key = "value" if name == "const" else "init"
        number = _number(given.pop("" if name == "const" else "init", ""))
        return None if given or number is None else Action(name, ((key, number),))
    return None if given else Action(name)


def condition(text: str) -> Condition:
    """``value & 0x80000000 != 0x0``."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UnreadableError(f"manifest.json: {ascii(text)[:80]} is no condition that this policyc knows")
    subject, mask, comparison, operand = match.groups()
    return Condition(subject, _U64 if mask is None else int(mask, 16), comparison, int(operand, 16))


def _number(text: str) -> int | None:
    return int(text, 0) if _NUMBER.fullmatch(text) and (text == "0" or text[0] != "0" or text[:2] == "0x") else None


def _no_action(text: str) -> UnreadableError:
    return UnreadableError(f"manifest.json: {ascii(text)[:80]} is no action that this policyc knows")
