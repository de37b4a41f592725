"""What the commands that read a policy share: their options, and the way from the arguments to the policy."""

from __future__ import annotations

from policyc.cli.parser import Arguments, Parser, UsageError
from policyc.vocabulary.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from policyc.database.names import Database
    from policyc.pipeline import Checked, Compilation, Front
    from policyc.proof.exhaustive import Progress as Step
    from policyc.semantics.policy import Policy, Variant
    from policyc.vocabulary.intervals import Intervals

TARGETS = ("vmx", "svm", "kvm")
"""As policyc.targets.registry.NAMES, which a test holds equal; here so that `help` need not import targets."""

_MOST_JOBS = 256
_LARGEST_DATABASE = 4 << 20
"""Bytes of one database file, which may have policyc.database.nodes.LARGEST characters."""


def add_database(parser: Parser) -> None:
    parser.add_argument(
        "--db",
        "--database",
        dest="database",
        metavar="FILE",
        action="append",
        help="names of your own MSRs and ports, in YAML; may be repeated",
    )


def add_from_ir(parser: Parser) -> None:
    parser.add_argument(
        "--from-ir", action="store_true", help="POLICY is a resolved policy in JSON, as compile --emit ir prints it"
    )


def add_jobs(parser: Parser) -> None:
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes to share the policies; else one a processor")


def add_format(parser: Parser, *more: str) -> None:
    parser.add_argument("--format", choices=("text", "json", *more), default="text", help="json: for programs")


def add_compile_options(parser: Parser) -> None:
    parser.add_argument("--target", type=target_names, metavar="NAMES", help="vmx, svm, kvm, or several with commas")
    parser.add_argument("--profile", metavar="NAME", help="this profile alone; else the base policy and every profile")
    parser.add_argument(
        "--exhaustive", action="store_true", help="prove by the literal loop over all accesses: minutes"
    )
    add_from_ir(parser)
    add_database(parser)


def _jobs(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= _MOST_JOBS:
        raise ValueError(f"a number of processes, 1..{_MOST_JOBS}")
    return int(word)


def number(word: str) -> int:
    """A number as the policy language writes it: ``0x3f8``, ``0b10``, ``1016``, ``0xc000_0080``."""
    text = word.replace("_", "")
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("a number such as 0x3f8, 1016 or 0b1000") from None


def target_names(word: str) -> tuple[str, ...]:
    """``vmx,svm`` -> the targets, each once, in this order."""
    names = tuple(dict.fromkeys(each.strip() for each in word.split(",") if each.strip()))
    unknown = [each for each in names if each not in TARGETS]
    if unknown or not names:
        raise ValueError(f"targets are {', '.join(TARGETS)}; several are joined by commas")
    return names


def database(args: Arguments, more: Sequence[str] = ()) -> Database:
    """The MSR and port database, with the files of ``--db``, and more of them."""
    from policyc.database.names import load

    return load(tuple((path, _text(path)) for path in dict.fromkeys((*args.database, *more))))


def front(args: Arguments, path: str, names: Database) -> Front:
    """The policy at a path, ``-`` for standard input; with ``--from-ir`` it is resolved already."""
    return _reader(args)(path, database=names)


def addresses(policy: Policy, path: str, space: str, words: str, names: Database) -> Intervals | None:
    """What words such as ``UART`` or ``serial.COM1`` stand for in the policy that was read from path; None if nothing.

    space: ``msr`` or ``io``.
    """
    from policyc.imports import FileLoader
    from policyc.semantics.modules import MAIN, Loaded
    from policyc.semantics.resolve import meaning
    from policyc.syntax.parser import parse
    from policyc.syntax.tree import LetSet
    from policyc.vocabulary.span import Source

    wanted, problems = parse(Source("ADDRESS", f"let {space} ADDRESS = {words}\n"))
    if problems or len(wanted.statements) != 1 or not isinstance(wanted.statements[0], LetSet):
        return None
    main = policy.modules[0]
    module, _ = parse(main.source)
    found = Loaded(MAIN, main.name, main.path, module)
    return meaning(found, FileLoader(path), names, space, wanted.statements[0].items)


def checked(args: Arguments, path: str, step: Step | None = None) -> Checked:
    """One policy, checked under the options of ``add_compile_options``. step: told how far the literal loop is."""
    from policyc import pipeline

    return pipeline.check_policy(path, **_options(args), progress=step)


def compiled(args: Arguments, path: str) -> Compilation:
    """One policy, compiled under the options of ``add_compile_options``."""
    from policyc import pipeline
    from policyc.cli.console import Progress

    with Progress(f"compiling {path}") as progress:
        return pipeline.compile_policy(path, **_options(args), progress=progress.step)


def _reader(args: Arguments) -> Callable[..., Front]:
    from policyc import pipeline

    return pipeline.front_ir if args.from_ir else pipeline.front


def _options(args: Arguments) -> dict[str, Any]:
    return {
        "reader": _reader(args),
        "targets": args.target,
        "profile": args.profile,
        "database_files": tuple(args.database),
        "exhaustive": args.exhaustive,
    }


def proven(compilation: Checked | Compilation) -> str:
    """``12,582,912 accesses proven``."""
    return f"{compilation.proof.accesses:,} accesses proven"


def variant(policy: Policy, profile: str | None, vcpu: int | None) -> Variant:
    """The variant of a profile (None: the base policy) and a vCPU (None: one that no rule names)."""
    from policyc.semantics.policy import Variant
    from policyc.vocabulary.intervals import contains
    from policyc.vocabulary.near import nearest

    known = [each.name for each in policy.profiles]
    if profile is not None and profile not in known:
        close = nearest(profile, known, 1)
        listed = f"it has {', '.join(known)}" if known else "it has no profiles"
        raise UsageError(f"the policy has no profile `{profile}`", f"did you mean `{close[0]}`?" if close else listed)
    if vcpu is None:
        return Variant(profile, 0)
    for index, each in enumerate(policy.vcpu_classes):
        if contains(each.vcpus, vcpu):
            return Variant(profile, index)
    raise UsageError(f"there is no vCPU {vcpu}", "vCPUs are numbered 0..4095")


def _text(path: str) -> str:
    from policyc.syntax.files import read_file
    from policyc.vocabulary.diagnostic import UnreadableError

    try:
        return read_file(path, _LARGEST_DATABASE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError(f"cannot read {path}: it is not UTF-8 text") from None
