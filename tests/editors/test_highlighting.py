"""The highlighting of editors: made from the grammar, and each token of each example gets what the grammar calls it.

The engine is textmate-grammar-python, which does what VS Code's does with the same regular expressions (Oniguruma).
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lark import Lark

ROOT = Path(__file__).parents[2]
EDITORS = ROOT / "editors"
EXAMPLES = sorted((ROOT / "examples").rglob("*.pol"))
GRAMMAR = (ROOT / "grammars" / "policy.lark").read_text(encoding="utf-8")
LEXER = Lark(GRAMMAR, parser="lalr", lexer="basic", start=["statement", "profile_head", "test_head", "case"])
ACTIONS = ("log", "count", "trace", "const", "mask", "shadow", "drop", "inject", "forward", "notify", "kill")

EVERYTHING = r"""language 1
target vmx, svm
# policyc: ignore[S401, S4] reason="why" until=2999-12-31
import "std/pci.pol" as pci
let msr A = { IA32_EFER, 0x10..0x1f, 0b1 len 4 } except { 0x1b }
let const N = (1 << 3) | ~2 + 1_000
default msr passthrough
default outside exit -> drop
reset: override intercept io pci.ALL out width 1, 4 when value & 0x4 != 0 and cpl >= 3 on vcpu 0..3 -> log(rate=10), kill
deny msr A write  # "not a string" let
`allow` : allow io `in` in
assert not intercepted msr A rw
assert action io 0x80 inout == exit
never allow msr A read
profile a extends b {
}
test "a \"quoted\" name # no comment" {
    rdmsr IA32_STAR[3] => const(0x1)
    wrmsr A value 3 cpl 0 on vcpu 1 profile a => inject(gp)
}
"""


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("editors_generate", EDITORS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_generator_makes(generator: ModuleType) -> None:
    for path, make in generator.FILES.items():
        assert path.read_text(encoding="utf-8") == make(), "stale: python editors/generate.py"


def test_a_keyword_in_no_kind_is_an_error(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "keywords", lambda: ["language", "brandnew"])
    with pytest.raises(SystemExit, match="brandnew"):
        generator.checked()


def test_every_keyword_of_the_grammar_is_a_keyword_here(generator: ModuleType) -> None:
    """The terminals as lark has them: those whose pattern is one lower-case word."""
    patterns = {str(each.pattern.value) for each in LEXER.terminals}
    words = {pattern.removesuffix(r"\b") for pattern in patterns if re.fullmatch(r"[a-z]+\\b", pattern)}
    assert words == set(generator.keywords())
    assert len(words) > 30


@cache
def engine() -> Any:
    from textmate_grammar.parsers.base import LanguageParser

    path = EDITORS / "vscode" / "syntaxes" / "policyc.tmLanguage.json"
    return LanguageParser(json.loads(path.read_text(encoding="utf-8")))


def scopes(text: str) -> dict[tuple[int, int], str]:
    """Line and column, from 0, of every character to its innermost scope."""
    element = engine().parse_string(text)
    assert element is not None
    found: dict[tuple[int, int], str] = {}
    for (line, column), content, names in element.flatten():
        for at in range(len(content)):
            found[line, column + at] = names[-1]
    return found


def kind(token: Any, label: bool) -> str:
    """The scope that a token of the grammar is to have, by the grammar's own name of it."""
    if token.type in ("STRING", "QUOTED", "NUMBER"):
        return {"STRING": "string.", "QUOTED": "variable.other.quoted.", "NUMBER": "constant.numeric."}[token.type]
    if token.type == "NAME":
        if label:
            return "entity.name.label."
        if token in ACTIONS:
            return "support.function.action."
        return "constant.other.address." if token == token.upper() and token[0] != "_" else "variable.other.policyc"
    if token[0].isalpha():
        return r"(keyword|storage|variable\.language|constant\.language)."
    return r"(keyword\.operator|punctuation)."


def wrong(text: str) -> list[tuple[int, str, str]]:
    """Line, token and scope of every token that an editor shows as something else."""
    found, out = scopes(text), []
    lines = text.splitlines()
    tokens = list(LEXER.lex(text))
    for number, token in enumerate(tokens):
        after = str(tokens[number + 1]) if number + 1 < len(tokens) else ""
        label = after == ":" and not lines[token.line - 1][: token.column - 1].strip()
        for at in range(len(token)):
            scope = found.get((token.line - 1, token.column - 1 + at), "")
            inside_string = token.type == "STRING" and scope.startswith("constant.character.escape")
            if not re.match(kind(token, label), scope) and not inside_string:
                out.append((token.line, str(token), scope))
                break
    return out


def comments_are_comments(text: str) -> bool:
    found = scopes(text)
    for number, line in enumerate(text.splitlines()):
        if line.startswith("#") and not found[number, 0].startswith("comment."):
            return False
    return True


def test_every_construct_is_shown_as_what_it_is() -> None:
    tokens = {token.type for token in LEXER.lex(EVERYTHING)}
    assert {each.name for each in LEXER.terminals} - {"BLANK", "COMMENT"} - tokens <= {"EQ", "LE", "LT", "GT"}
    assert wrong(EVERYTHING) == []
    assert comments_are_comments(EVERYTHING)


def test_a_waiver_and_a_number_that_is_none_stand_out() -> None:
    found = scopes(EVERYTHING + "intercept io 0xfg\nallow io 017\n")
    line = EVERYTHING.splitlines().index('# policyc: ignore[S401, S4] reason="why" until=2999-12-31')
    assert (found[line, 0], found[line, 2], found[line, 19]) == (
        "comment.line.number-sign.waiver.policyc",
        "keyword.other.waiver.policyc",
        "constant.other.code.policyc",
    )
    last = len(EVERYTHING.splitlines())
    assert {found[last, 13], found[last + 1, 9]} == {"invalid.illegal.number.policyc"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT / "examples").as_posix())
def test_every_example_is_shown_as_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert wrong(text) == []
    assert comments_are_comments(text)


def test_vim_has_the_same_words(generator: ModuleType) -> None:
    text = (EDITORS / "vim" / "syntax" / "policyc.vim").read_text()
    words = [
        word for line in re.findall(r"^syntax keyword policyc\w+ (.*)$", text, re.MULTILINE) for word in line.split()
    ]
    assert set(words) - {"TODO", "FIXME", "contained"} == {*generator.keywords(), *ACTIONS}


def test_the_extension_names_files_that_are_there() -> None:
    folder = EDITORS / "vscode"
    contributes = json.loads((folder / "package.json").read_text())["contributes"]
    (language,), (grammar,) = contributes["languages"], contributes["grammars"]
    assert language["extensions"] == [".pol"]
    configuration = json.loads((folder / language["configuration"]).read_text())
    assert configuration["comments"]["lineComment"] == "#"
    assert json.loads((folder / grammar["path"]).read_text())["scopeName"] == grammar["scopeName"]
