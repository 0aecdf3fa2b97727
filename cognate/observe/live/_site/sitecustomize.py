"""Python imports this before the script, because `cognate run` put its folder first on PYTHONPATH.

It restores the PYTHONPATH that the user had, lets the user's own sitecustomize run, and starts the recorder. Only modules
that every interpreter has loaded by now are imported: a `random.py` beside the script must shadow what it would shadow.
"""

import os
import sys


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is not loaded yet
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]  # noqa: PTH100
    folder, options = os.environ.get("COGNATE_CASE"), os.environ.get("COGNATE_OPTIONS", "")
    if "\nlauncher=" in options:
        if _word() != options.rpartition("\nlauncher=")[2]:  # the launcher, which passes everything on to what it starts
            return _users_own()
        folder = _part(folder)
    before = os.environ.pop("COGNATE_PYTHONPATH", None)
    if before is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = before
    os.environ.pop("COGNATE_CASE", None)
    os.environ.pop("COGNATE_OPTIONS", None)
    try:
        _users_own()
    finally:
        if folder is not None:
            _observe(os.path.dirname(os.path.dirname(os.path.dirname(here))), folder, options)  # noqa: PTH120


def _word() -> str:
    """The script or module that this interpreter was told to run: the first word that is no option."""
    return next((word for word in sys.orig_argv[1:] if not word.startswith("-")), "")


def _part(folder: "str | None") -> "str | None":
    """The folder of this rank; None where it is not to be recorded: after a restart, or where something is in the way."""
    rank = os.environ.get("RANK", "")
    if folder is None or not rank:
        return folder
    if not rank.isdigit() or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        return None
    folder = os.path.join(folder, "rank-" + rank)  # noqa: PTH118
    try:
        os.mkdir(folder)  # noqa: PTH102
    except OSError:
        return None
    return folder


def _users_own() -> None:
    ours = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # noqa: F401 - the user's own, if there is one
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours  # the import that runs this file expects to find it


def _observe(package: str, folder: str, options: str) -> None:
    try:
        loader = __import__("_frozen_importlib_external")
        frozen = __import__("_frozen_importlib")
        name = "cognate"
        file = os.path.join(package, "__init__.py")  # noqa: PTH118
        spec = loader.spec_from_file_location(name, file, submodule_search_locations=[package])
        module = frozen.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        from cognate.observe.live import start

        start.begin(folder, options)
    except Exception as error:
        sys.stderr.write(f"cognate: the run is not observed ({type(error).__name__}: {error})\n")


_begin()
