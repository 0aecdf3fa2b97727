"""`[tool.cognate]` and `cognate.toml`: which one holds, and what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cognate.errors import SettingsError
from cognate.settings import Settings, load_settings

WHOLE = """
select = ["LOSS", "dead-relu"]
skills = ["tools/ours"]
[ignore]
loss-odd = "we like odd"
[rules.dead-relu]
share = 0.5
[gate]
fail-on = "warning"
baseline = "known.json"
"""


def test_defaults_without_any_file(tmp_path):
    assert load_settings(tmp_path) == Settings()


def test_every_field(tmp_path):
    (tmp_path / "cognate.toml").write_text(WHOLE)
    settings = load_settings(tmp_path)
    assert settings.selection.select == ("LOSS", "dead-relu")
    assert settings.selection.ignore == {"loss-odd": "we like odd"}
    assert settings.selection.thresholds == {"dead-relu": {"share": 0.5}}
    assert settings.skill_folders == (tmp_path.resolve() / "tools/ours",)
    assert (settings.fail_on, settings.baseline) == ("warning", tmp_path.resolve() / "known.json")


def test_the_nearest_wins_and_a_pyproject_without_our_table_does_not_count(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.cognate]\nselect = ["OUTER"]\n')
    (inner / "pyproject.toml").write_text("[tool.ruff]\n")
    assert load_settings(inner).select == ("OUTER",)
    (tmp_path / "a" / "cognate.toml").write_text('select = ["NEAR"]\n')
    assert load_settings(inner).select == ("NEAR",)


def test_an_ignore_list_is_shown_as_without_reason(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.cognate]\nignore = ["LOSS101"]\n')
    assert load_settings(tmp_path).ignore == {"LOSS101": "listed in pyproject.toml without a reason"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool]\ncognate = 3", "as a whole is 3"),
        ('[tool.cognate]\nselect = "LOSS"', "select is 'LOSS'"),
        ("[tool.cognate]\nselect = [3]", "select.0 is 3"),
        ("[tool.cognate.gate]\nbaseline = 3", "gate.baseline is 3"),
        ("[tool.cognate.gates]\nx = 3", "has no key gates (did you mean gate?)"),
        ("[tool.cognate", "cannot be read as TOML"),
        ("\x00", "cannot be read as TOML"),
    ],
)
def test_errors_are_one_sentence_with_file_and_key(tmp_path, text, words):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert words in str(caught.value) and "pyproject.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pydantic_stays_out_where_nothing_is_configured(tmp_path):
    code = "import sys; from cognate.settings import load_settings; load_settings(); sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
