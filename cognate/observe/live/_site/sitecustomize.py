"""Python imports this before the script, because `cognate run` put its folder first on PYTHONPATH.

It restores the PYTHONPATH that the user had, lets the user's own sitecustomize run, and starts the recorder. Only modules
that every interpreter has loaded by now are imported: a `random.py` beside the script must shadow what it would shadow.
"""

import os
import sys


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is not loaded yet
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]  # noqa: PTH100
    before = os.environ.pop("COGNATE_PYTHONPATH", None)
    if before is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = before
    folder = os.environ.pop("COGNATE_CASE", None)
    options = os.environ.pop("COGNATE_OPTIONS", "")
    try:
        _users_own()
    finally:
        if folder is not None:
            _observe(os.path.dirname(os.path.dirname(os.path.dirname(here))), folder, options)  # noqa: PTH120


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
