"""Reads a command line as a shell and Python would: variables, launcher, interpreter, its flags, what is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cognate.errors import UsageError
from cognate.observe.environment.syspath import Command

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
PYTHON = re.compile(r"(python|pypy)(w|\d+(\.\d+)*)?(\.exe)?$")
# Words before the command that change nothing about what Python sees, and how many words each takes with it.
PREFIXES = {
    "nohup": 0,
    "time": 0,
    "exec": 0,
    "command": 0,
    "nice": 0,
    "ionice": 0,
    "stdbuf": 0,
    "sudo": 0,
    "srun": 0,
    "timeout": 1,
}
# Launchers that run a script with the interpreter of their own shebang line.
LAUNCHERS = frozenset({"torchrun", "accelerate", "deepspeed", "composer", "lightning", "fabric"})
RUNNERS = frozenset({"uv", "poetry", "pipenv", "pdm", "hatch", "rye"})
VALUED = frozenset(
    """
    -n -u -N -p -c -g -C --with --project --directory --python --nproc-per-node --nproc_per_node --nnodes
    --node-rank --node_rank --master-addr --master_addr --master-port --master_port --rdzv-backend --rdzv-endpoint
    --rdzv-id --rdzv_backend --rdzv_endpoint --rdzv_id --config_file --num_processes --num_machines
    --mixed_precision --num_gpus --include --hostfile --devices --accelerator --strategy
    """.split()  # noqa: SIM905 (forty lines otherwise)
)


@dataclass(frozen=True)
class Request:
    """What the user's command asks for."""

    command: Command
    python: str | None = None  # the interpreter's path; None: not named by the command
    chosen_by: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)  # of the command: the shell's, with the command's own changes
    problem: dict[str, str] | None = None  # why the command cannot even start


def read_line(words: list[str], cwd: Path, environ: Mapping[str, str]) -> Request:
    """Read one command line. Raises UsageError where it runs no Python that can be told."""
    words, variables = _prefixes(list(words), dict(environ))
    if not words:
        raise UsageError("The command line names no program: give what you would type, `cognate doctor -- python train.py`.")
    head = words[0]
    name = Path(head).name
    if name in RUNNERS and "run" in words:
        rest = _operands(words[words.index("run") + 1 :])
        place = next((folder / ".venv" for folder in (cwd, *cwd.parents) if (folder / ".venv/bin/python").exists()), None)
        if place is not None:
            variables |= {"VIRTUAL_ENV": str(place), "PATH": f"{place / 'bin'}{os.pathsep}{variables.get('PATH', '')}"}
        request = read_line([*(["python"] if rest and rest[0].endswith(".py") else []), *rest], cwd, variables)
        return replace(request, chosen_by=f"{request.chosen_by}, by `{name} run`")
    if PYTHON.fullmatch(name):
        return _python(words, cwd, variables, _located(head, cwd, variables), f"`{head}` in the command")
    if name in ("bash", "sh", "zsh", "dash") and len(words) > 1:
        if words[1] == "-c" and len(words) > 2:
            return read_shell(words[2], cwd, variables, cwd / "-c")
        return read_script(cwd / _operands(words[1:])[0], cwd, variables)
    if name in ("source", ".") and len(words) > 1:
        return read_script(cwd / words[1], cwd, variables)
    file = Path(_located(head, cwd, variables) or cwd / head)
    if not file.exists():
        raise UsageError(f"There is no {head}, neither a file nor a command on PATH: check the name.")
    shebang = shebang_of(file)
    if file.suffix == ".sh" or (shebang and Path(shebang[0]).name in ("bash", "sh", "zsh", "dash")):
        return read_script(file, cwd, variables)
    if not shebang:
        raise UsageError(f"{head} has no shebang line: write `python {head}` if Python runs it.")
    request = interpreter_of(file, shebang, cwd, variables)
    python, chosen_by = request.python, request.chosen_by
    if name in ("pytest", "py.test"):
        return replace(request, command=pytest_command(words[1:], cwd, own_folder=file.parent))
    if name in LAUNCHERS:
        rest = _operands(words[2:] if words[1:2] == ["launch"] else words[1:])
        if rest[:1] in (["-m"], ["--module"]):
            rest[:1] = ["-m"]
        return _python(["python", *rest], cwd, variables, python, chosen_by)
    flags = "".join(word.lstrip("-") for word in shebang[1:] if re.fullmatch(r"-[A-Za-z]+", word))
    return replace(request, command=Command(cwd, script=Path(head) if file.suffix == ".py" else file, flags=flags))


