"""Statements of a document in the words of the policy language, for messages about those that stand in no file."""

from __future__ import annotations

from typing import Any

from policyc.ir.document import Node, plain
from policyc.semantics.wording import items_text


def statement(node: Node) -> tuple[str, int, int]:
    """The statement on one line, and which of its characters name a rule's addresses (0, 0 for other statements)."""
    said = plain(node)
    if "verb" in said:
        head = f"{said['label']}: " if "label" in said else ""
        head += f"override {said['verb']} " if said.get("override") else f"{said['verb']} "
        head += f"{said['space']} "
        items = _items(said)
        return head + items + _rest(said), len(head), len(head) + len(items)
    return _other(said), 0, 0


def _other(said: dict[str, Any]) -> str:
    if "space" in said:
        if "expected" in said:
            return f"assert action {said['space']} {_items(said)}{_access(said)} == {_actions(said['expected'])}"
        kind = "assert not intercepted" if said.get("negated") else "assert intercepted"
        return f"{kind} {said['space']} {_items(said)}{_access(said)}"
    if "verdict" in said:
        return f"default {said['verdict']}" + (f" -> {_actions(said['actions'])}" if "actions" in said else "")
    if "kind" in said:
        width = f" width {said['width']}" if "width" in said else ""
        value = f" value {said['value']}" if "value" in said else ""
        return f"{said['kind']} {said['address']:#x}{width}{value} => {_actions(said['outcome'])}"
    return f"default msr outside -> {_actions(said['actions'])}" if "actions" in said else str(said["name"])


def _items(said: dict[str, Any]) -> str:
    return items_text(tuple((lo, hi) for lo, hi in said["ranges"])) if said["ranges"] else "{ }"


def _rest(said: dict[str, Any]) -> str:
    text = _access(said)
    conditions = [
        f"{each['subject']}{' & ' + each['mask'] if 'mask' in each else ''} {each['op']} {each['operand']}"
        for each in said.get("when", ())
    ]
    text += f" when {' and '.join(conditions)}" if conditions else ""
    vcpus = ", ".join(f"{lo}" if lo == hi else f"{lo}..{hi}" for lo, hi in said.get("vcpus", ()))
    text += f" on vcpu {{ {vcpus} }}" if vcpus else ""
    return text + (f" -> {_actions(said['actions'])}" if "actions" in said else "")


def _access(said: dict[str, Any]) -> str:
    widths = f" width {', '.join(map(str, said['widths']))}" if "widths" in said else ""
    return f" {said['access']}{widths}"


def _actions(actions: list[dict[str, Any]]) -> str:
    return ", ".join(_action(each) for each in actions)


def _action(action: dict[str, Any]) -> str:
    arguments = [f"{key}={value}" for key, value in action.items() if key != "name"]
    if len(arguments) == 1 and action["name"] in ("const", "inject", "forward"):
        arguments = [arguments[0].partition("=")[2]]
    return f"{action['name']}({', '.join(arguments)})" if arguments else str(action["name"])
