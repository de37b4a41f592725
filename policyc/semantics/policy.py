"""The resolved policy: every name looked up, every set flattened, every default filled in. Frozen: others only read.

How a policy decides one access (the whole rule, in the order of docs/precedence.md):

1. Take the rules whose space, addresses, columns and vCPUs match. A port access of ``width`` bytes is decided byte by
   byte: each touched port is looked up with the column (direction and width) of the whole access.
2. The highest layer wins: default < imported modules < main file < selected profile (child over parent) < override.
3. Inside a layer an ``allow`` is an exception to the layer's ``intercept`` and ``deny`` rules.
   Of rules that decide alike, one with conditions is named before one without, then the first written.
4. A rule whose conditions do not hold is as if it were not there: the next lower one decides.
5. Of the bytes of one access the strictest action wins (STRICTNESS), so widening an access never weakens a verdict;
   of equally strict ones those that log, count or trace, so that it is not a way around these either; of equals the
   lowest port. A const, mask or shadow whose rule does not decide every byte gives no value: the access is dropped.
"""

# Annotations are evaluated here: as text, typing would compile each field's, half of this file's import time.

from policyc.vocabulary.actions import NON_TERMINAL as NON_TERMINAL
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.span import Source, Span
from policyc.vocabulary.typed import NamedTuple

LAYER_DEFAULT, LAYER_IMPORT, LAYER_MAIN, LAYER_PROFILE, LAYER_OVERRIDE = range(5)

STRICTNESS = (
    "passthrough",
    "mask",
    "forward",
    "exit",
    "notify",
    "shadow",
    "const",
    "drop",
    "inject",
    "kill",
)
"""Terminal actions from the most open to the strictest; every terminal action is here exactly once."""

VECTORS = {
    "de": 0, "db": 1, "bp": 3, "of": 4, "br": 5, "ud": 6, "nm": 7, "df": 8, "ts": 10, "np": 11, "ss": 12, "gp": 13,
    "mf": 16, "ac": 17, "mc": 18, "xm": 19, "cp": 21,
}  # fmt: skip
"""Exceptions that ``inject`` can name. #PF is left out: no rule can give its CR2. SDM vol. 3A, table 6-1."""

ERROR_CODE_VECTORS = frozenset({8, 10, 11, 12, 13, 17, 21})
"""Vectors that push an error code; inject gives 0. SDM vol. 3A, table 6-1."""


class Action(NamedTuple):
    """One action with its arguments made canonical, so that equal actions are equal values.

    name: a member of STRICTNESS or NON_TERMINAL. arguments, by name, sorted:
    log: rate (events per second, 0 = unlimited). const: value. mask: and, or (64 bit; defaults all ones and 0).
    shadow: init. inject: vector (0..31). forward: handler (a C identifier). The others have none.
    """

    name: str
    arguments: tuple[tuple[str, int | str], ...] = ()

    def number(self, name: str) -> int:
        """The value of a numeric argument; KeyError if the action has no such argument."""
        for each, value in self.arguments:
            if each == name and isinstance(value, int):
                return value
        raise KeyError(name)

    def handler(self) -> str:
        """The C function that ``forward`` names; KeyError for other actions."""
        for each, value in self.arguments:
            if each == "handler" and isinstance(value, str):
                return value
        raise KeyError("handler")

    @property
    def terminal(self) -> bool:
        return self.name not in NON_TERMINAL


Actions = tuple[Action, ...]
"""Non-terminal actions in the order written, then exactly one terminal action."""

PASSTHROUGH: Actions = (Action("passthrough"),)
EXIT: Actions = (Action("exit"),)


class Condition(NamedTuple):
    """``(subject & mask) op operand``, unsigned 64-bit. subject: ``value`` or ``cpl``. op: ``== != < <= > >=``.

    value of a read is 0 bits of nothing: a condition on value never holds for RDMSR or IN (they carry no value in).
    """

    subject: str
    mask: int
    op: str
    operand: int


