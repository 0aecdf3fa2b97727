"""The entry point of the `cognate` command, and how errors become one line and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable

from cognate.errors import CognateError


def run() -> None:
    """Entry point of the `cognate` command."""
    for stream in (sys.stdout, sys.stderr):
        # A locale without our characters must not turn a diagnosis into a UnicodeEncodeError.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        (_doctor() or _any_verb)()
    except CognateError as error:
        print(f"cognate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        # The last resort: a bug of ours is one line to the user, and a traceback to who asks for it.
        if "--traceback" in sys.argv[1:2]:
            raise
        print(
            f"cognate: {type(error).__name__}: {error}. This is a fault in Cognate; "
            "report with `cognate --traceback` before the same command.",
            file=sys.stderr,
        )
        sys.exit(3)


def _any_verb() -> None:
    from cognate.cli.app import app

    app()


def _doctor() -> Callable[[], None] | None:
    """`cognate doctor` with the options of every day, which starts before typer is imported; None for anything else."""
    if sys.argv[1:2] != ["doctor"] or os.environ.get("_COGNATE_COMPLETE"):
        return None
    from cognate.cli.doctor import doctor
    from cognate.cli.doctor_words import read

    asked = read(sys.argv[2:])
    if asked is None:
        return None

    def diagnose() -> None:
        try:
            code = doctor(asked)
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = 130
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            # The reader has gone (`cognate doctor | head -1`); what is left in the buffer must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        gc.freeze()  # the process ends here: nothing is worth collecting
        sys.exit(code)

    return diagnose
