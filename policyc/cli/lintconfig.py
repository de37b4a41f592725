"""Settings of lint from policyc.toml or pyproject.toml, the nearest one above a policy, and from the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.lint.rule import THREATS
from policyc.lint.settings import SEVERITIES, Settings, known
from policyc.syntax.files import read_file
from policyc.vocabulary.diagnostic import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policyc.cli.parser import Arguments

FILE, PROJECT = "policyc.toml", "pyproject.toml"
LARGEST = 256 << 10
"""Bytes of a settings file."""
MOST_ENTRIES = 500
LONGEST = 500
"""Entries of a list or table, and characters of one of them."""
MOST_FOLDERS = 100
"""Folders above a policy in which settings are looked for."""

PLATFORMS = ("piix4", "q35", "custom")
_LISTS = ("select", "extend-select", "ignore", "forbid-waivers")
_JUDGING = (*_LISTS, "threat", "platform", "severity", "strict-waivers")
_WHOLE = (*_JUDGING, "fail-on", "baseline", "database", "per-path")


class Config(NamedTuple):
    """One settings file. folder: where it lies; paths in it count from there. per_path: (pattern, settings)."""

    name: str
    folder: str
    settings: Settings = Settings()
    per_path: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    fail_on: str | None = None
    baseline: str | None = None
    database: tuple[str, ...] = ()

    def of(self, path: str) -> Settings:
        """The settings for one policy: the file's own, then those of every pattern that its path matches, in order."""
        from fnmatch import fnmatchcase

        found = self.settings
        if not self.per_path or path == "-":
            return found
        inside = os.path.relpath(os.path.abspath(path), self.folder).replace(os.sep, "/")
        for pattern, fields in self.per_path:
            if fnmatchcase(inside, pattern):
                found = _merged(found, fields)
        return found


NOTHING = Config("", "")


class Configs:
    """The settings files of a run. given: the file of ``--config``. none: ``--no-config``."""

    def __init__(self, given: str | None, none: bool) -> None:
        self.given = given
        self.none = none
        self._found: dict[str, Config] = {}

    def above(self, path: str) -> Config:
        """The settings that count for a policy: those of ``--config``, else of the nearest folder above it."""
        if self.none:
            return NOTHING
        if self.given is not None:
            return self._cached(self.given, lambda: read(self.given or "", whole=not _is_project(self.given or "")))
        folder = os.getcwd() if path == "-" else os.path.abspath(path)
        if not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        for _ in range(MOST_FOLDERS):
            found = self._cached(folder, lambda folder=folder: _in(folder))
            if found is not NOTHING:
                return found
            parent = os.path.dirname(folder)
            if parent == folder:
                break
            folder = parent
        return NOTHING

    def _cached(self, key: str, make: Any) -> Config:
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]


def _is_project(path: str) -> bool:
    return os.path.basename(path) == PROJECT


def _in(folder: str) -> Config:
    """The settings file of one folder, NOTHING if it has none."""
    own = os.path.join(folder, FILE)
    if os.path.lexists(own):
        return read(own, whole=True)
    project = os.path.join(folder, PROJECT)
    return read(project, whole=False) if os.path.lexists(project) else NOTHING


def read(path: str, *, whole: bool) -> Config:
    """One settings file. whole: a policyc.toml, with a table `lint`; else a pyproject.toml, with `tool.policyc.lint`.

    Raises UnreadableError for a file that is too large, no TOML, or has a key or value that it cannot have.
    """
    import tomllib

    data = read_file(path, LARGEST)
    try:
        fields: Any = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise UnreadableError(f"cannot read {path}: it is not UTF-8 text") from None
    except (ValueError, RecursionError) as reason:
        why = "it nests too deeply" if isinstance(reason, RecursionError) else str(reason)
        raise UnreadableError(f"cannot read {path}: {why}") from None
    if not whole:
        tool = fields.get("tool")
        fields = tool.get("policyc") if isinstance(tool, dict) else None
        if fields is None:
            return NOTHING
    return _Reader(path).config(fields)


