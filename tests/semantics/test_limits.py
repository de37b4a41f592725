"""Limits keep hostile input out, and let large policies in: 1,000 profiles, 10,000 labels, a set of 10,000 items."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from policyc.database.names import load
from policyc.pipeline import check_policy, front
from policyc.semantics.crowding import MAX_ASKED
from policyc.semantics.modules import MAX_IMPORT_DEPTH, MAX_MODULES
from policyc.semantics.profiles import MAX_PROFILES
from policyc.semantics.rules import MOST_CONDITIONS
from policyc.semantics.scope import MAX_DEPTH
from policyc.semantics.vcpus import MAX_CLASSES, MAX_VARIANTS
from policyc.syntax.files import LIMIT
from policyc.syntax.parser import MAX_PIECES, MAX_STATEMENT
from policyc.syntax.reader import MAX_LINE
from policyc.vocabulary.diagnostic import PolicyError
from tests.growth import ratio

HEAD = "language 1\ntarget vmx\ndefault passthrough\n"


def refused(folder: Path, text: str) -> list[tuple[str, str]]:
    """Codes and messages of the errors."""
    (folder / "vm.pol").write_text(HEAD + text)
    try:
        front(str(folder / "vm.pol"), database=load())
    except PolicyError as reason:
        return [(each.code, each.message) for each in reason.diagnostics]
    return []


def profiles(count: int) -> str:
    return "".join(f"profile p{number} {{\n}}\n" for number in range(count))


def groups(count: int) -> str:
    """Rules that tell so many groups apart, the rest being one."""
    return "".join(f"intercept io 0x80 on vcpu {number}\n" for number in range(count - 1))


def test_policies_at_the_limits_are_read_and_those_beyond_are_told(tmp_path: Path) -> None:
    assert refused(tmp_path, profiles(MAX_PROFILES)) == []
    assert refused(tmp_path, groups(MAX_CLASSES)) == []
    assert refused(tmp_path, profiles(63) + groups(64)) == []
    assert refused(tmp_path, profiles(MAX_PROFILES + 1)) == [("E004", "a policy has at most 1024 profiles")]
    assert refused(tmp_path, groups(MAX_CLASSES + 1)) == [
        ("E004", "the rules tell more than 256 groups of vCPUs apart")
    ]
    assert refused(tmp_path, profiles(64) + groups(64)) == [
        ("E004", "64 profiles, and none, on 64 groups of vCPUs are more than 4,096 sets of images")
    ]


def nested(count: int, action: str) -> str:
    """Ranges one inside the other; the one in the middle leaves room for two ports."""
    return "".join(f"intercept io {at:#x}..{2 * count + 1 - at:#x} out {action.format(at)}\n" for at in range(count))


def test_rules_with_conditions_may_not_lie_over_one_another_without_end(tmp_path: Path) -> None:
    told = "too many rules with conditions lie over one another here, for every address must be asked of each"
    # Rule n of N is asked on 2 (N - n) - 1 stretches: together N * N.
    assert refused(tmp_path, nested(500, "when value == {} -> kill")) == []
    assert refused(tmp_path, nested(501, "when value == {} -> kill")) == [("E004", told)]
    apart = "".join(f"profile p{at} {{\n{nested(300, 'when value == {} -> kill')}}}\n" for at in range(5))
    assert refused(tmp_path, apart) == []


def test_rules_that_an_allow_hides_cost_the_proof_nothing(tmp_path: Path) -> None:
    """Each says something else, and none of them is ever asked."""
    hidden = nested(3000, "-> forward(h{})") + "allow io 0..0x1fff\n"
    (tmp_path / "hidden.pol").write_text(HEAD + hidden)
    (tmp_path / "bare.pol").write_text(HEAD + "allow io 0..0x1fff\n" * 3000)

    def checks(name: str) -> Callable[[], object]:
        return lambda: check_policy(str(tmp_path / name))

    assert ratio(checks("hidden.pol"), checks("bare.pol"), 12) < 12


def test_a_thousand_profiles_are_proven(tmp_path: Path) -> None:
    """Every tenth stands on the one before it; all say something of their own."""
    text = HEAD + "intercept io 0x3f8..0x3ff\n"
    for number in range(1000):
        base = f" extends p{number - 1}" if number % 10 == 9 else ""
        text += f"profile p{number}{base} {{\n    intercept io {number * 64:#x} in -> drop\n}}\n"
    (tmp_path / "vm.pol").write_text(text)
    checked = check_policy(str(tmp_path / "vm.pol"))
    assert checked.proof.variants == 1001
    images = {name: dict(files["vmx"])["io.bin"] for (name, _), files in checked.images.items()}
    for number in (0, 8, 9, 999):
        name = f"p{number}"
        ports = {port for port in range(0x10000) if images[name][port >> 3] >> (port & 7) & 1}
        own = {number * 64, (number - 1) * 64} if number % 10 == 9 else {number * 64}
        assert ports == {*range(0x3F8, 0x400), *own}


def test_ten_thousand_labels_and_a_set_of_ten_thousand_items_compile(tmp_path: Path) -> None:
    rules = "".join(f"label_{number}: intercept io {number * 2 + 1:#x} in\n" for number in range(10_000))
    items = ",\n".join(f"{number * 3:#x}" for number in range(10_000))
    (tmp_path / "vm.pol").write_text(f"{HEAD}{rules}let io MANY = {{ {items} }}\nintercept io MANY out\n")
    checked = check_policy(str(tmp_path / "vm.pol"))
    assert [rule.label for rule in checked.policy.rules[9_998:]] == ["label_9998", "label_9999", None]
    assert len(checked.policy.rules[-1].ranges) == 10_000


def test_two_hundred_imports_compile(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"m{number}.pol").write_text(f"language 1\nintercept io {number:#x}\n")
    imports = "".join(f'import "m{number}.pol"\n' for number in range(200))
    (tmp_path / "vm.pol").write_text(HEAD + imports)
    assert len(check_policy(str(tmp_path / "vm.pol")).policy.rules) == 200


def test_imports_that_lead_nowhere_are_looked_for_as_often_as_files_may_be_imported(tmp_path: Path) -> None:
    (tmp_path / "vm.pol").write_text(HEAD + "".join(f'import "m{number}.pol"\n' for number in range(100_000)))
    with pytest.raises(PolicyError) as raised:
        check_policy(str(tmp_path / "vm.pol"))
    said = [(each.code, each.primary.span.line) for each in raised.value.diagnostics if each.primary]
    first = HEAD.count("\n") + 1
    assert said[:3] == [("E036", first), ("E036", first + 1), ("E036", first + 2)]
    assert ("E004", first + MAX_MODULES) in said
    assert max(line for _, line in said) == first + MAX_MODULES


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("a file", (LIMIT >> 20, MAX_PIECES)),
        ("a line, a statement", (MAX_LINE >> 20, MAX_STATEMENT)),
        ("imports", (MAX_MODULES, MAX_IMPORT_DEPTH)),
        ("profiles", (MAX_PROFILES,)),
        ("groups of vCPUs that the rules tell apart", (MAX_CLASSES,)),
        ("profiles (and none) times groups of vCPUs", (MAX_VARIANTS,)),
        ("a set or constant", (MAX_DEPTH,)),
        ("conditions of a rule", (MOST_CONDITIONS,)),
        ("rules with conditions that lie over one another", (MAX_ASKED,)),
    ],
)
def test_the_manual_tells_the_limits(row: str, numbers: tuple[int, ...]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
    (told,) = [line.split("|")[2] for line in text.splitlines() if line.startswith(f"| {row} |")]
    assert [word for word in re.split("[ ;:]", told) if word[:1].isdigit()] == [f"{each:,}" for each in numbers]
