"""Sentences that editors show beside words of the language."""

from __future__ import annotations

ACTIONS = {
    "log": "reports the access; `log(rate=N)` at most N times a second",
    "count": "adds one to the rule's counter",
    "trace": "hands the access to the trace hook",
    "exit": "calls the hypervisor's exit hook, which decides",
    "passthrough": "makes the access for the guest, after the exit",
    "const": "`const(V)`: a read gives V",
    "mask": "`mask(and=A, or=O)`: makes the access; the value is `value & A | O` on its way",
    "shadow": "`shadow(init=V)`: a copy for each vCPU, which begins as V; the hardware is not touched",
    "drop": "a write is ignored; a read gives 0 (MSR) or all ones of the width (port)",
    "inject": "`inject(gp)`: raises an exception in the guest",
    "forward": "`forward(NAME)`: calls the C function NAME, which the hypervisor supplies",
    "notify": "tells user space, and waits for its answer",
    "kill": "stops the virtual machine",
}
"""What each action of policyc.vocabulary.actions does."""

REASONS = {
    "default": "by the default",
    "outside-window": "the MSR has no bit in the image, so it always exits",
    "past-last-port": "it runs past port 0xffff, so it always exits",
    "shared-bit": "it shares a bit with an access that exits; the handler passes it on",
    "x2apic-unfiltered": "KVM never filters it",
}
"""Why a verdict that no rule gave is what it is, by policyc.proof.evaluate's words."""
