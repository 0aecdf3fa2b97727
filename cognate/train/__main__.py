"""`python -m cognate.train JOB RUN [RESUME]`: what `cognate train` starts, to be observed like anybody's script."""

from __future__ import annotations

import sys
from pathlib import Path

from cognate.errors import CognateError


def main(arguments: list[str]) -> int:
    """Train the job in file JOB in the folder RUN, from the checkpoint RESUME on where one is given; the exit code."""
    from cognate.train.execute import execute
    from cognate.train.job import Job

    job, run, *resume = map(Path, arguments)
    try:
        execute(Job.from_json(job.read_bytes(), job), run, resume=resume[0] if resume else None)
    except CognateError as error:
        print(f"cognate: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