def _prefixes(words: list[str], variables: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    while words:
        match = ASSIGNMENT.fullmatch(words[0])
        if match:
            variables[match[1]] = match[2]
            words = words[1:]
        elif Path(words[0]).name == "env" and len(words) > 1:
            words = words[1:]
            while words and words[0].startswith("-"):
                option = words.pop(0)
                if option in ("-i", "-", "--ignore-environment"):
                    variables.clear()
                elif option in ("-u", "--unset") and words:
                    variables.pop(words.pop(0), None)
                elif option.startswith("--unset="):
                    variables.pop(option.partition("=")[2], None)
        elif Path(words[0]).name in PREFIXES:
            values = PREFIXES[Path(words[0]).name]
            words = words[1:]
            while words and words[0].startswith("-"):
                words = words[2:] if words[0] in VALUED else words[1:]
            words = words[values:]
        else:
            break
    return words, variables


def _operands(words: list[str]) -> list[str]:
    """`words` from the first one that is neither an option nor an option's value."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "--module"):
        at += 2 if words[at] in VALUED else 1
    return words[at:]


def _located(name: str, cwd: Path, environ: Mapping[str, str]) -> str | None:
    """Where the shell finds the program `name`; a path that names nothing is returned as it is."""
    if os.sep in name:
        return os.path.abspath(cwd / os.path.expanduser(name))
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    return os.path.abspath(found) if found else None


def _python(words: list[str], cwd: Path, environ: Mapping[str, str], python: str | None, chosen_by: str) -> Request:
    if python is None:
        raise UsageError(f"There is no {words[0]} on PATH: give the interpreter's path.")
    flags, rest = "", words[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        if word.startswith("--"):
            continue
        letters = word[1:]
        for index, letter in enumerate(letters):
            if letter in "mcWX":
                value = letters[index + 1 :] or (rest.pop(0) if rest else "")
                if letter == "m":
                    return _module(value, rest, flags, cwd, environ, python, chosen_by)
                if letter == "c":
                    return Request(Command(cwd, code=value, flags=flags), python, chosen_by, environ)
                if letter == "X" and value == "utf8":
                    environ = {**environ, "PYTHONUTF8": "1"}
                break
            flags += letter
    if rest and rest[0] in ("-", "--"):
        rest.pop(0)
    script = Path(rest[0]) if rest else None
    return Request(Command(cwd, script=script, flags=flags), python, chosen_by, environ)


def _module(
    name: str, rest: list[str], flags: str, cwd: Path, environ: Mapping[str, str], python: str, chosen_by: str
) -> Request:
    if name == "pytest":
        return Request(pytest_command(rest, cwd, own_folder=cwd, flags=flags), python, chosen_by, environ)
    if name in ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch", "deepspeed"):
        return _python(["python", *_operands(rest)], cwd, environ, python, chosen_by)
    return Request(Command(cwd, module=name, flags=flags), python, chosen_by, environ)


def pytest_command(words: list[str], cwd: Path, own_folder: Path, flags: str = "") -> Command:
    """The command of `pytest WORDS`: the first argument that is a file or node, else the working folder."""
    nodes = [word for word in words if not word.startswith("-") and (cwd / word.partition("::")[0]).exists()]
    return Command(cwd, tests=Path(nodes[0].partition("::")[0]) if nodes else Path("."), flags=flags, before=str(own_folder))


def shebang_of(file: Path) -> list[str] | None:
    """The words of the shebang line of `file`; a carriage return at its end is kept, as the kernel keeps it."""
    try:
        with file.open("rb") as stream:
            head = stream.readline(512)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    return head[2:].rstrip(b"\n").decode("utf-8", "replace").strip(" \t").split(" ") or None


def interpreter_of(file: Path, shebang: list[str], cwd: Path, environ: Mapping[str, str]) -> Request:
    """The interpreter that the shebang line of `file` names, or the problem that stops it from starting."""
    words = [word for word in shebang if word]
    shown = " ".join(words)
    chosen_by = f"the first line of {file.name}"
    if words[-1].endswith("\r"):
        return Request(
            Command(cwd, script=file), None, chosen_by, environ, {"kind": "shebang-return", "file": str(file), "line": shown}
        )
    program = words[0]
    if Path(program).name == "env":
        rest = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        program = rest[0] if rest else "python3"
    python = _located(program, cwd, environ)
    if python is None or not os.path.exists(python):
        problem = {"kind": "shebang-interpreter", "file": str(file), "line": shown, "target": program}
        return Request(Command(cwd, script=file), python, chosen_by, environ, problem)
    return Request(Command(cwd, script=file), python, chosen_by, environ)


def read_script(file: Path, cwd: Path, environ: Mapping[str, str]) -> Request:
    """Read a shell script up to the first line that starts Python. Raises UsageError where none does."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}): check the path.") from error
    if text.startswith("#!") and text.partition("\n")[0].endswith("\r"):
        problem = {"kind": "shebang-return", "file": str(file), "line": text.partition("\n")[0][2:]}
        return Request(Command(cwd), None, f"the first line of {file.name}", environ, problem)
    return read_shell(text, cwd, environ, file)


