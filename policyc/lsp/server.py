"""The server: what the editor says goes to the project, what the project finds goes to the editor.

Nothing that an editor sends ends the server or shows it a trace: a request that fails is answered with one sentence,
and the trace goes to standard error under POLICYC_DEBUG.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any, BinaryIO, TypeVar

from lsprotocol import types
from pygls.exceptions import FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from policyc import __version__
from policyc.cli.frame import READER_GONE
from policyc.imports import STD
from policyc.lsp import completion, hover, layout, mend, navigate
from policyc.lsp.documents import MOST_OPEN, Document, path_of, uri_of
from policyc.lsp.project import Project
from policyc.lsp.reviewer import Reviewer
from policyc.lsp.tell import MOST, revived, shown

PAUSE = 0.2
"""Seconds without a keystroke after which lint is asked. Errors of the compiler do not wait."""

NEXT_MESSAGE = 0.001
"""Seconds in which a message that has arrived already is read: pygls takes three turns of a thread."""
LONGEST_HEAP = 0.02
"""Seconds after which a heap of messages is long enough."""

MOST_TURNS = 8
"""A check may find imports that make open texts parts of other policies, which are checked too; so often at most."""

LARGEST_MESSAGE = 128 << 20
"""Bytes of one message; JSON may write a character as six."""
_LONGEST_HEADER = 8 << 10

T = TypeVar("T")


class Protocol(LanguageServerProtocol):
    """pygls' protocol with our own texts in place of its workspace, which splits a text into lines at each keystroke."""

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self._server.opened(params.text_document)  # type: ignore[attr-defined]

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self._server.changed(params)  # type: ignore[attr-defined]

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.closed(params.text_document.uri)  # type: ignore[attr-defined]

    def _send_response(self, msg_id: Any, result: Any = None, error: types.ResponseError | None = None) -> None:
        """pygls puts the trace of an exception into an answer's data; the message says enough."""
        if error is not None:
            error = types.ResponseError(error.code, error.message[:500])
        super()._send_response(msg_id, result, error)


