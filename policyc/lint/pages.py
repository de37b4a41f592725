"""One rule's page: what `policyc rule CODE` prints and docs/rules/ holds."""

from __future__ import annotations

from policyc.lint.rule import ANY_THREAT, Rule
from policyc.vocabulary.codes import CODES

_FAMILIES = {
    "P": "performance",
    "R": "reachability and redundancy",
    "S": "security",
    "T": "target",
    "X": "waivers",
    "Y": "style",
}


def family(code: str) -> str:
    return _FAMILIES[code[0]]


def page(rule: Rule) -> str:
    """Markdown, ending in a newline."""
    about = CODES[rule.code].about
    parts = [f"# {rule.code} {rule.slug}", f"{about[0].upper()}{about[1:]}.", _facts(rule), rule.why]
    refused = f" {rule.code}" if refuses(rule) else ""
    parts.append(f"Avoid:\n\n```policy{refused}\n{rule.avoid}```")
    parts.append(f"Prefer:\n\n```policy\n{rule.prefer}```")
    parts.append(f"Source: {rule.source}.")
    return "\n\n".join(parts) + "\n"


def _facts(rule: Rule) -> str:
    words = [f"{family(rule.code)}, {rule.severity}"]
    if not rule.on:
        words.append(f"off unless selected: `--extend-select {rule.code}`")
    if rule.threats != ANY_THREAT:
        words.append("only under the threat " + ", ".join(sorted(rule.threats)))
    if rule.by_compiler and rule.code[0] != "X":
        words.append("told by `check` and `compile` too")
    said = "; ".join(words)
    return f"{said[0].upper()}{said[1:]}."


def refuses(rule: Rule) -> bool:
    """Whether the policy to avoid does not even compile."""
    return rule.by_compiler and rule.severity == "error" and (rule.code[0] == "T" or rule.code == "X900")


def short(code: str) -> str:
    """The page of a code that lint has no rule for: a compile error, or a mistake in a database file."""
    known = CODES[code]
    kind = "a mistake in a database file" if code[0] == "D" else "a compile error; it cannot be waived"
    return f"# {code} {known.slug}\n\n{known.about[0].upper()}{known.about[1:]}.\n\n{kind[0].upper()}{kind[1:]}.\n"


def index(rules: list[Rule]) -> str:
    """docs/rules/README.md: all rules, by family."""
    out = [
        "# Lint rules",
        "What `policyc lint` can find. `policyc rule CODE` prints a page of this folder. Generated from "
        "`policyc/lint/rules/` by `python -m policyc.lint.generate`.",
    ]
    for letter, words in _FAMILIES.items():
        rows = [f"## {words[0].upper()}{words[1:]}\n", "| code | name | severity | finds |", "|---|---|---|---|"]
        for rule in rules:
            if rule.code[0] == letter:
                off = "" if rule.on else ", off"
                about = CODES[rule.code].about
                rows.append(f"| [{rule.code}]({rule.code}.md) | {rule.slug} | {rule.severity}{off} | {about} |")
        out.append("\n".join(rows))
    return "\n\n".join(out) + "\n"
