"""The table of lint rules. A new rule is one line here, one file in ``rules/`` and one line in vocabulary/codes.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import NamedTuple

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.vocabulary.diagnostic import Diagnostic

FILES = (
    "p301_hot_segment_base",
    "p302_tsc_read_trapped",
    "p303_log_on_hot_path",
    "p304_x2apic_hot",
    "p305_not_in_hardware",
    "p306_speculation_msr_hot",
    "p307_syscall_entry_trapped",
    "p308_whole_window",
    "p309_hot_port",
    "p310_tsc_deadline",
    "p311_xfd_xss_read",
    "r601_unreachable_rule",
    "r602_overlap_same_action",
    "r603_same_as_default",
    "r604_duplicate_rule",
    "r605_except_removes_nothing",
    "r606_unused_let",
    "r607_unused_import",
    "r608_untested_rule",
    "r609_vacuous_assert",
    "r610_mergeable_ranges",
    "r611_empty_set",
    "r612_needless_override",
    "r613_partially_shadowed",
    "s401_feature_control",
    "s402_vmx_capability",
    "s403_microcode_update",
    "s404_debug_trace",
    "s405_memory_type",
    "s406_efer",
    "s407_smm",
    "s408_pci_config",
    "s409_reset",
    "s410_acpi_pm",
    "s411_apic_base",
    "s412_x2apic_icr",
    "s413_mce",
    "s414_voltage_power",
    "s415_energy_side_channel",
    "s416_identity_leak",
    "s417_passthrough_needs_swap",
    "s418_nmi_mask",
    "s419_one_sided",
    "s420_partial_device",
    "s421_straddle",
    "s423_dangerous_allow",
    "s424_backdoor_port",
    "s425_user_msr",
    "s426_cet_fred_state",
    "s427_inject_on_io",
    "s428_length_looks_like_end",
    "t501_outside_window",
    "t502_kvm_x2apic",
    "t503_kvm_io_allow",
    "t504_kvm_range_limit",
    "t505_wrap_ffff",
    "t506_kvm_allow_weak",
    "t507_side_effects",
    "t508_new_msr_insns",
    "t510_controls",
    "t513_target_left_out",
    "t514_kvm_one_filter",
    "t515_kvm_last_msr",
    "x900_malformed_waiver",
    "x901_unused_waiver",
    "x902_no_reason",
    "x903_expired",
    "x904_unknown_code",
    "x905_forbidden",
    "y701_no_language",
    "y702_no_default",
    "y703_magic_number",
    "y704_alias_name",
    "y705_undocumented_rule",
    "y706_decimal_index",
    "y707_label_case",
    "y708_line_too_long",
    "y709_todo_comment",
    "y710_unsorted_set",
    "y711_mixed_number_width",
    "y712_named_range",
)
"""Modules of policyc.lint.rules in the order of their codes; each name begins with its code in lower case."""

Check = Callable[[Subject], Iterable[Diagnostic]]


class Registered(NamedTuple):
    """check: None where the compiler, or lint's own handling of waivers, tells the finding. of_images: the rule's own
    way to look at a raw image, for one whose check looks at words."""

    rule: Rule
    check: Check | None
    of_images: Check | None = None

    def audit(self, subject: Subject) -> Iterable[Diagnostic]:
        """What the rule finds in the policy that stands for a raw image."""
        look = self.of_images or self.check
        return () if look is None else look(subject)


def codes() -> tuple[str, ...]:
    """The codes of all rules, without importing one."""
    return tuple(name[:4].upper() for name in FILES)


def load(code: str) -> Registered:
    """One rule. Raises KeyError for a code that has none."""
    for name in FILES:
        if name[:4] == code.lower():
            module = import_module(f"policyc.lint.rules.{name}")
            return Registered(module.RULE, getattr(module, "check", None), getattr(module, "audit", None))
    raise KeyError(code)


def load_all() -> Iterator[Registered]:
    for code in codes():
        yield load(code)
