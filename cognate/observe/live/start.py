"""Inside the observed process before torch is there: wait for it, listen to printed lines, note how the run ends.

Nothing is imported at the top but what the interpreter itself has loaded: an early import of `json` or `random` would
hide a local file of that name from the script, and the run would no longer be the user's.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Lines kept in memory until the recorder can write them, and lines kept in all: enough for any human-readable log.
EARLY_LINES = 400
MOST_LINES = 20_000


class Session:
    """What is known before the recorder exists: where to write, and the lines printed so far."""

    def __init__(self, folder: str, options: str) -> None:
        self.folder = folder
        self.options = dict(part.split("=", 1) for part in options.split("\n") if "=" in part)
        self.text, self.home = options, folder
        self.waiting = self.options.get("waiting") == "1"  # for a process group: only ranks of one record a part of their own
        self.finished = False
        self.process = os.getpid()
        self.early: list[tuple[str, str]] = []
        self.recorder: Any = None
        self.lines = 0
        self.partial = {"stdout": "", "stderr": ""}

    def heard(self, stream: str, text: str) -> None:
        """Take the complete lines out of what was written to `stream`."""
        if os.getpid() != self.process:
            return
        text = self.partial[stream] + text
        *lines, rest = text.replace("\r\n", "\n").split("\n")
        self.partial[stream] = rest[-4096:]
        for line in lines:
            line = line.rsplit("\r", 1)[-1].rstrip()
            if not line or self.lines >= MOST_LINES:
                continue
            self.lines += 1
            if self.recorder is not None:
                self.recorder.printed(stream, line[:2000])
            elif len(self.early) < EARLY_LINES:
                self.early.append((stream, line[:2000]))


def begin(folder: str, options: str) -> None:
    """Arm the process: everything later happens because of what is set here."""
    session = Session(folder, options)
    sys.meta_path.insert(0, _TorchWatcher(session))
    for name in ("stdout", "stderr"):
        _listen(session, name)
    __import__("atexit").register(finish, session)


def _listen(session: Session, name: str) -> None:
    stream = getattr(sys, name)
    if stream is None:
        return
    write: Callable[[str], int] = stream.write

    def heard(text: str) -> int:
        written = write(text)
        try:
            session.heard(name, text)
        except Exception:
            stream.write = write  # the listener is broken: take it off, the user's output goes on
        return written

    stream.write = heard


class _TorchWatcher:
    """A finder that lets the others find `torch` and installs the hooks when its module has been executed."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name != "torch":
            return None
        # Libraries ask for the spec without importing, so this may be the first of several times.
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]
        return spec


class _Loader:
    """Executes torch by its own loader, leaves no trace of itself on the module, then installs the hooks."""

    def __init__(self, loader: "Any", watcher: _TorchWatcher) -> None:
        self.loader = loader
        self.watcher = watcher

    def __getattr__(self, name: str) -> "Any":
        return getattr(self.loader, name)

    def create_module(self, spec: "Any") -> "Any":
        return self.loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        if self.watcher in sys.meta_path:
            sys.meta_path.remove(self.watcher)
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        try:
            from cognate.observe.live.install import install

            self.watcher.session.recorder = install(self.watcher.session)
        except Exception as error:
            sys.stderr.write(f"cognate: the run is not observed ({type(error).__name__}: {error})\n")


def finish(session: Session) -> None:
    """Write what only the end of the process knows. Runs after the user's own atexit functions."""
    if os.getpid() != session.process or session.waiting or session.finished:
        return
    session.finished = True
    path, shadows = sys.path[:], _take_out_shadows()
    try:
        if session.recorder is not None:
            _finish_recorder(session.recorder)
        from cognate.observe.live.ending import write_ending

        write_ending(session)
    except Exception as error:
        if session.recorder is None or not session.recorder.errors:  # else it has been said that something failed
            sys.stderr.write(f"cognate: the end of the run was not recorded ({type(error).__name__}: {error})\n")
    finally:
        sys.path[:] = path
        sys.modules.update(shadows)
        if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
            _end_by_interrupt()


def _finish_recorder(recorder: "Any") -> None:
    try:
        recorder.finish()
    except Exception as error:
        recorder.failed("end of the run", error)


def _end_by_interrupt() -> None:
    """Remind the interpreter that a Ctrl-C ended the script, so that it dies by SIGINT as it would have.

    It keeps a flag for this, which every `exec` of a string clears: our imports (named tuples) made some.
    """
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        pass


def _take_out_shadows() -> "dict[str, Any]":
    """Leave only the standard library to import from; return the user's modules that carry a name of it.

    The script may have a `json.py` of its own, imported or not; it must neither be run by us nor be taken for the real one.
    """
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib may be one of those files
    sys.path[:] = [entry for entry in sys.path if entry.startswith(library)]
    shadows = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] in sys.stdlib_module_names and not file.startswith(library):
            shadows[name] = sys.modules.pop(name)
    return shadows
