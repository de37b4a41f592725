"""Layer 6: a bundle put to work: loaded, applied to a backend, each exit carried out as the policy says.

    from policyc import runtime
    bundle = runtime.load("vm.bundle")      # verified, in memory; UnreadableError says what is wrong with it

docs/runtime.md is the user's view.
"""

from __future__ import annotations

from policyc.bundle.read import Bundle as Bundle
from policyc.bundle.read import load as load
