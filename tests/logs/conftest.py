import json

import pytest

from cognate.case.case import Case
from cognate.observe.logs import import_run


@pytest.fixture
def imported(tmp_path):
    """Writes `content` into a file of a run called my-run and reads it as a case."""

    def run(content, name="trainer_state.json", **options):
        file = tmp_path / "my-run" / name
        file.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        import_run(file, tmp_path / "case", **options)
        return Case.open(tmp_path / "case")

    return run


@pytest.fixture
def rows_and_info(imported):
    """Imports a text log; returns the rows of metrics.jsonl and case.json."""

    def run(text, name="train.log"):
        case = imported(text, name)
        return list(case.metrics), case.info

    return run
