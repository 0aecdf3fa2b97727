import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for adapter_toys


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory of its own, as of a process that nothing observes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "cognate.observe.live.start", raising=False)
    return tmp_path


@pytest.fixture
def said(caplog):
    """What Cognate said, one line each."""
    caplog.set_level(logging.WARNING, logger="cognate")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "cognate"]
