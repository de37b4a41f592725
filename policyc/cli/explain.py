"""``policyc explain POLICY rdmsr|wrmsr|in|out ADDRESS``: what becomes of one access, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from policyc.analyses.explanation import Considered, Explanation
    from policyc.database.names import Database
    from policyc.reports.colour import Paint
    from policyc.semantics.policy import Policy
    from policyc.vocabulary.access import Access
    from policyc.vocabulary.diagnostic import Label
    from policyc.vocabulary.intervals import Intervals

SUMMARY = "tell what becomes of one access, which rule decides, and which bits say so"

EPILOG = """\
# does a write of EFER exit, and what happens then?
policyc explain vm.pol wrmsr IA32_EFER
# the value counts where rules have conditions
policyc explain vm.pol out 0xcf8 --width 4 --value 0x80000000
# under a profile, on one vCPU, on AMD
policyc explain vm.pol rdmsr 0x1d9 --profile hardened --vcpu 0 --target svm
# for programs
policyc explain vm.pol in 0x3f8 --format json
"""

KINDS = ("rdmsr", "wrmsr", "in", "out")


def arguments(parser: Parser) -> None:
    parser.add_argument("policy", metavar="POLICY", help="the policy; - reads standard input")
    parser.add_argument("kind", metavar="ACCESS", choices=KINDS, help="rdmsr, wrmsr, in or out")
    parser.add_argument("address", metavar="ADDRESS", help="an MSR index or port, as a number or a database name")
    parser.add_argument("--width", type=_width, metavar="N", help="bytes of a port access: 1, 2 or 4 (1 if not given)")
    parser.add_argument("--value", type=policies.number, metavar="V", help="what is written (0 if not given)")
    parser.add_argument(
        "--cpl", type=policies.number, metavar="N", help="privilege level of the guest, 0..3", default=0
    )
    parser.add_argument(
        "--vcpu", type=policies.number, metavar="N", help="on this vCPU; else on one that no rule names"
    )
    parser.add_argument("--profile", metavar="NAME", help="under this profile; else the base policy")
    parser.add_argument(
        "--target", choices=policies.TARGETS, help="the hardware; else the policy's first target, or vmx"
    )
    policies.add_from_ir(parser)
    policies.add_database(parser)
    policies.add_format(parser)


def _width(word: str) -> int:
    if word not in ("1", "2", "4"):
        raise ValueError("an IN or OUT has 1, 2 or 4 bytes")
    return int(word)


def run(args: Arguments) -> int:
    from policyc.analyses.explanation import explain

    names = policies.database(args)
    policy: Policy | None = None
    if _is_own(args, names):
        policy = policies.front(args, args.policy, names).policy
    access = _access(args, policy, names)
    policy = policy or policies.front(args, args.policy, names).policy
    _refuse_conflicts(policy, names)
    variant = policies.variant(policy, args.profile, args.vcpu)
    target = args.target or (policy.targets[0][0] if policy.targets else policies.TARGETS[0])
    found = explain(policy, variant, access, target)
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(_fields(policy, found, names, args.vcpu)), end="")
    else:
        from policyc.cli.console import output_paint

        print("\n".join(_story(policy, found, names, output_paint(args))))
    return 0


def _refuse_conflicts(policy: Policy, names: Database) -> None:
    """A policy whose rules contradict each other has no verdicts. Failing assertions and tests do not matter here."""
    from policyc.semantics.conflicts import conflicts
    from policyc.vocabulary.diagnostic import PolicyError

    found = conflicts(policy, names)
    if found:
        raise PolicyError(found)


# the access


def _is_own(args: Arguments, names: Database) -> bool:
    """Whether only the policy can say what the address is: it is a word, and none of the database."""
    word = args.address
    known = names.msr(word) if args.kind in ("rdmsr", "wrmsr") else names.port(word)
    return not word[:1].isdigit() and "[" not in word and known is None and not args.from_ir


def _access(args: Arguments, policy: Policy | None, names: Database) -> Access:
    from policyc.vocabulary.access import MSR_LAST, PORT_LAST, Access

    msr = args.kind in ("rdmsr", "wrmsr")
    if msr and args.width is not None:
        raise UsageError("--width is for in and out", "leave it out: an MSR has 64 bits")
    width = 8 if msr else args.width or 1
    if args.value is not None and args.kind in ("rdmsr", "in"):
        raise UsageError(f"--value is for wrmsr and out: `{args.kind}` carries no value", "leave it out")
    value = args.value or 0
    if not 0 <= value < 1 << 8 * width:
        raise UsageError(f"--value {value:#x} does not fit {8 * width} bits", "" if msr else "say --width 2 or 4")
    if not 0 <= args.cpl <= 3:
        raise UsageError(f"there is no privilege level {args.cpl}", "levels are 0..3")
    own = None
    if policy is not None:
        own = policies.addresses(policy, args.policy, "msr" if msr else "io", args.address, names)
    address = _address(args.address, msr, own, names)
    last = MSR_LAST if msr else PORT_LAST
    if not 0 <= address <= last:
        raise UsageError(f"{'MSR' if msr else 'I/O port'} {address:#x} does not exist", f"they end at {last:#x}")
    return Access(args.kind, address, width, value, args.cpl)


def _address(word: str, msr: bool, own: Intervals | None, names: Database) -> int:
    """A number, a database name, or a member of a family: ``IA32_MTRR_PHYSBASE[3]``. own: what it is in the policy."""
    if word[:1].isdigit():
        try:
            return policies.number(word)
        except ValueError as reason:
            raise UsageError(f"ADDRESS cannot be `{word}`", str(reason)) from None
    what = "MSR" if msr else "I/O port"
    family, bracket, member = word.partition("[")
    if bracket and member.endswith("]") and member[:-1].isdigit():
        found = (names.msr_member if msr else names.port_member)(family, int(member[:-1]))
        if found is None:
            raise UsageError(
                f"there is no {what} `{word}`", f"`policyc {'msr' if msr else 'port'} {family}` lists them"
            )
        return found
    ranges = (names.msr if msr else names.port)(word) or own
    if not ranges:
        close = (names.suggest_msr if msr else names.suggest_port)(word)
        listed = " or ".join(f"`{name}` ({address:#x})" for name, address in close[:3])
        if (names.port if msr else names.msr)(word) is not None:
            say = "it is an I/O port: say `in` or `out`" if msr else "it is an MSR: say `rdmsr` or `wrmsr`"
            raise UsageError(f"no {what} is named `{word}`", say)
        search = f"`policyc {'msr' if msr else 'port'} {word.lower()}` searches the database"
        raise UsageError(f"no {what} is named `{word}`", f"did you mean {listed}?" if listed else search)
    lo, hi = ranges[0][0], ranges[-1][1]
    if lo != hi:
        from policyc.semantics.wording import addresses_text

        several = addresses_text("msr" if msr else "io", ranges)
        raise UsageError(f"`{word}` is several: {several}", f"name one by its number, such as {lo:#x}")
    return lo


# for programs


def _fields(policy: Policy, found: Explanation, names: Database, vcpu: int | None) -> dict[str, Any]:
    from policyc.semantics.wording import actions_text

    verdict, access = found.verdict, found.access
    return {
        "access": {
            "kind": access.kind,
            "address": access.address,
            "width": access.width,
            "value": access.value if access.kind in ("wrmsr", "out") else None,
            "cpl": access.cpl,
            "name": _name(access.kind, access.address, names),
        },
        "target": found.target,
        "profile": found.variant.profile,
        "vcpu": vcpu,
        "exits": verdict.exits,
        "action": verdict.actions[-1].name,
        "actions": actions_text(verdict.actions),
        "rule": None if verdict.rule is None else _rule(policy, verdict.rule),
        "reason": verdict.reason,
        "bits": [each._asdict() for each in verdict.bits] or _filter_bits(policy, found),
        "considered": [_considered(policy, each) for each in found.considered],
    }


def _rule(policy: Policy, number: int) -> dict[str, Any]:
    rule = policy.rules[number]
    return {"file": rule.statement.source.name, "line": rule.statement.line, "label": rule.label}


def _considered(policy: Policy, each: Considered) -> dict[str, Any]:
    from policyc.analyses.explanation import layer_name
    from policyc.semantics.policy import DEFAULT_RULE

    default = each.rule == DEFAULT_RULE
    return {
        "address": each.address,
        "rule": None if default else _rule(policy, each.rule),
        "layer": "default" if default else layer_name(policy.rules[each.rule]),
        "says": each.says,
    }


def _filter_bits(policy: Policy, found: Explanation) -> list[dict[str, Any]]:
    """The bit of KVM's filter that decides an MSR; its polarity is KVM's: 1 allows."""
    if found.target != "kvm" or found.access.kind in ("in", "out") or found.verdict.reason == "x2apic-unfiltered":
        return []
    from policyc.proof import kvm
    from policyc.semantics.decide import decide
    from policyc.targets.registry import target
    from policyc.targets.traps import traps_of

    decisions, made = decide(policy, found.variant), target("kvm")
    if any(each.severity == "error" for each in made.problems(policy, (decisions,))):
        return []  # No filter can say it, so there are no bits.
    image = made.images(traps_of(policy, decisions))[0]
    place = kvm.place(kvm.read(image.data), found.access.address, found.access.kind == "wrmsr")
    return [] if place is None else [{"image": image.name, **place._asdict()}]


# for people


def _name(kind: str, address: int, names: Database) -> str | None:
    return names.msr_name(address) if kind in ("rdmsr", "wrmsr") else names.port_name(address)


def _story(policy: Policy, found: Explanation, names: Database, paint: Paint) -> list[str]:
    from policyc.reports.text import show_place

    lines = [_headline(found, names, paint)]
    place = _deciding_place(policy, found)
    if place is not None:
        lines += show_place(place, paint)
    lines += ["", *_reason(policy, found)]
    lines += ["", paint("strong", "rules that name it, in the order they are asked:")]
    lines += _chain(policy, found, paint)
    bits = _bits(policy, found)
    if bits:
        lines += ["", paint("strong", "bits:"), *bits]
    return lines


def _headline(found: Explanation, names: Database, paint: Paint) -> str:
    from policyc.semantics.wording import actions_text

    access, verdict = found.access, found.verdict
    msr = access.kind in ("rdmsr", "wrmsr")
    name = _name(access.kind, access.address, names)
    words = f"{access.kind} " + (f"{name} ({access.address:#x})" if name else f"{access.address:#x}")
    if not msr:
        words += f" width {access.width}"
    if access.kind in ("wrmsr", "out"):
        words += f" value {access.value:#x}"
    if access.cpl:
        words += f" at cpl {access.cpl}"
    where = f"on {found.target}" + (f", profile {found.variant.profile}" if found.variant.profile else "")
    if not verdict.exits:
        return f"{words} {where}: {paint('good', 'passes through without an exit')}"
    said = actions_text(verdict.actions)
    then = "and the handler passes it on" if said == "passthrough" else f"-> {said}"
    return f"{words} {where}: {paint('strong', 'exits')} {then}"


def _deciding_place(policy: Policy, found: Explanation) -> Label | None:
    from policyc.semantics.wording import rule_name
    from policyc.vocabulary.diagnostic import Label

    if found.verdict.rule is not None:
        rule = policy.rules[found.verdict.rule]
        return Label(rule.span, f"{rule_name(rule)} decides")
    default = _default_span(policy, found)
    return None if default is None else Label(default, "the default decides")


def _default_span(policy: Policy, found: Explanation) -> Any:
    from policyc.semantics.decide import defaults_of

    defaults = defaults_of(policy, found.variant.profile)
    if found.verdict.reason == "outside-window":
        return defaults.outside_span
    if found.verdict.reason == "default":
        return (defaults.msr if found.access.kind in ("rdmsr", "wrmsr") else defaults.io).span
    return None


_REASONS = {
    "past-last-port": "the access runs past port 0xffff: it exits whatever the policy says",
    "x2apic-unfiltered": "KVM never filters the x2APIC MSRs 0x800..0x8ff: the guest's access reaches its virtual APIC",
    "outside-window": "no bit exists for this MSR, so it always exits; no rule names it: `default msr outside` speaks",
}


def _reason(policy: Policy, found: Explanation) -> list[str]:
    verdict, access = found.verdict, found.access
    if verdict.reason in _REASONS:
        return [_REASONS[verdict.reason]]
    if verdict.reason == "shared-bit":
        return _shared(found)
    if verdict.reason == "default":
        stated = _default_span(policy, found) is not None
        return [
            "no rule decides it: " + ("the default does" if stated else "no default is stated, so it passes through")
        ]
    if verdict.rule is not None and access.kind in ("in", "out") and access.width > 1:
        return [
            f"the strictest of its {access.width} ports decides: {access.address:#x} and the {access.width - 1} above"
        ]
    return ["the first rule that is asked and applies decides"]


def _shared(found: Explanation) -> list[str]:
    """Why an access exits that the policy passes on."""
    if found.access.kind in ("in", "out") and found.target == "kvm":
        return ["the policy passes it on, but KVM has no I/O bitmap: every access exits, and the handler passes it on"]
    said = "the policy passes it on, but the hardware cannot tell it from an access that traps: "
    if any(each.condition is not None for each in found.considered):
        return [said + "only the handler sees whether a condition holds"]
    return [said + "a port has one bit, for both directions and all widths"]


def _chain(policy: Policy, found: Explanation, paint: Paint) -> list[str]:
    """The rules at each port, or at the MSR; neighbours with the same rules stand together."""
    from policyc.reports.tables import table
    from policyc.semantics.wording import range_text

    by_address: dict[int, list[tuple[str, ...]]] = {}
    for each in found.considered:
        by_address.setdefault(each.address, []).append(_link(policy, found, each))
    groups: list[tuple[int, int, list[tuple[str, ...]]]] = []
    for address, rows in by_address.items():
        if groups and groups[-1][2] == rows:
            groups[-1] = (groups[-1][0], address, rows)
        else:
            groups.append((address, address, rows))
    lines: list[str] = []
    for lo, hi, rows in groups:
        if len(by_address) > 1:
            lines.append(f"  port{'' if lo == hi else 's'} {range_text(lo, hi)}:")
        drawn = table(rows, "    " if len(by_address) > 1 else "  ")
        lines += [
            paint("strong", line) if row[-1].endswith("decides") else line
            for line, row in zip(drawn, rows, strict=True)
        ]
    return lines


def _link(policy: Policy, found: Explanation, each: Considered) -> tuple[str, ...]:
    """Layer, place, what the rule does, and what it had to say."""
    from policyc.analyses import explanation
    from policyc.reports.cells import safe
    from policyc.semantics.policy import DEFAULT_RULE
    from policyc.semantics.wording import columns_text, condition_text

    hardware = found.verdict.reason in ("past-last-port", "x2apic-unfiltered")
    why = {
        explanation.DECIDES: "not heard" if hardware else "decides",
        explanation.OVERRULED: "not asked",
        explanation.PROFILE: "of another profile",
        explanation.VCPU: "for other vCPUs",
    }.get(each.says, "")
    if each.rule == DEFAULT_RULE:
        return "default", "", _default_says(policy, found), why
    rule = policy.rules[each.rule]
    if each.says == explanation.COLUMN:
        why = f"only for {columns_text(rule.columns)}"
    if each.condition is not None:
        why = f"its condition does not hold: {condition_text(each.condition)}"
    where = f"{safe(rule.statement.source.name)}:{rule.statement.line}" + (f" {rule.label}" if rule.label else "")
    return explanation.layer_name(rule), where, _rule_says(policy, each.rule), why


def _rule_says(policy: Policy, number: int) -> str:
    from policyc.semantics.wording import actions_text

    rule = policy.rules[number]
    return f"{rule.verb} -> {actions_text(rule.actions)}" if rule.traps else rule.verb


def _default_says(policy: Policy, found: Explanation) -> str:
    from policyc.semantics.decide import defaults_of
    from policyc.semantics.wording import actions_text

    defaults = defaults_of(policy, found.variant.profile)
    if found.verdict.reason == "outside-window":
        return f"outside -> {actions_text(defaults.outside)}"
    default = defaults.msr if found.access.kind in ("rdmsr", "wrmsr") else defaults.io
    return f"exit -> {actions_text(default.actions)}" if default.traps else "passthrough"


def _bits(policy: Policy, found: Explanation) -> list[str]:
    lines = [
        f"  {each.image} byte {each.byte} ({each.byte:#x}), bit {each.bit} is {each.value}: "
        + ("exit" if each.value else "no exit")
        for each in found.verdict.bits
    ]
    for each in _filter_bits(policy, found) if not lines else []:
        meaning = "allowed" if each["value"] else "denied"
        lines.append(f"  {each['image']} range {each['range']}, byte {each['byte']}, bit {each['bit']}: {meaning}")
    return lines
