"""``python -m policyc.lint.generate``: writes docs/rules/ from the rules. A test fails while it is stale."""

from __future__ import annotations

from pathlib import Path

from policyc.lint.pages import index, page
from policyc.lint.registry import load_all

FOLDER = Path(__file__).parents[2] / "docs" / "rules"


def pages() -> dict[str, str]:
    """File name to text."""
    rules = [each.rule for each in load_all()]
    return {"README.md": index(rules), **{f"{rule.code}.md": page(rule) for rule in rules}}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
