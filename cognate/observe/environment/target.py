"""What a TARGET of `cognate doctor` stands for: a script, a notebook and its kernel, a pytest node, a shell script."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cognate.errors import UsageError
from cognate.observe.environment.syspath import Command
from cognate.observe.environment.words import Request, interpreter_of, pytest_command, read_script, shebang_of

SHELLS = ("bash", "sh", "zsh", "dash")


def request_of(target: str | None, cwd: Path, environ: Mapping[str, str], module: str | None = None) -> Request:
    """The command that TARGET stands for. Raises UsageError where nothing can be made of it."""
    if target is None:
        return Request(Command(cwd, module=module), environ=environ)
    file, _, node = target.partition("::")
    path = cwd / file
    if node:
        return Request(pytest_command([target], cwd, own_folder=cwd), environ=environ)
    if path.suffix == ".ipynb":
        return _notebook(Path(file), cwd, environ)
    if path.suffix == ".py" or (path / "__main__.py").is_file():
        return Request(Command(cwd, script=Path(file)), environ=environ)
    shebang = shebang_of(path)
    if path.suffix == ".sh" or (shebang and Path(shebang[-1].strip()).name in SHELLS):
        return read_script(path, cwd, environ)
    if shebang and "python" in " ".join(shebang):
        return replace(interpreter_of(path, shebang, cwd, environ), command=Command(cwd, script=Path(file)))
    raise UsageError(f"{target} is no script, notebook, case, run folder or log that can be read: see `cognate doctor --help`.")


def is_command(target: str, cwd: Path) -> bool:
    """Whether TARGET names something to run, not something that was recorded."""
    path = cwd / target.partition("::")[0]
    if "::" in target or path.suffix in (".py", ".ipynb", ".sh"):
        return True
    return (path / "__main__.py").is_file() if path.is_dir() else shebang_of(path) is not None


def _notebook(file: Path, cwd: Path, environ: Mapping[str, str]) -> Request:
    """A notebook runs in the interpreter that its kernelspec names."""
    try:
        document = json.loads((cwd / file).read_bytes())
        name = str(document.get("metadata", {}).get("kernelspec", {}).get("name") or "python3")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{file} cannot be read as a notebook ({error}): check the file.") from error
    command = Command(cwd, script=file)
    for folder in kernel_folders(environ):
        spec = folder / name / "kernel.json"
        try:
            document = json.loads(spec.read_bytes())
            words = [str(word) for word in document["argv"]]
            variables = {str(key): str(value) for key, value in (document.get("env") or {}).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        python = words[0] if words and os.path.isabs(words[0]) else None
        by = f"the kernel {name} ({spec})"
        if python is not None and not os.path.lexists(python):
            problem = {"kind": "dangling", "executable": python, "target": python, "chosen_by": by}
            return Request(command, python, by, {**environ, **variables}, problem)
        return Request(command, python, by if python else "", {**environ, **variables})
    if name in ("python3", "python"):
        return Request(command, environ=environ)
    problem = {"kind": "kernel-missing", "file": str(file), "target": name, "line": name}
    return Request(command, None, f"the kernel {name}", environ, problem)


def kernel_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Folders of kernelspecs in Jupyter's own order, the user's before the environment's and the system's."""
    for part in environ.get("JUPYTER_PATH", "").split(os.pathsep):
        if part:
            yield Path(part, "kernels")
    home = Path(environ.get("HOME") or Path.home())
    yield Path(environ.get("JUPYTER_DATA_DIR") or home / ".local/share/jupyter", "kernels")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            yield Path(environ[variable], "share/jupyter/kernels")
    yield from (Path("/usr/local/share/jupyter/kernels"), Path("/usr/share/jupyter/kernels"))
