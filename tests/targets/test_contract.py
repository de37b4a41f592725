"""What every target promises, whatever it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from policyc.semantics.policy import EXIT, Defaults
from policyc.targets.registry import DEFAULT, NAMES, target
from policyc.targets.traps import traps_of
from policyc.vocabulary.access import MSR_LAST
from policyc.vocabulary.intervals import normal
from tests.proof.build import TRAP, all_maps, policy, rule

SIZES = {"msr.bin": 4096, "io.bin": 8192, "msrpm.bin": 8192, "iopm.bin": 12288}
IMAGES = {"vmx": ["msr.bin", "io.bin"], "svm": ["msrpm.bin", "iopm.bin"], "kvm": ["kvm_filter.json"]}
CARD = policy(rule("msr", (0xC0000080, 0xC0000080), columns=2), rule("io", (0x3F8, 0x3FF)))
CLOSED = policy(rule("msr", (0x10, 0x10), (0x800, 0x8FF), verb="allow"), defaults=Defaults(TRAP, TRAP, EXIT, None))


def test_the_default_targets_are_registered_ones() -> None:
    assert set(DEFAULT) <= set(NAMES)
    assert sorted(IMAGES) == sorted(NAMES)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        target("base")


@pytest.mark.parametrize("name", NAMES)
def test_a_target_knows_its_name_and_its_windows_are_in_normal_form(name) -> None:
    assert target(name).name == name
    assert normal(target(name).msr_windows) == target(name).msr_windows
    assert target(name).msr_windows[-1][1] <= MSR_LAST


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("subject", [CARD, CLOSED], ids=["card", "closed"])
def test_images_have_the_names_and_sizes_that_others_rely_on(name, subject) -> None:
    (decisions,) = all_maps(subject).values()
    assert [each for each in target(name).problems(subject, (decisions,)) if each.severity == "error"] == []
    images = target(name).images(traps_of(subject, decisions))
    assert [each.name for each in images] == IMAGES[name]
    for each in images:
        assert isinstance(each.data, bytes)
        assert len(each.data) == SIZES.get(each.name, len(each.data))


@pytest.mark.parametrize("name", NAMES)
def test_images_are_the_same_in_every_process(name) -> None:
    code = (
        "import hashlib\n"
        "from policyc.targets.registry import target\n"
        "from policyc.targets.traps import traps_of\n"
        "from tests.proof.build import all_maps\n"
        "from tests.targets.test_contract import CARD, CLOSED\n"
        "for subject in (CARD, CLOSED):\n"
        "    for decisions in all_maps(subject).values():\n"
        f"        for image in target({name!r}).images(traps_of(subject, decisions)):\n"
        "            print(image.name, hashlib.sha256(image.data).hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("0", "1")
    ]  # fmt: skip
    assert runs[0] == runs[1] != ""


@pytest.mark.parametrize("name", NAMES)
def test_settings_name_a_place_and_a_need(name) -> None:
    settings = target(name).settings()
    assert len({each.where for each in settings}) == len(settings) > 0
    for each in settings:
        assert each.where
        assert each.need


def test_settings_are_the_fields_of_the_manuals() -> None:
    assert [each.encoding for each in target("vmx").settings()] == [0x4002, 0x2000, 0x2002, 0x2004]
    assert [each.encoding for each in target("svm").settings()] == [0x00C, 0x040, 0x048]


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_imports_no_target_before_it_is_asked_for(name) -> None:
    code = (
        "import sys, policyc.targets.registry\n"
        f"assert 'policyc.targets.{name}' not in sys.modules\n"
        f"assert policyc.targets.registry.target({name!r}).name == {name!r}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
