"""What is wrong with a compiled file, from its name and its header: nothing is loaded."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path

# e_machine of ELF and cputype of Mach-O (https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html).
ELF_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64le", 22: "s390x"}
SAME = {"arm64": "aarch64", "amd64": "x86_64", "i386": "i686", "i586": "i686"}
TAGGED = re.compile(r"\.(cpython-\d+[a-z]*(-[\w-]+)?|cp\d+[a-z]*-[\w-]+|abi3|pypy\d+-[\w-]+)\.(so|pyd)$")


def fault(file: str, machine: str, platform: str) -> tuple[str, str] | None:
    """Return (kind, words) for a file that this machine's loader refuses: empty, no-binary, foreign, truncated."""
    try:
        size = os.stat(file).st_size
        with open(file, "rb") as stream:
            head = stream.read(64)
    except OSError as error:
        return "unreadable", f"it cannot be read ({error.strerror})"
    if not size:
        return "empty", "it is empty (0 bytes)"
    if not platform.startswith("linux"):
        return None
    if head[:4] != b"\x7fELF":
        if head[:2] == b"MZ":
            return "foreign", "it is a Windows library"
        if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe"):
            return "foreign", "it is a macOS library"
        if head.startswith(b"version https://git-lfs"):
            return "no-binary", "it is a Git LFS pointer, not the library itself"
        return "no-binary", "it is no ELF library (invalid ELF header)"
    if len(head) < 64:
        return "truncated", f"it ends after {size} bytes (file too short)"
    order = "<" if head[5] == 1 else ">"
    (number,) = struct.unpack_from(f"{order}H", head, 18)
    theirs, ours = ELF_MACHINES.get(number, f"machine {number}"), SAME.get(machine.lower(), machine.lower())
    if ours and theirs != ours:
        return "foreign", f"it is built for {theirs}, and this machine is {ours}"
    if head[4] == 2:
        (sections,) = struct.unpack_from(f"{order}Q", head, 40)
        entry, count = struct.unpack_from(f"{order}HH", head, 58)
        if sections and sections + entry * count > size:
            return "truncated", f"it ends after {size} bytes, and its header promises {sections + entry * count} (file too short)"
    return None


def other_abi(name: str, listing: Iterable[str], suffixes: Iterable[str]) -> str | None:
    """A compiled file of module `name` that is tagged for another interpreter, where none is there for this one."""
    found = [item for item in listing if item.startswith(f"{name}.") and TAGGED.match(item[len(name) :])]
    if any(item == name + suffix for item in found for suffix in suffixes):
        return None
    return min(found, default=None)


def built_for(file: str) -> str:
    """The interpreter that a tagged file name promises, in words."""
    match = re.search(r"\.(?:cpython-|cp)(\d)(\d+)", Path(file).name)
    return f"Python {match[1]}.{match[2]}" if match else "another interpreter"
