"""An editor for tests: pygls' own client, over the pipes of a real ``policyc lsp`` process, called without ``await``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds after which something that was waited for does not come any more."""


def wait_for(condition: Callable[[], bool]) -> Coroutine[Any, Any, None]:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    return asyncio.wait_for(wait(), PATIENCE)


class Editor:
    """Use as a context. folder: the workspace. encodings: position encodings that the editor offers, best first."""

    def __init__(self, folder: Path, *, encodings: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.encodings = encodings
        self.options = options
        self.loop = asyncio.new_event_loop()
        self.client = LanguageClient("test", "1")
        self.published: dict[str, list[types.PublishDiagnosticsParams]] = {}
        self.messages: list[str] = []
        self.versions: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._publish(params))
        self.watched: list[str] = []
        self.client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: self._register(params))
        self.client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: self.messages.append(params.message))
        self.client.feature(types.WINDOW_LOG_MESSAGE)(lambda params: self.messages.append(params.message))

    def _register(self, params: types.RegistrationParams) -> None:
        for each in params.registrations:
            if each.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES:
                options = each.register_options
                watchers = options["watchers"] if isinstance(options, dict) else getattr(options, "watchers", [])
                self.watched += [str(getattr(one, "glob_pattern", None) or one["globPattern"]) for one in watchers]

    def _publish(self, params: types.PublishDiagnosticsParams) -> None:
        self.published.setdefault(params.uri, []).append(params)

    def __enter__(self) -> Editor:
        os.environ["PYTHONPATH"] = str(ROOT)
        self.run(self.client.start_io(sys.executable, "-m", "policyc", "lsp", *self.options))
        general = types.GeneralClientCapabilities(position_encodings=list(self.encodings) or None)  # type: ignore[arg-type]
        edits = types.WorkspaceClientCapabilities(
            workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        )
        self.initialized = self.run(
            self.client.initialize_async(
                types.InitializeParams(
                    capabilities=types.ClientCapabilities(general=general, workspace=edits),
                    workspace_folders=[types.WorkspaceFolder(self.folder.as_uri(), "test")],
                )
            )
        )
        self.client.initialized(types.InitializedParams())
        return self

    def __exit__(self, *_reason: object) -> None:
        self.run(self.client.shutdown_async(None))
        self.client.exit(None)
        self.run(asyncio.wait_for(self.client._server.wait(), PATIENCE))  # type: ignore[union-attr]
        self.status = self.client._server.returncode  # type: ignore[union-attr]
        self.run(self.client.stop())
        self.loop.close()

    def run(self, task: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(task, PATIENCE))

    # texts

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_bytes(text.encode())

    def open(self, name: str, text: str | None = None) -> None:
        text = (self.folder / name).read_bytes().decode() if text is None else text
        uri = self.uri(name)
        self.versions[uri], self.texts[uri] = 1, text
        item = types.TextDocumentItem(uri, "policyc", 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, name: str, *changes: types.TextDocumentContentChangeEvent) -> int:
        """The new version."""
        uri = self.uri(name)
        self.versions[uri] += 1
        which = types.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(which, list(changes)))
        return self.versions[uri]

    def replace(self, name: str, start: tuple[int, int], end: tuple[int, int], text: str) -> int:
        """Replace from line and column (from 0, in the encoding agreed upon) to line and column; the new version."""
        place = types.Range(types.Position(*start), types.Position(*end))
        return self.change(name, types.TextDocumentContentChangePartial(place, text))

    def close(self, name: str) -> None:
        which = types.TextDocumentIdentifier(self.uri(name))
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(which))

    def told_of(self, name: str) -> None:
        """A file is new on the disk."""
        event = types.FileEvent(self.uri(name), types.FileChangeType.Created)
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))

    # answers

    def diagnostics(self, name: str, version: int | None = None) -> list[types.Diagnostic]:
        """The first that are published about a version (without one: about the last that was sent)."""
        uri = self.uri(name)
        wanted = self.versions.get(uri) if version is None else version
        self.run(wait_for(lambda: any(each.version == wanted for each in self.published.get(uri, ()))))
        return next(list(each.diagnostics) for each in self.published[uri] if each.version == wanted)

    def codes(self, name: str) -> list[str]:
        return [str(each.code) for each in self.diagnostics(name)]

    def last(self, name: str) -> list[str]:
        """Codes of what was published last; all that one change gives rise to is published in a heap."""
        return [str(each.code) for each in self.published[self.uri(name)][-1].diagnostics]

    def until(self, name: str, holds: Callable[[list[types.Diagnostic]], bool]) -> list[types.Diagnostic]:
        """The first published diagnostics, old or new, for which something holds: lint's come later."""
        uri = self.uri(name)
        self.run(wait_for(lambda: any(holds(list(each.diagnostics)) for each in self.published.get(uri, ()))))
        return next(list(each.diagnostics) for each in self.published[uri] if holds(list(each.diagnostics)))

    def at(self, name: str, line: int, column: int) -> tuple[types.TextDocumentIdentifier, types.Position]:
        return types.TextDocumentIdentifier(self.uri(name)), types.Position(line, column)

    def hover(self, name: str, line: int, column: int) -> str | None:
        found = self.run(self.client.text_document_hover_async(types.HoverParams(*self.at(name, line, column))))
        if found is None:
            return None
        assert isinstance(found.contents, types.MarkupContent)
        return found.contents.value

    def formatted(self, name: str) -> str:
        """The text after the edits that formatting asks for; the edits must not overlap, and offsets are characters."""
        which = types.TextDocumentIdentifier(self.uri(name))
        options = types.FormattingOptions(tab_size=4, insert_spaces=True)
        found = self.run(self.client.text_document_formatting_async(types.DocumentFormattingParams(which, options)))
        return apply(self.texts[self.uri(name)], list(found or ()))

    def definition(self, name: str, line: int, column: int) -> types.Location | None:
        found = self.run(
            self.client.text_document_definition_async(types.DefinitionParams(*self.at(name, line, column)))
        )
        assert found is None or isinstance(found, types.Location)
        return found

    def references(self, name: str, line: int, column: int) -> list[tuple[str, int, int]]:
        """Name of the file, line and column of each."""
        context = types.ReferenceContext(include_declaration=True)
        found = self.run(
            self.client.text_document_references_async(types.ReferenceParams(context, *self.at(name, line, column)))
        )
        return [
            (each.uri.rsplit("/", 1)[-1], each.range.start.line, each.range.start.character) for each in found or ()
        ]

    def complete(self, name: str, line: int, column: int) -> list[str]:
        found = self.run(
            self.client.text_document_completion_async(types.CompletionParams(*self.at(name, line, column)))
        )
        assert isinstance(found, types.CompletionList)
        return [each.label for each in found.items]

    def renamed(self, name: str, line: int, column: int, new: str) -> dict[str, str]:
        """The new text of every open file that a rename changes, by name."""
        which, place = self.at(name, line, column)
        edit = self.run(self.client.text_document_rename_async(types.RenameParams(which, place, new)))
        assert edit is not None
        return self.edited(edit)

    def edited(self, edit: types.WorkspaceEdit) -> dict[str, str]:
        """The new text of every open file that an edit changes; versions must be those of the open texts."""
        out = {}
        for each in edit.document_changes or ():
            assert isinstance(each, types.TextDocumentEdit)
            uri = each.text_document.uri
            assert each.text_document.version == self.versions[uri]
            edits = [one for one in each.edits if isinstance(one, types.TextEdit)]
            out[uri.rsplit("/", 1)[-1]] = apply(self.texts[uri], edits)
        return out

    def actions(self, name: str, line: int) -> list[types.CodeAction]:
        """What is offered for a line."""
        which, start = self.at(name, line, 0)
        place = types.Range(start, types.Position(line, 1000))
        params = types.CodeActionParams(which, place, types.CodeActionContext(diagnostics=[]))
        found = self.run(self.client.text_document_code_action_async(params))
        return [each for each in found or () if isinstance(each, types.CodeAction)]

    def outline(self, name: str) -> list[types.DocumentSymbol]:
        params = types.DocumentSymbolParams(types.TextDocumentIdentifier(self.uri(name)))
        found = self.run(self.client.text_document_document_symbol_async(params))
        return [each for each in found or () if isinstance(each, types.DocumentSymbol)]


def apply(text: str, edits: list[types.TextEdit]) -> str:
    """A text of ASCII characters with edits."""
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]

    def at(place: types.Position) -> int:
        return min(starts[min(place.line, len(lines))] + place.character, len(text))

    for each in sorted(edits, key=lambda each: at(each.range.start), reverse=True):
        text = text[: at(each.range.start)] + each.new_text + text[at(each.range.end) :]
    return text