class Rule(NamedTuple):
    """One rule.

    number: position in Policy.rules. verb: intercept, allow or deny (deny is stored with its inject action).
    columns: mask of 1 << column (policyc.vocabulary.access). vcpus: None = every vCPU.
    traps: False for allow; an intercept traps even where its action passes the access on.
    layer: LAYER_IMPORT..LAYER_OVERRIDE. profile: the profile it stands in, None outside. module: index into
    Policy.modules of the file it stands in. span: its addresses; statement: all of it.
    """

    number: int
    verb: str
    space: str
    ranges: Intervals
    columns: int
    conditions: tuple[Condition, ...]
    vcpus: Intervals | None
    actions: Actions
    layer: int
    profile: str | None
    module: int
    label: str | None
    doc: tuple[str, ...]
    span: Span
    statement: Span

    @property
    def traps(self) -> bool:
        return self.verb != "allow"


class Default(NamedTuple):
    """The verdict where no rule matches. traps: False = pass through without an exit. span: None where not written."""

    traps: bool
    actions: Actions
    span: Span | None


class Defaults(NamedTuple):
    """outside: actions for MSRs that exit only because the target has no bit for them (default: the exit hook)."""

    msr: Default
    io: Default
    outside: Actions
    outside_span: Span | None


class Profile(NamedTuple):
    """parents: direct ones as written. lineage: ancestors and itself, each after all of its own ancestors."""

    name: str
    parents: tuple[str, ...]
    lineage: tuple[str, ...]
    defaults: Defaults
    doc: tuple[str, ...]
    span: Span


class VcpuClass(NamedTuple):
    """vCPUs that share all images. name: ``rest`` for those that no rule names, else like ``0`` or ``1-3_7``.

    vcpus: the numbers, 0..4095; for ``rest`` the complement of all others.
    """

    name: str
    vcpus: Intervals


class Assertion(NamedTuple):
    """kind: ``intercepted`` or ``action``. expected: the actions for kind action. profile: None = in every variant."""

    negated: bool
    kind: str
    space: str
    ranges: Intervals
    columns: int
    expected: Actions | None
    profile: str | None
    module: int
    span: Span


class Never(NamedTuple):
    """These accesses must never pass through, in any variant (or in those of one profile)."""

    space: str
    ranges: Intervals
    columns: int
    profile: str | None
    module: int
    span: Span


class TestCase(NamedTuple):
    """One expectation. kind: rdmsr, wrmsr, in, out. profile: None = the base policy. vcpu: None = class rest.

    outcome: expected actions; ``(exit,)`` alone matches any trapping action, as docs/language.md says.
    """

    kind: str
    address: int
    width: int
    value: int
    cpl: int
    vcpu: int | None
    profile: str | None
    outcome: Actions
    span: Span


class Test(NamedTuple):
    name: str
    cases: tuple[TestCase, ...]
    module: int
    span: Span


class ModuleInfo(NamedTuple):
    """One source file. name: as messages show it; for std modules ``std/serial.pol``. path: relative to the main file's
    folder with forward slashes (what the manifest records), or ``std/...``."""

    name: str
    path: str
    source: Source


class Policy(NamedTuple):
    """Everything the policy says. name: the main file's stem. targets: as named in the policy, in order; may be empty.

    modules[0] is the main file. notes: warnings and infos found on the way (errors raise PolicyError instead).
    database_version: version of the MSR and port database that names were read from.
    """

    name: str
    language: int
    targets: tuple[tuple[str, Span], ...]
    defaults: Defaults
    rules: tuple[Rule, ...]
    profiles: tuple[Profile, ...]
    vcpu_classes: tuple[VcpuClass, ...]
    asserts: tuple[Assertion, ...]
    nevers: tuple[Never, ...]
    tests: tuple[Test, ...]
    modules: tuple[ModuleInfo, ...]
    database_version: str


class Variant(NamedTuple):
    """One whole answer: a profile (None = base policy) on one class of vCPUs (index into Policy.vcpu_classes)."""

    profile: str | None = None
    vcpu_class: int = 0


DEFAULT_RULE = -1
"""The last link of a chain that ends in the default."""


class Run(NamedTuple):
    """Addresses lo..hi, all decided alike. chain: rule numbers, first asked first; every link but the last is
    conditional; the last is an unconditional rule or DEFAULT_RULE."""

    lo: int
    hi: int
    chain: tuple[int, ...]


class DecisionMap(NamedTuple):
    """columns[c]: runs that cover the column's whole address space (MSR 0..2^32-1, ports 0..65535) without gap.

    For port columns a run decides single byte ports; accesses combine bytes by rule 5 of the module's docstring.
    """

    variant: Variant
    defaults: Defaults
    columns: tuple[tuple[Run, ...], ...]
