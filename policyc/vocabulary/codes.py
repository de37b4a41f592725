"""Every diagnostic code: its slug, its usual severity, and one line of what it is about. Codes are never reused."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """slug: greppable kebab-case name. severity: error, warning or info. about: one line, no full stop."""

    slug: str
    severity: str
    about: str


CODES: dict[str, Code] = {
    "D001": Code("database-syntax", "error", "a database file is not the plain YAML that is read"),
    "D002": Code("database-entry", "error", "an entry of a database file lacks a field, or has one too many"),
    "D003": Code("database-value", "error", "a field of a database entry has a value it cannot have"),
    "D004": Code("database-name", "error", "a name that two entries of the database claim"),
    "D005": Code("database-number", "error", "an MSR number that has two meanings on the same processors"),
    "D006": Code("database-too-large", "error", "a database file passes a size, depth or count limit"),
    "E001": Code("syntax-error", "error", "the text is not a statement of the policy language"),
    "E002": Code("not-text", "error", "the file is not UTF-8 text (a binary image, UTF-16, NUL bytes)"),
    "E003": Code("unreadable-file", "error", "an imported file cannot be read, or is not a regular file"),
    "E004": Code("input-too-large", "error", "the input passes a size, depth or count limit"),
    "E005": Code("merge-conflict", "error", "the file still holds merge-conflict markers"),
    "E006": Code("hidden-character", "error", "a control or bidirectional character hides what the text says"),
    "E011": Code("bad-number", "error", "a digit does not belong to the number's base"),
    "E012": Code("number-too-large", "error", "a number does not fit 64 bits"),
    "E013": Code("leading-zero", "error", "a leading zero is not octal here"),
    "E021": Code("reversed-range", "error", "a range's low end is above its high end"),
    "E022": Code("port-out-of-range", "error", "an I/O port above 0xffff"),
    "E023": Code("msr-out-of-range", "error", "an MSR index above 0xffffffff"),
    "E024": Code("bad-length", "error", "a `len` of 0, or one that runs past the last address"),
    "E025": Code("vcpu-out-of-range", "error", "a vCPU number above 4095"),
    "E031": Code("unknown-msr", "error", "a name that no MSR, set or constant has"),
    "E032": Code("unknown-port", "error", "a name that no I/O port, set or constant has"),
    "E033": Code("unknown-name", "error", "a set or constant that is not defined"),
    "E034": Code("unknown-member", "error", "a module has no such set or constant"),
    "E035": Code("unknown-profile", "error", "a profile that is not defined"),
    "E036": Code("unknown-module", "error", "an import that is not found"),
    "E037": Code("unknown-target", "error", "a target policyc does not know"),
    "E038": Code("unknown-action", "error", "an action the language does not have"),
    "E041": Code("mixed-space", "error", "an MSR where a port is needed, or the reverse"),
    "E042": Code("recursive-definition", "error", "a let, import or extends that leads back to itself"),
    "E043": Code("not-a-number", "error", "a set where one number is needed"),
    "E051": Code("access-word", "error", "read/write on ports, or in/out on MSRs"),
    "E052": Code("bad-width", "error", "a width other than 1, 2 or 4"),
    "E053": Code("width-on-msr", "error", "MSR accesses have no width"),
    "E061": Code("action-type", "error", "an action that this access cannot have"),
    "E062": Code("mask-unreadable", "error", "a mask on a register that cannot be read"),
    "E063": Code("value-too-wide", "error", "a value that does not fit the access"),
    "E064": Code("two-terminals", "error", "two terminal actions in one rule"),
    "E065": Code("action-after-terminal", "error", "an action after the terminal one"),
    "E066": Code("bad-handler-name", "error", "a handler name that is not a usable C identifier"),
    "E067": Code("bad-argument", "error", "an action's argument is missing, unknown or repeated"),
    "E068": Code("bad-condition", "error", "a condition that can never hold, or always does"),
    "E071": Code("redefinition", "error", "a name defined twice with different meanings"),
    "E072": Code("file-found-twice", "error", "one file imported through different paths"),
    "E073": Code("path-outside-tree", "error", "an import that leaves the policy's folder"),
    "E081": Code("language-version", "error", "a language version this compiler does not know"),
    "E082": Code("needs-language", "error", "a construct of a newer language version"),
    "E091": Code("not-json", "error", "a resolved policy is not the JSON that is read"),
    "E092": Code("ir-form", "error", "a member of a resolved policy is missing, unknown or of another kind"),
    "E201": Code("conflicting-actions", "error", "two rules of one layer decide one access differently"),
    "E202": Code("conflicting-overrides", "error", "two override rules decide one access differently"),
    "E203": Code("allow-cuts-module", "error", "an allow opens what another module intercepts"),
    "E211": Code("assert-failed", "error", "an assertion does not hold"),
    "E212": Code("never-allow-violated", "error", "something that must never be allowed is allowed"),
    "E213": Code("test-failed", "error", "a test block's expectation does not hold"),
    "T501": Code("outside-window", "info", "an MSR without a bitmap bit always exits"),
    "T502": Code("kvm-x2apic", "error", "KVM never filters the x2APIC MSRs 0x800..0x8ff"),
    "T503": Code("kvm-io-allow", "error", "KVM has no I/O bitmap: an allowed port still exits"),
    "T504": Code("kvm-range-limit", "error", "more than 16 KVM filter ranges after packing"),
    "T505": Code("wrap-ffff", "info", "accesses that run past port 0xffff always exit"),
    "T513": Code("target-left-out", "warning", "a default target cannot express the policy and is left out"),
    "T514": Code("kvm-one-filter", "error", "KVM has one MSR filter a VM: vCPUs cannot differ in what exits"),
    "T515": Code("kvm-last-msr", "error", "no KVM filter range reaches MSR 0xffffffff"),
    "X900": Code("malformed-waiver", "error", "a waiver comment that cannot be read"),
    "X904": Code("unknown-code", "error", "a waiver for a code that does not exist or cannot be waived"),
    "Y701": Code("no-language", "info", "the policy does not state its language version"),
    "Y702": Code("no-default", "warning", "the policy does not state its default"),
    "Y706": Code("decimal-index", "warning", "a decimal number whose digits are a known hexadecimal address"),
    "Y712": Code("named-range", "info", "a range between two names, shown in numbers"),
}
"""Sorted by code. A new code is one line here."""