class _Reader:
    """Checks what a settings file says. Every complaint names the file and the key."""

    def __init__(self, path: str) -> None:
        self.path = path

    def wrong(self, key: str, why: str) -> UnreadableError:
        return UnreadableError(f"{self.path}: `{key[:LONGEST]}` {why}")

    def config(self, fields: Any) -> Config:
        table = self.table(fields, "policyc", ("lint",))
        lint = self.table(table.get("lint", {}), "lint", _WHOLE)
        folder = os.path.dirname(os.path.abspath(self.path))
        rows = self.table(lint.get("per-path", {}), "per-path", None)
        per_path = tuple((pattern, self.judging(each, f"per-path.{pattern}")) for pattern, each in rows.items())
        own = {key: value for key, value in lint.items() if key in _JUDGING}
        database = tuple(os.path.join(folder, each) for each in self.strings(lint.get("database", []), "database"))
        baseline = lint.get("baseline")
        if baseline is not None:
            baseline = os.path.join(folder, self.text(baseline, "baseline"))
        fail_on = None
        if "fail-on" in lint:
            fail_on = self.one_of(lint["fail-on"], "fail-on", (*SEVERITIES, "never"))
        settings = _merged(Settings(), self.judging(own, "lint"))
        return Config(self.path, folder, settings, per_path, fail_on, baseline, database)

    def judging(self, fields: Any, where: str) -> dict[str, Any]:
        """Checked fields that Settings have, by their names there."""
        table = self.table(fields, where, _JUDGING)
        out: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            if key in _LISTS:
                out[name] = tuple(self.pattern(each, key) for each in self.strings(value, key))
            elif key == "threat":
                out[name] = self.one_of(value, key, THREATS)
            elif key == "platform":
                out[name] = self.one_of(value, key, PLATFORMS)
            elif key == "severity":
                rows = self.table(value, key, None)
                out[name] = tuple((self.pattern(k, key), self.one_of(v, key, SEVERITIES)) for k, v in rows.items())
            else:
                if not isinstance(value, bool):
                    raise self.wrong(key, "is true or false")
                out[name] = value
        return out

    def table(self, value: Any, key: str, names: tuple[str, ...] | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(key, "is a table")
        if len(value) > MOST_ENTRIES:
            raise self.wrong(key, f"has more than {MOST_ENTRIES} entries")
        for each in value:
            if names is not None and each not in names:
                from policyc.vocabulary.near import nearest

                close = nearest(each, names, 1)
                raise self.wrong(each, f"is no setting; did you mean `{close[0]}`?" if close else "is no setting")
        return value

    def strings(self, value: Any, key: str) -> list[str]:
        if not isinstance(value, list):
            raise self.wrong(key, 'is a list of words, like ["S4", "P301"]')
        if len(value) > MOST_ENTRIES:
            raise self.wrong(key, f"has more than {MOST_ENTRIES} entries")
        return [self.text(each, key) for each in value]

    def text(self, value: Any, key: str) -> str:
        if not isinstance(value, str) or not value or len(value) > LONGEST:
            raise self.wrong(key, f"takes words of 1 to {LONGEST} characters")
        return value

    def pattern(self, value: str, key: str) -> str:
        if not known(value):
            raise self.wrong(key, f"names {value[:40]!r}, which is no code, name or beginning of a code")
        return value

    def one_of(self, value: Any, key: str, words: tuple[str, ...]) -> str:
        if value not in words:
            raise self.wrong(key, f"is one of {', '.join(words)}")
        return str(value)


def _merged(base: Settings, fields: Mapping[str, Any]) -> Settings:
    """base with fields over it: lists of rules to add are joined, everything else is replaced."""
    joined: dict[str, Any] = {
        key: (*getattr(base, key), *value)
        if key in ("extend_select", "ignore", "severity", "forbid_waivers")
        else value
        for key, value in fields.items()
    }
    return base._replace(**joined)


def from_command_line(args: Arguments, settings: Settings) -> Settings:
    """The settings of a file with those of the command line over them."""
    fields: dict[str, Any] = {"extend_select": tuple(args.extend_select), "ignore": tuple(args.ignore)}
    if args.select:
        fields["select"] = tuple(args.select)
    if args.threat is not None:
        fields["threat"] = args.threat
    if args.platform is not None:
        fields["platform"] = args.platform
    if args.strict_waivers:
        fields["strict_waivers"] = True
    return _merged(settings, fields)
