"""The page of ``policyc report``: templates/report/ and one JSON text, in a single file that needs no network.

No text of a policy becomes markup or script. The values stand in a data block, in which no ``<``, ``>``, ``&`` and no
character outside ASCII occurs as itself, and the script puts them into the page as text. A Content-Security-Policy allows the page's
own script and style by their hashes, and nothing else: no other script, no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from policyc import resources
from policyc.reports.cells import safe

_FOLDER = "report"
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def page(titles: Sequence[str], values: Mapping[str, Any]) -> str:
    """The HTML text. titles: what is drawn; old and new in a comparison. values: of ``policyc.reports.drawing``."""
    import jinja2
    from markupsafe import Markup

    script, style = (resources.read("templates", f"{_FOLDER}/{name}") for name in ("report.js", "report.css"))
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    ).from_string(resources.read("templates", f"{_FOLDER}/report.html.jinja"))  # fmt: skip
    text = template.render(
        titles=[safe(each) for each in titles],
        script=Markup(script),
        style=Markup(style),
        script_hash=_hash(script),
        style_hash=_hash(style),
        data=Markup(data_block(values)),
    )
    # ASCII alone, so that no encoding of a standard output alters it: only the titles can hold other characters.
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def data_block(values: Mapping[str, Any]) -> str:
    """JSON that can stand inside a script element of HTML: it cannot end the element, nor open a comment in it."""
    return json.dumps(values, ensure_ascii=True, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
