"""Inputs made to hurt. Run as a program: one line of JSON for each, with its time, memory and the codes it gives."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import cast

from tests import growth

HEAD = "language 1\ndefault passthrough\n"
MANY = 30_000


def lines(make: Callable[[int], str], count: int = MANY) -> str:
    return HEAD + "".join(map(make, range(count)))


INPUTS: list[tuple[str, list[str], Callable[[], str | bytes]]] = [
    ("a line of 10 MB", ["E004"], lambda: "x" * 10_000_000),
    ("a comment of 10 MB", ["E004"], lambda: "#" * 10_000_000),
    ("lines of nearly 1 MiB", [], lambda: HEAD + ("#" * (1 << 20) + "\n") * 4),
    ("5,000 braces", ["E004"], lambda: HEAD + "intercept msr " + "{" * 5000 + "\n"),
    ("5,000 blocks", ["E001", "E004"], lambda: HEAD + "profile a {\n" * 5000),
    ("100,000 brackets", [], lambda: HEAD + "let const A = " + "(" * 100_000 + "1" + ")" * 100_000 + "\n"),
    ("200,000 tildes", ["E004"], lambda: HEAD + "let const A = " + "~" * 200_000 + "1\n"),
    ("60,000 additions", [], lambda: HEAD + "let const A = " + " + ".join(["1"] * 60_000) + "\n"),
    ("a number of 100,000 digits", ["E012"], lambda: HEAD + "intercept msr " + "9" * 100_000 + "\n"),
    ("NUL bytes", ["E002"], lambda: bytes(5_000_000)),
    ("invalid UTF-8", ["E002"], lambda: b"\xff" * 5_000_000),
    ("UTF-16", ["E002"], lambda: ("intercept msr 0x10\n" * MANY).encode("utf-16")),
    ("invisible characters", ["E006"], lambda: "\u200b" * 1_000_000),
    ("conflict markers", ["E005"], lambda: "<<<<<<< a\n=======\n>>>>>>> b\n" * 5000),
    ("quotes", ["E001", "E004"], lambda: HEAD + '"\n' * 100_000),
    ("closing braces", ["E001", "E004"], lambda: HEAD + "}\n" * 100_000),
    ("100,000 mistakes", ["E001", "E004"], lambda: lines(lambda n: "x y\n", 100_000)),
    ("bad numbers", ["E004", "E011"], lambda: lines(lambda n: "intercept msr 0xG\n", 100_000)),
    ("unknown names", ["E004", "E031"], lambda: lines(lambda n: f"intercept msr FOO_{n}\n")),
    ("unknown names in sets", ["E004", "E031"], lambda: lines(lambda n: f"let msr A{n} = B{n}\n")),
    ("a chain of sets", ["E004"], lambda: lines(lambda n: f"let msr A{n} = A{n + 1}\n") + f"let msr A{MANY} = 0x10\n"),
    ("a fan of sets", [], lambda: HEAD + "let msr A0 = 0x10\n" + "".join(f"let msr A{n + 1} = {{ A{n}, A{n} }}\n" for n in range(60)) + "intercept msr A60\n"),
    ("a loop of constants", ["E004"], lambda: lines(lambda n: f"let const A{n} = A{(n + 1) % MANY}\n")),
    ("decimal numbers", ["Y706"], lambda: lines(lambda n: "intercept msr 10\n")),
    ("one label", ["E004", "E071"], lambda: lines(lambda n: "a: intercept msr 0x1ff0\n")),
    ("one default", ["E004", "E071"], lambda: lines(lambda n: "default exit\n")),
    ("imports that are not there", ["E004", "E036"], lambda: lines(lambda n: f'import "{n}.pol"\n')),
    ("failing tests", ["E213"], lambda: HEAD + 'test "t" {\n' + "rdmsr 0x1ff0 => exit\n" * MANY + "}\n"),
    ("failing assertions", ["E211"], lambda: lines(lambda n: "assert intercepted msr 0x1ff0\n")),
    ("profiles", ["E004"], lambda: lines(lambda n: f"profile p{n} {{\n}}\n", 20_000)),
    ("vCPUs", ["E004"], lambda: lines(lambda n: f"intercept msr 0x1ff0 on vcpu {n}\n", 4000)),
    ("waivers", ["E004", "X904"], lambda: lines(lambda n: "intercept msr 0x1ff0 # policyc: ignore[Z123]\n")),
    ("clashes", ["E201"], lambda: lines(lambda n: f"intercept msr 0x1ff0 read -> const({n})\n", 10_000)),
    ("conditions", ["E004"], lambda: HEAD + "intercept io 0x10 out when " + " and ".join(f"value & {1 << n % 32} == 0" for n in range(3000)) + " -> kill\n"),
    ("actions", ["E064"], lambda: HEAD + "intercept msr 0x1ff0 -> " + ", ".join(["log"] * MANY) + "\n"),
    ("comments", ["E004", "Y702"], lambda: "#\n" * 2_000_000),
    ("statements", ["E004", "Y702"], lambda: "language 1\n" + "target vmx\n" * 1_000_000),
    ("deep imports", ["E004"], lambda: HEAD + 'import "deep0.pol"\n'),
]  # fmt: skip


class Deep(dict[str, "str | bytes"]):
    """``deep7.pol`` imports ``deep8.pol``, without end."""

    def __contains__(self, key: object) -> bool:
        return str(key).startswith("deep")

    def __missing__(self, key: str) -> str:
        return f'language 1\nimport "deep{int(key[4:-4]) + 1}.pol"\n'


def measure(name: str, make: Callable[[], str | bytes]) -> dict[str, object]:
    """In a child process, so that each input has its own peak of memory."""
    reading, writing = os.pipe()
    if not os.fork():
        from tests.semantics.frontend import told

        text = make()
        found: list[object] = []

        def tells() -> None:
            found[:] = told(text, Deep())

        seconds = growth.seconds(tells, 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        codes = sorted({each.code for each in found} - {"Y701"} - ({"Y702"} if isinstance(text, bytes) else set()))
        result = {"name": name, "seconds": seconds, "megabytes": peak, "count": len(found), "codes": codes}
        os.write(writing, json.dumps(result).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        got = pipe.read()
    os.wait()
    return cast("dict[str, object]", json.loads(got))


if __name__ == "__main__":
    from tests.semantics import frontend

    frontend.database()
    for title, _, maker in INPUTS:
        sys.stdout.write(json.dumps(measure(title, maker)) + "\n")
