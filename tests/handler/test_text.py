"""No policy text gets out of its comment or string, names are safe, and the same policy gives the same bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyc.emitters import ctext
from policyc.emitters.functions import problems
from policyc.emitters.handler import emit
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import Action, Default
from policyc.vocabulary.diagnostic import PolicyError
from policyc.vocabulary.span import Source, Span
from tests.handler.samples import TARGETS, WARNINGS, compiler, everything, forward, run, write_handler
from tests.semantics.policies import defaults, make, rule

HOSTILE = (
    "*/ int injected; /*",
    "ends in a backslash \\",
    "trigraph ??/",
    "????/ /*",
    "**//* nested */*/",
    "right-to-left \u202e override \u2066",
    "line\u2028separator\x0bvertical\x0cform\x85next\x00nul\x1b[31m",
    "ünïcödé ☃",
    '"; system("true"); "',
    "%s%n {{ h.prefix }} {% raw %}",
)


def hostile(text: str):
    """A policy that says the text wherever it can: file name, label, doc comment, policy name, profile."""
    made = make(
        rule("intercept", "msr", 0x10, None, (Action("count"), Action("exit"))),
        rule("intercept", "io", 0x80, None),
    )
    source = Source(text, "\n" * 10)
    span = Span(source, 3, 3)
    rules = tuple(each._replace(label=text, doc=(text, text * 20), statement=span, span=span) for each in made.rules)
    modules = (made.modules[0]._replace(name=text, path=text, source=source),)
    return made._replace(name=text, rules=rules, modules=modules)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_inside_its_comment_or_string(text, tmp_path) -> None:
    write_handler(hostile(text), tmp_path)
    code = (tmp_path / "exit_handler.c").read_bytes().decode("ascii")
    prefix = ctext.prefix(text)
    (tmp_path / "main.c").write_text(
        '#include "exit_handler.h"\n#include <string.h>\n'
        f"int main(void) {{ return strcmp({prefix}_files[0], {ctext.string(text)}) != 0; }}\n",
        encoding="ascii",
    )
    for standard in ("-std=c11", "-std=c99", "-std=gnu11", "-trigraphs"):
        run([compiler("gcc"), standard, *WARNINGS, "-c", tmp_path / "exit_handler.c", "-o", tmp_path / "o.o"])
    run([compiler("gcc"), tmp_path / "main.c", tmp_path / "o.o", "-o", tmp_path / "main"])
    run([tmp_path / "main"])
    assert "injected" not in run(["nm", "--defined-only", tmp_path / "o.o"]).split()
    assert "\\\n" not in code


@given(st.text(max_size=60))
def test_a_comment_is_one_line_that_cannot_end(text) -> None:
    made = ctext.comment(text)
    assert all(" " <= char <= "~" for char in made)
    assert not [sign for sign in ("*/", "/*", "??", "\\") if sign in made]


@given(st.text(max_size=200))
def test_a_prefix_is_an_identifier_that_is_nobody_elses(text) -> None:
    made = ctext.prefix(text)
    assert made.isidentifier()
    assert made.isascii()
    assert "__" not in made
    assert not made.startswith(("_", "policyc_"))
    assert len(made) <= ctext.PREFIX_LENGTH + len("policy_")


@given(st.text(max_size=100), st.integers(6, 40))
def test_shortened_text_keeps_its_ends(text, most) -> None:
    made = ctext.shortened(text, most)
    assert len(made) <= max(most, 0)
    assert made == text if len(text) <= most else made[:1] == text[:1] and made[-1] == text[-1]


TAKEN = ["vm_init", "vm_base", "policyc_vcpu", "VM_FILES", "POLICYC_DONE"]
OF_C = [
    "a;b",
    "int",
    "__x",
    "",
    "a" * 64,
    "uint8_t",
    "INT32_MAX",
    "UINT64_C",
    "intmax_t",
    "size_t",
    "NULL",
    "offsetof",
    "linux",
    "memcpy",
]


@pytest.mark.parametrize("name", TAKEN + OF_C)
def test_a_handler_that_takes_a_name_of_ours_or_of_the_headers_is_an_error_at_its_rule(name) -> None:
    policy = make(rule("intercept", "io", 0x80, None, (forward(name),)))
    with pytest.raises(PolicyError) as caught:
        emit(policy, {each: decide(policy, each) for each in variants(policy)}, TARGETS)
    (found,) = caught.value.diagnostics
    said = f"the exit handler cannot call a function `{name}`: C or the handler itself has that name"
    assert (found.code, found.message) == ("E066", said)
    assert found.primary is not None
    assert found.primary.span.line == 1


def test_no_function_of_the_handler_itself_can_be_forwarded_to(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    run([compiler("gcc"), "-std=c11", "-O0", "-c", source, "-o", tmp_path / "out.o"])
    symbols = [line.split() for line in run(["nm", tmp_path / "out.o"]).splitlines()]
    own = [each[-1] for each in symbols if each[-2] == "t"]
    assert {"search", "act", "finish", "vmx_exit", "svm_exit", "kvm_io"} <= set(own)
    rules = [rule("intercept", "io", port, None, (forward(name),)) for port, name in enumerate(own)]
    assert [each.code for each in problems(make(*rules))] == ["E066"] * len(own)


def test_a_default_that_forwards_msrs_and_ports_to_one_function_is_an_error() -> None:
    own = defaults()
    both = Default(True, (forward("all"),), Span(Source("vm.pol", "default exit"), 0, 12))
    policy = make(rule("allow", "msr", 0x10), own=own._replace(msr=both, io=both))
    with pytest.raises(PolicyError) as caught:
        emit(policy, {each: decide(policy, each) for each in variants(policy)}, TARGETS)
    assert [each.code for each in caught.value.diagnostics] == ["E071"]


def test_the_same_policy_gives_the_same_bytes_in_any_process(tmp_path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.handler.samples import everything, write_handler;"
        "write_handler(everything(), Path(sys.argv[1]))"
    )
    made = []
    for seed in ("0", "1", "4711"):
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", program, folder], check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        )
        made.append([(folder / name).read_bytes() for name in ("exit_handler.c", "exit_handler.h")])
    assert made[0] == made[1] == made[2]


def test_a_handler_that_is_not_written_is_a_link_error_that_names_it(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    done = subprocess.run(
        [compiler("gcc"), "-shared", "-fPIC", "-Wl,-z,defs", source, "-o", tmp_path / "out.so"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    for name in ("uart", "vpci", "lapic"):
        assert f"undefined reference to `{name}'" in done.stderr


def test_several_policies_link_into_one_hypervisor_and_keep_apart(tmp_path) -> None:
    names = ("guest", "dom0-boot", "1st")
    objects, lines = [], []
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        write_handler(everything(name), folder)
        run([compiler("gcc"), "-std=c11", *WARNINGS, "-c", folder / "exit_handler.c", "-o", folder / "o.o"])
        objects.append(folder / "o.o")
        lines.append(f'#include "{number}/exit_handler.h"')
    defined = [set(run(["nm", "-g", "--defined-only", each]).split()[2::3]) for each in objects]
    assert not defined[0] & defined[1] | defined[0] & defined[2] | defined[1] & defined[2]
    lines += [
        *(
            f"enum policyc_status {name}(void *c, struct policyc_{kind} *a) {{ (void)c; (void)a; return POLICYC_DONE; }}"
            for name, kind in (("uart", "port"), ("vpci", "port"), ("lapic", "msr"))
        ),
        "static struct guest_vcpu a; static struct dom0_boot_vcpu b; static struct policy_1st_vcpu c;",
        "int main(void) { struct policyc_hooks none = {0}; return guest_init(&a, 0, &none, 0)"
        " || dom0_boot_init(&b, 0, &none, 0) || policy_1st_init(&c, 0, &none, 0); }",
    ]
    (tmp_path / "main.c").write_text("\n".join(lines) + "\n", encoding="ascii")
    run([compiler("gcc"), "-std=c11", "-I", tmp_path, tmp_path / "main.c", *objects, "-o", tmp_path / "main"])
    run([tmp_path / "main"])


def test_the_code_writes_no_global_and_calls_nothing_but_what_it_declares(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    run([compiler("gcc"), "-std=c11", "-ffreestanding", "-fno-pic", "-O2", "-c", source, "-o", tmp_path / "o.o"])
    symbols = [line.split()[-2:] for line in run(["nm", tmp_path / "o.o"]).splitlines()]
    assert {name for kind, name in symbols if kind == "U"} <= {"uart", "vpci", "lapic", "memcpy", "memset"}
    assert [name for kind, name in symbols if kind in "bBdDcC"] == []


def test_every_rule_is_found_at_its_file_and_line(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    text = source.read_text(encoding="ascii")
    for line, start in (("vm.pol:1", "0xc0000080..0xc0000080"), ("vm.pol:2", "0x03f8..0x03ff"), ("vm.pol:4", "0x0064")):
        assert [each for each in text.splitlines() if start in each and line in each]
