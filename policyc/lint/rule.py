"""What a lint rule says about itself. Its two policies are its test, and with the rest its page."""

from __future__ import annotations

from typing import NamedTuple

GUEST, MONITOR, NONE = "guest-untrusted", "monitor", "none"
THREATS = (GUEST, MONITOR, NONE)
"""Whom a policy defends against. guest-untrusted: the guest attacks the host. monitor: the guest owns the machine and a
thin hypervisor watches it. none: nobody; only mistakes that make no sense under any threat are told."""

ANY_THREAT = frozenset(THREATS)
FROM_GUEST = frozenset({GUEST})
WATCHED = frozenset({GUEST, MONITOR})


class Rule(NamedTuple):
    """One rule.

    code, slug, severity: as in policyc.vocabulary.codes, which a test holds equal. about: one sentence for a list.
    why: a paragraph. source: where a reader can check it. avoid: a policy in which the rule finds something; prefer: the
    same intent without a finding. threats: under which it is on. on: whether it runs unless selected by name.
    by_compiler: `check` and `compile` tell it themselves; lint adds waivers and settings.
    yields_to: codes (or prefixes) beside which this rule is silent about the same place.
    """

    code: str
    slug: str
    severity: str
    why: str
    source: str
    avoid: str
    prefer: str
    threats: frozenset[str] = ANY_THREAT
    on: bool = True
    by_compiler: bool = False
    yields_to: tuple[str, ...] = ()
