"""ENV153 env-import-failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.imports import pip_install, shown

_ERROR = {
    "type": "ImportError",
    "message": "libcudnn.so.9: cannot open shared object file: No such file or directory",
    "file": "/work/train.py",
    "line": 3,
}
# (pattern of "TYPE: MESSAGE", what it means, what to do). The first that matches is told; groups fill the braces.
SIGNS = (
    (
        r"partially initialized module '(?P<a>[\w.]+)'",
        "{a} is asked for a name while it is still being loaded: a circular import, or a file of yours that bears the "
        "name of a library",
        "Rename your file {a}.py if you have one, else break the circle: import inside the function that needs it.",
    ),
    (
        r"cannot import name '(?P<a>\w+)' from '(?P<b>[\w.]+)' \(unknown location\)",
        "{b} is only a folder without __init__.py (unknown location): a local folder or the remains of an "
        "installation stand in for the package",
        "Remove or rename the folder {b}/, and install the package if it is not.",
    ),
    (
        r"cannot import name '(?P<a>\w+)' from '(?P<b>[\w.]+)'",
        "the {b} that is loaded defines no {a}: another version, or a file of the same name",
        "Compare the path in the message with the package that you mean.",
    ),
    (
        r"No module named '?(?P<a>[\w.]+)'?",
        "{a} is not found by this interpreter",
        "Run `cognate doctor` on the same command, or install it for the interpreter that ran.",
    ),
    (
        r"GLIBCXX_(?P<a>[\d.]+)",
        "the libstdc++ that is loaded is too old (it lacks GLIBCXX_{a}): LD_LIBRARY_PATH or conda put an older one first",
        "Unset LD_LIBRARY_PATH, or install a newer libstdcxx-ng into the environment.",
    ),
    (
        r"GLIBC_(?P<a>[\d.]+)",
        "the wheel was built for a newer system: it needs glibc {a}",
        "Install an older release of the package, or use a newer system or container.",
    ),
    (
        r"torchvision::nms|Couldn't load custom C\+\+ ops",
        "torchvision does not match torch",
        "Install the pair that belongs together (see the table in torchvision's README).",
    ),
    (
        r"undefined symbol: (?P<a>\w+)",
        "a compiled package was built against another version of a library than the one that is loaded (undefined symbol {a})",
        "Reinstall it for the installed torch; unset LD_LIBRARY_PATH.",
    ),
    (
        r"compiled using NumPy 1|_ARRAY_API not found|numpy\.dtype size changed|numpy\.core\.multiarray failed"
        r"|Numpy is not available",
        "a package was compiled for another NumPy than the installed one",
        "`pip install 'numpy<2'`, or a newer release of the package that the traceback names.",
    ),
    (
        r"(?P<a>lib[\w.+-]+\.so[\w.]*): cannot open shared object",
        "the library {a} is not found by the loader",
        "Install the package that brings {a}, or the matching nvidia-* wheel.",
    ),
    (
        r"invalid ELF header|file too short|wrong ELF class|Exec format error",
        "a compiled file is damaged or built for another machine",
        "Reinstall the package that the traceback names.",
    ),
    (r"not compiled with CUDA", "the installed torch is a CPU-only build", "Install a torch build with CUDA."),
    (
        r"driver on your system is too old|CUDA driver version is insufficient",
        "the NVIDIA driver is older than this torch needs",
        "Update the driver, or install a torch built for an older CUDA.",
    ),
    (
        r"No CUDA GPUs are available|no CUDA-capable device|Found no NVIDIA driver",
        "no GPU is visible to the process: none is there, or CUDA_VISIBLE_DEVICES hides it",
        "Check CUDA_VISIBLE_DEVICES, the driver, and --gpus of the container.",
    ),
    (
        r"PyExtensionType",
        "this datasets is too old for the installed pyarrow, which removed PyExtensionType",
        "`pip install -U datasets`, or `pip install 'pyarrow<21'`.",
    ),
    (
        r"Descriptors cannot be created directly",
        "generated files of an older protobuf meet protobuf 4 or later",
        "`pip install 'protobuf<4'`, or upgrade the package that the traceback names.",
    ),
    (r"OMP: Error #15", "several OpenMP runtimes are loaded into one process", "Take torch, numpy and the like from one source."),
    (
        r"insufficient shared memory|Bus error",
        "/dev/shm is too small for the workers' batches",
        "Start the container with --ipc=host or --shm-size=8g, or set num_workers=0.",
    ),
    (r"Too many open files", "the limit of open files is too low", "`ulimit -n 65536`."),
    (
        r"No space left on device",
        "the disk (or /dev/shm, or TMPDIR) is full",
        "Free some space, or point the caches to another disk.",
    ),
    (
        r"OfflineModeIsEnabled|offline mode|LocalEntryNotFound|outgoing traffic has been disabled|Couldn't reach .* on the Hub",
        "offline mode forbids a download, and the cache does not hold what is asked for",
        "Unset HF_HUB_OFFLINE for one run, or point HF_HOME to the cache that holds it.",
    ),
    (r"UnicodeEncodeError", "the output's encoding cannot hold what is printed", "`export PYTHONUTF8=1`."),
    (
        r"UnicodeDecodeError: '(?P<a>[\w-]+)'",
        "a file is read as {a} and is in another encoding",
        "Give open() the encoding of the file.",
    ),
    (
        r"PackageNotFoundError: (?:No package metadata was found for )?(?P<a>[\w.-]+)",
        "{a} has no metadata here: it is not installed, or its .dist-info is gone",
        "Reinstall {a}.",
    ),
    (
        r"requires the (?P<a>[\w-]+) library but it was not found"
        r"|(?:please|Please) (?:run|install).*pip install (?P<b>[\w\[\]-]+)",
        "an optional package is missing ({a}{b})",
        "Install it for the interpreter that ran.",
    ),
    (
        r"PermissionError.*(?P<a>/\S*(?:cache|huggingface|\.triton|tmp)\S*)",
        "the cache folder {a} cannot be written",
        "Repair its owner, or point the cache variable to a folder of yours.",
    ),
    (
        r"Fatal Python error.*|No module named 'encodings'",
        "Python does not find its own standard library: PYTHONHOME is wrong or the environment is broken",
        "Unset PYTHONHOME; recreate the environment.",
    ),
)
IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "PackageNotFoundError"})


@rule(
    code="ENV153",
    name="env-import-failed",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-swallowed-import-error"},
    fires=Example(environment={"cwd": "/work", "errors": [_ERROR]}),
    # A run that ended with an error of the script's own.
    quiet=Example(environment={"cwd": "/work", "errors": [{"type": "ValueError", "message": "lr must be positive"}]}),
)
def env_import_failed(case: Case) -> Iterator[Said]:
    """The run or the log ended with an error of the environment whose cause is no longer to be seen on this machine.

    What the message means is told from its words. Where the machine still shows why, the rule that sees it is named
    instead, and this one is its consequence.
    """
    errors = list(case.environment.get("errors", []))
    crash = case.info.get("exception")
    if crash:
        site: Any = crash.get("site") or {}
        errors.append(
            {
                "type": crash.get("type", ""),
                "message": crash.get("message", ""),
                "file": site.get("file"),
                "line": site.get("line"),
            }
        )
    for error in reversed(errors):
        finding = _read(case, error)
        if finding is not None:
            yield finding
            return
    yield Clear(f"{len(errors)} errors were seen, none of them the environment's" if errors else "no error was seen")


def _read(case: Case, error: dict[str, Any]) -> Finding | None:
    text = f"{error.get('type', '')}: {error.get('message', '')}"
    for pattern, meaning, remedy in SIGNS:
        match = re.search(pattern, text)
        if match is None:
            continue
        words = {key: value or "" for key, value in match.groupdict().items()}
        missing = words.get("a", "").partition(".")[0] if "No module named" in text else ""
        command = pip_install(case, missing) if missing and "encodings" not in missing else ""
        return _finding(case, error, meaning.format(**words), Fix(remedy.format(**words), (), (command,) if command else ()))
    if error.get("type") in IMPORT_ERRORS:
        return _finding(case, error, "an import failed", Fix("Examine the same command: `cognate doctor -- COMMAND LINE`."))
    return None


def _finding(case: Case, error: dict[str, Any], meaning: str, fix: Fix) -> Finding:
    file, line = error.get("file"), error.get("line")
    text = f"{error['type']}: {error['message']}" if error.get("type") else error["message"]
    return Finding(
        title=f"{meaning[:1].upper()}{meaning[1:]} ({text[:160]})",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("error", text[:300], source=f"{shown(case, file)}:{line}" if file else ""),),
        fix=fix,
        location=Location(file, line) if file else None,
    )
