"""The little of jinja2 that a compiled template needs: attribute access, and an error for what is not given."""

from __future__ import annotations

import builtins
from collections.abc import Mapping

from policyc.vocabulary.typed import NoReturn

missing = object()
"""Stands for a variable that was not given."""


def _undefined(name: str) -> NoReturn:
    raise KeyError(f"the template needs {name!r}")


class Context:
    """The variables that a template is filled in with."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.variables = variables

    def resolve_or_missing(self, name: str) -> object:
        return self.variables.get(name, missing)


class _Environment:
    undefined = staticmethod(_undefined)
    concat = staticmethod("".join)
    getattr = staticmethod(builtins.getattr)


Undefined = _undefined
environment = _Environment()


def function_name(template: str) -> str:
    """The function that policyc.emitters.generate makes of a template."""
    return template.removesuffix(".jinja").replace(".", "_")
