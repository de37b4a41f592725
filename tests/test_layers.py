"""A module imports from its own layer and lower ones only (docs/ARCHITECTURE.md has the table)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "policyc"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
FREE = {"policyc", "policyc.resources"}
"""The package root and the finder of data files import nothing of the package; every layer may use them."""


def layers() -> dict[str, int]:
    """Folder or module name to layer, read from the table in docs/ARCHITECTURE.md."""
    found = {}
    for line in (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d) \| (.*?) \|", line)
        if row:
            for name in re.findall(r"`(\w+)(?:/|\.py)`", row.group(2)):
                found[name] = int(row.group(1))
    return found


LAYERS = layers()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for each in node.names:
                yield f"{node.module}.{each.name}" if node.module == "policyc" else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def layer(module: str) -> int:
    if module == "policyc.__main__":
        return max(LAYERS.values())
    return LAYERS[module.split(".")[1]]


def test_the_table_has_every_folder_of_the_package() -> None:
    folders = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES if dotted(path) not in FREE}
    assert folders - {"__main__"} == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_imports_from_its_layer_and_below(path: Path) -> None:
    name = dotted(path)
    ours = [each for each in imports(path) if each.split(".")[0] == "policyc" and each not in FREE]
    ours = [each for each in ours if each not in ("policyc.__version__",)]
    if name in FREE:
        assert ours == []
        return
    above = [each for each in ours if layer(each) > layer(name)]
    assert above == []
