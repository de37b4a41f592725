"""The names of all actions, in the order of docs/language.md; policyc.semantics.actions has their arguments."""

from __future__ import annotations

NON_TERMINAL = ("log", "count", "trace")

TERMINAL = ("exit", "passthrough", "const", "mask", "shadow", "drop", "inject", "forward", "notify", "kill")

ACTION_WORDS = NON_TERMINAL + TERMINAL