class Server(LanguageServer):
    """One editor's server."""

    def __init__(self, database: tuple[str, ...]) -> None:
        super().__init__("policyc", __version__, protocol_cls=Protocol, max_workers=2)
        self.project = Project(database)
        self.reviewer = Reviewer()
        self.status: int | None = None
        self._stale: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._told: dict[str, int] = {}
        self._complained = ""
        self._soon: asyncio.TimerHandle | None = None
        self._first = 0.0
        self._later: asyncio.TimerHandle | None = None
        self._review: asyncio.Task[None] | None = None
        methods: dict[str, Callable[..., Any]] = {
            types.INITIALIZED: self.started,
            types.SHUTDOWN: self.stopped,
            types.EXIT: self.told_to_exit,
            types.TEXT_DOCUMENT_DID_SAVE: self.saved,
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self.moved_in,
            types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self.saved,
            types.TEXT_DOCUMENT_HOVER: self.hover,
            types.TEXT_DOCUMENT_FORMATTING: self.format,
            types.TEXT_DOCUMENT_DEFINITION: self.definition,
            types.TEXT_DOCUMENT_REFERENCES: self.references,
            types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT: self.highlights,
            types.TEXT_DOCUMENT_PREPARE_RENAME: self.can_rename,
            types.TEXT_DOCUMENT_RENAME: self.rename,
            types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: self.outline,
            types.TEXT_DOCUMENT_COMPLETION: self.complete,
            types.TEXT_DOCUMENT_CODE_ACTION: self.actions,
        }
        options: dict[str, Any] = {
            types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(
                trigger_characters=[".", '"', "/", "(", "[", "{", ">"]
            ),
            types.TEXT_DOCUMENT_RENAME: types.RenameOptions(prepare_provider=True),
            types.TEXT_DOCUMENT_CODE_ACTION: types.CodeActionOptions(code_action_kinds=list(mend.KINDS)),
        }
        for name, method in methods.items():
            self.feature(name, options.get(name))(self._guarded(method))

    # the editor's texts

    @property
    def encoding(self) -> str:
        return str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))

    def started(self, _params: types.InitializedParams) -> None:
        for each in self._folders():
            self.project.look(each)
        ability = self.client_capabilities.workspace
        watched = None if ability is None else ability.did_change_watched_files
        if watched is not None and watched.dynamic_registration:
            self._watch()

    def moved_in(self, _params: object) -> None:
        """The editor has other folders now."""
        for each in self._folders():
            self.project.look(each)
        self.saved(_params)

    def _watch(self) -> None:
        """Ask to be told of files that change behind the editor's back."""
        watchers = [types.FileSystemWatcher(f"**/{each}") for each in ("*.pol", "policyc.toml", "pyproject.toml")]
        options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
        which = types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        self.client_register_capability(types.RegistrationParams([which]), lambda _answer: None)

    def stopped(self, _params: None) -> None:
        self.reviewer.end()
        self.status = 0

    def told_to_exit(self, _params: None) -> None:
        """Without a shutdown before, that is an editor's mistake."""
        self.status = 1 if self.status is None else self.status

    def opened(self, item: types.TextDocumentItem) -> None:
        if len(self.project.documents) >= MOST_OPEN:
            return
        path = path_of(item.uri)
        document = Document(item.uri, path or item.uri, item.text, item.version)
        self.project.documents[item.uri] = document
        if path is not None and not any(path.startswith(f"{each}{os.sep}") for each in self._folders()):
            self.project.look(os.path.dirname(path))
        self._check(document)

    def _folders(self) -> list[str]:
        return [path for each in self.workspace.folders.values() if (path := path_of(each.uri)) is not None]

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self.project.documents.get(params.text_document.uri)
        if document is None:
            return
        before = document.source
        document.change(params.content_changes, self.encoding)
        document.version = params.text_document.version
        self.project.edited(before, document.source)
        self._check(document)

    def closed(self, uri: str) -> None:
        document = self.project.documents.pop(uri, None)
        if document is None:
            return
        self.project.closed(document.path)
        for root in self.project.touched(document.path):
            self._stale[root] = None
        self._tell(document.path)
        self._check_soon()

    def saved(self, _params: object) -> None:
        """Something on the disk is new: files, settings, names."""
        self.project.forget()
        for document in self.project.documents.values():
            self._check(document)

    # checking

    def _check(self, document: Document) -> None:
        for root in self.project.touched(document.path):
            self._stale[root] = None
        self._check_soon()

    def _check_soon(self) -> None:
        """After the messages that have arrived already: of ten keystrokes in a heap only the last one counts."""
        loop = asyncio.get_running_loop()
        if self._soon is None:
            self._first = loop.time()
        elif loop.time() < self._first + LONGEST_HEAP:
            self._soon.cancel()
        else:
            return
        self._soon = loop.call_later(NEXT_MESSAGE, self._check_now)

    def _check_now(self) -> None:
        self._soon = None
        stale, self._stale = list(self._stale), {}
        gc.disable()
        checked = []
        for _ in range(MOST_TURNS):
            if self.project.moved:
                stale = self._settled(stale)
            for root in stale:
                self._guarded(self._check_root)(root)
            checked += stale
            stale = []
            if not self.project.moved:
                break
        gc.freeze()  # Trees and rules are millions of values without cycles: the collector need not walk through them.
        gc.enable()
        self._review_later(checked)

    def _settled(self, stale: list[str]) -> list[str]:
        """The policies to check now that an import has come or gone; what was said of others is taken back."""
        gone, new = self.project.settle()
        for root in gone:
            for path in self.project.drop(root):
                self._tell(path)
        return list(dict.fromkeys((*(each for each in stale if each in self.project.analyses), *new)))

    def _check_root(self, root: str) -> None:
        before = self.project.analyses.get(root)
        analysis = self.project.analyse(root)
        for path in dict.fromkeys((*(before.paths if before else ()), *analysis.paths)):
            self._tell(path)
        self._complain(self.project.complaint)

    def _tell(self, path: str) -> None:
        """Publish what is known about one file, unless there is nothing to say now and there was nothing before."""
        if path.startswith(f"{STD}/"):
            return
        document = self.project.document(path)
        uri = self.uri(path)
        assert uri is not None
        found = shown(self.project.found(path), self.encoding, self.uri)
        if document is not None and document.too_large:
            found = [_too_large()]
        if found or document is not None or self._told.get(uri):
            self._told[uri] = len(found)
            version = None if document is None else document.version
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, version))

    def uri(self, path: str) -> str | None:
        """The URI of a file by the name that findings call it; None for modules that come with policyc."""
        if path.startswith(f"{STD}/"):
            return None
        document = self.project.document(path)
        return uri_of(path) if document is None else document.uri

    def _complain(self, complaint: str) -> None:
        """Show what is wrong with the settings, once."""
        if complaint and complaint != self._complained:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"policyc: {complaint}"))
        self._complained = complaint

    # lint

    def _review_later(self, roots: list[str]) -> None:
        for root in roots:
            self._waiting[root] = None
        self.reviewer.give_up()
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(PAUSE, self._review_now)

    def _review_now(self) -> None:
        self._later = None
        if self._review is None or self._review.done():
            self._review = asyncio.get_running_loop().create_task(self._review_all())

    async def _review_all(self) -> None:
        while self._waiting:
            root = next(iter(self._waiting))
            del self._waiting[root]
            analysis = self.project.analyses.get(root)
            if analysis is None:
                continue
            texts = self.project.texts
            answer = await self.reviewer.review(root, texts, self.project.database_files)
            if answer is None:
                if self._later is not None:  # A keystroke ended it, and its pause will begin another one.
                    return
                continue
            if self.project.analyses.get(root) is analysis:
                self._guarded(self._reviewed)(root, answer)

    def _reviewed(self, root: str, answer: dict[str, Any]) -> None:
        found = (revived(each, self.project.source) for each in answer["found"])
        errors = {(each.code, each.message) for each in self.project.analyses[root].errors}
        ours = (each for each in found if each is not None and (each.code, each.message) not in errors)
        self.project.reviews[root] = list(islice(ours, MOST))
        for path in self.project.analyses[root].paths:
            self._tell(path)
        self._complain(answer["complaint"] or self.project.complaint)

    # what the editor asks

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        return self._at(params, hover.hover)

    def format(self, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document = self._document(params)
        return None if document is None else layout.edits(document.source, self.encoding)

    def definition(self, params: types.DefinitionParams) -> types.Location | None:
        return self._at(params, navigate.definition)

    def references(self, params: types.ReferenceParams) -> list[types.Location] | None:
        return self._at(params, navigate.references, params.context.include_declaration)

    def highlights(self, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        return self._at(params, navigate.highlights)

    def can_rename(self, params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        return self._at(params, navigate.can_rename)

    def rename(self, params: types.RenameParams) -> types.WorkspaceEdit | None:
        edits = self._at(params, navigate.rename, params.new_name)
        return None if edits is None else self._workspace_edit(edits)

    def complete(self, params: types.CompletionParams) -> types.CompletionList | None:
        return self._at(params, completion.complete)

    def outline(self, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        document = self._document(params)
        analysis = None if document is None else self.project.of(document.path)
        loaded = None if document is None or analysis is None else analysis.file(document.path)
        return None if loaded is None else navigate.outline(loaded, self.encoding)

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction] | None:
        document = self._document(params)
        if document is None:
            return None
        only = params.context.only
        return [
            types.CodeAction(
                each.title,
                kind=types.CodeActionKind(each.kind) if each.kind in mend.KINDS else each.kind,
                diagnostics=shown([each.about], self.encoding, self.uri) if each.about is not None else None,
                is_preferred=each.safe and each.about is not None,
                edit=self._workspace_edit(each.edits),
            )
            for each in mend.offers(self.project, document, params.range, self.encoding)
            if only is None or any(f"{each.kind}.".startswith(f"{getattr(kind, 'value', kind)}.") for kind in only)
        ]

    def _document(self, params: Any) -> Document | None:
        """The open text that is asked about. What was typed just before counts: places of an old text would be wrong."""
        if self._soon is not None:
            self._soon.cancel()
            self._check_now()
        return self.project.documents.get(params.text_document.uri)

    def _at(self, params: Any, ask: Callable[..., T], *more: object) -> T | None:
        """What ``ask`` says of a position of an open text."""
        document = self._document(params)
        return None if document is None else ask(self.project, document, params.position, self.encoding, *more)

    def _workspace_edit(self, edits: dict[str, list[types.TextEdit]]) -> types.WorkspaceEdit:
        """Edits by path; with the versions of open texts where the editor checks them."""
        workspace = self.client_capabilities.workspace
        ability = None if workspace is None else workspace.workspace_edit
        if ability is None or not ability.document_changes:
            return types.WorkspaceEdit(changes={str(self.uri(path)): each for path, each in edits.items()})
        out: list[Any] = []
        for path, several in edits.items():
            document = self.project.document(path)
            version = None if document is None else document.version
            which = types.OptionalVersionedTextDocumentIdentifier(str(self.uri(path)), version)
            out.append(types.TextDocumentEdit(which, list(several)))
        return types.WorkspaceEdit(document_changes=out)

    # what went wrong

    def _guarded(self, method: Callable[..., T]) -> Callable[..., T | None]:
        """The method, with one sentence in the editor's log in place of an exception."""

        def guarded(*args: Any) -> T | None:
            try:
                return method(*args)
            except JsonRpcException:
                raise
            except Exception as reason:
                self._bug(reason)
                return None

        guarded.__name__ = method.__name__
        return guarded

    def _bug(self, reason: Exception) -> None:
        if os.environ.get("POLICYC_DEBUG", "") not in ("", "0"):
            import traceback

            traceback.print_exception(reason)
        said = f"policyc: this is a bug in policyc {__version__}: {type(reason).__name__}: {str(reason)[:200]}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, said))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """What pygls could not make sense of: a message that is no LSP. A request that failed has its answer already."""
        if source is FeatureRequestError:
            return
        said = f"policyc: a message cannot be understood: {type(error).__name__}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Warning, said))


def _too_large() -> types.Diagnostic:
    start = types.Position(0, 0)
    said = "the text is larger than 16 MiB; policyc does not read it"
    return types.Diagnostic(types.Range(start, start), said, types.DiagnosticSeverity.Error, "E004", source="policyc")


class _Input:
    """Standard input, with an end where a line of the header or a message is longer than any editor sends."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        line = self._stream.readline(_LONGEST_HEADER)
        return line if line.endswith(b"\n") else b""

    def read(self, size: int) -> bytes:
        return self._stream.read(size) if size <= LARGEST_MESSAGE else b""


class _Output:
    """Standard output; where its reader is gone, so is the editor, and the process ends.

    At once, as the thread that waits for the editor's next message would not let it end otherwise.
    """

    def __init__(self, stream: BinaryIO, end: Callable[[], None]) -> None:
        self._stream, self._end = stream, end

    def write(self, message: bytes) -> None:
        try:
            self._stream.write(message)
            self._stream.flush()
        except ConnectionError:  # A pipe without its other end, or a socket: editors have either.
            self._end()
            os._exit(READER_GONE)

    def flush(self) -> None:
        """Nothing is left to write: pygls flushes after each message."""

    def close(self) -> None:
        self._stream.close()


def serve(database: tuple[str, ...]) -> int:
    """Serve standard input and output until the editor says exit or is gone; 1 if it says exit without shutdown.

    Where the editor reads no more, the process has ended instead.
    """
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    server = Server(database)
    output = _Output(os.fdopen(os.dup(sys.stdout.fileno()), "wb"), server.reviewer.end)
    sys.stdout = sys.stderr  # What anybody prints must not come between the messages.
    try:
        server.start_io(_Input(sys.stdin.buffer), output)  # type: ignore[arg-type]
    finally:
        server.reviewer.end()
    return server.status or 0
