"""Two derivations count as two only as long as the proof imports nothing of what it judges."""

from __future__ import annotations

import ast
from pathlib import Path

import policyc.proof

ALLOWED = (
    "policyc.architecture",
    "policyc.proof",
    "policyc.semantics.policy",
    "policyc.targets.base",
    "policyc.vocabulary",
)


def test_the_proof_imports_neither_the_decider_nor_a_target() -> None:
    files = sorted(Path(policyc.proof.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.startswith("policyc"):
                    assert name.startswith(ALLOWED), f"{file.name} imports {name}"


def test_the_evaluator_imports_nothing_of_the_rest_of_the_proof() -> None:
    text = (Path(policyc.proof.__file__).parent / "evaluate.py").read_text()
    assert "policyc.proof" not in text.replace("(policyc.proof.kvm", "")


def test_the_literal_loop_uses_no_cells_and_no_rows() -> None:
    tree = ast.parse((Path(policyc.proof.__file__).parent / "exhaustive.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"policyc.proof.cells", "policyc.proof.expected", "policyc.proof.rows", "policyc.proof.prove"}