def read_shell(text: str, cwd: Path, environ: Mapping[str, str], file: Path) -> Request:
    """Follow the simple commands of a shell script: cd, export, unset, source activate, then the first Python."""
    variables, local = dict(environ), {"0": str(file), "@": "", "*": ""}
    for line in re.split(r"\n|;|&&", text.replace("\\\n", " ")):
        line = _expanded(line.strip(), {**variables, **local}, file)
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if not words:
            continue
        words[0] = words[0].lstrip("(")
        if words[0] == "export":
            words = words[1:]
        match = [ASSIGNMENT.fullmatch(word) for word in words]
        if words and all(match):
            variables |= {item[1]: item[2] for item in match if item}
        elif words[:1] == ["cd"] and len(words) > 1:
            cwd = Path(os.path.abspath(cwd / os.path.expanduser(words[1])))
        elif words[:1] == ["unset"]:
            for word in words[1:]:
                variables.pop(word, None)
        elif words[:1] in (["source"], ["."]) and len(words) > 1 and Path(words[1]).name.startswith("activate"):
            prefix = Path(os.path.abspath(cwd / os.path.expanduser(words[1]))).parent.parent
            variables |= {"VIRTUAL_ENV": str(prefix), "PATH": f"{prefix / 'bin'}{os.pathsep}{variables.get('PATH', '')}"}
        elif words and _starts_python(words):
            try:
                request = read_line(words, cwd, variables)
            except UsageError:
                continue  # such as `which python` of another machine
            asked = request.command
            if asked == Command(cwd, flags=asked.flags) and request.problem is None:
                continue  # `python --version`
            return replace(request, chosen_by=f"{request.chosen_by}, in {file.name}")
    raise UsageError(f"{file} starts no Python that could be told: give the command, `cognate doctor -- COMMAND LINE`.")


def _starts_python(words: list[str]) -> bool:
    words = _prefixes(list(words), {})[0]
    if not words:
        return False
    name = Path(words[0]).name
    if name in RUNNERS:
        return "run" in words
    return bool(PYTHON.fullmatch(name)) or name in LAUNCHERS or name == "pytest" or words[0].endswith(".py")


def _expanded(text: str, variables: Mapping[str, str], file: Path) -> str:
    """`text` with the variables that are known and the usual ways of naming the script's own folder put in."""
    own = re.compile(
        r"\"?\$\(\s*(?:cd\s+)?\"?\$?\(?\s*dirname\s+(?:--\s+)?\"?\$\{?(?:0|BASH_SOURCE(?:\[0\])?)\}?\"?\s*\)?\"?(?:\s*&&\s*pwd)?\s*\)\"?"
    )
    text = own.sub(str(file.parent), text)
    return re.sub(r"\$(?:\{(\w+)(?::-[^}]*)?\}|(\w+|[@*]))", lambda item: variables.get(item[1] or item[2], ""), text)
