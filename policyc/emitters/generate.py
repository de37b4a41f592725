"""Makes ``_templates.py`` from templates/exit_handler/*.jinja: jinja2 compiles the templates once, here.

``python -m policyc.emitters.generate`` rewrites the file; tests/handler/test_templates.py fails when a template has
changed since, or when jinja2 itself renders another text. Importing jinja2 costs some 60 ms, which every compile would
pay; the functions that it makes of a template need four names of it, which ``instant`` gives them.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from policyc import resources
from policyc.emitters.instant import function_name

TEMPLATES = ("exit_handler.c.jinja", "exit_handler.h.jinja")
_IMPORT = "from jinja2.runtime import"
_ROOT = "def root(context, missing=missing, environment=environment):"


def environment() -> Any:
    """The jinja2 environment that the templates are written for."""
    import jinja2

    return jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )


def text(name: str) -> str:
    return resources.read("templates", f"exit_handler/{name}")


def digest(name: str) -> str:
    """SHA-256 of a template."""
    return hashlib.sha256(text(name).encode("utf-8")).hexdigest()


def module() -> str:
    """The text of ``_templates.py``."""
    lines = [
        '"""Made by policyc.emitters.generate from templates/exit_handler/. Do not edit: change a template, rerun."""',
        "",
        "# fmt: off",
        "# ruff: noqa",
        "# mypy: ignore-errors",
        "",
        "from policyc.emitters.instant import Undefined, environment, missing",
        "",
        "DIGESTS = {",
        *(f"    {name!r}: {digest(name)!r}," for name in TEMPLATES),
        "}",
    ]
    for name in TEMPLATES:
        lines += ["", "", *_function(name)]
    return "\n".join(lines) + "\n"


def _function(name: str) -> list[str]:
    """The function that jinja2 makes of one template, under a name of its own; what surrounds it is left out."""
    made = environment().compile(text(name), raw=True).split("\n")
    assert made[0].startswith(_IMPORT), made[0]
    start = made.index(_ROOT)
    stop = next(at for at in range(start + 1, len(made)) if made[at] and not made[at].startswith(" "))
    return [_ROOT.replace("root", function_name(name)), *(line.rstrip() for line in made[start + 1 : stop] if line)]


def main() -> None:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_templates.py")
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(module())


if __name__ == "__main__":
    main()
