"""What the README tells a reader to type does what it says, and what it links to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "skills").rglob("*.md")),
    ROOT / "reports" / "README.md",
]


def cognate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "cognate", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=120)


def block(heading: str, language: str, number: int = 0) -> str:
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[number]


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """The reader's project after following the section: scaffold, replace the rule, name the folder."""
    assert cognate("skills", "new", "team-checks", cwd=tmp_path).returncode == 0
    for file in (tmp_path / "team-checks" / "checks").rglob("*.py"):
        file.unlink()
    source = block("Add a rule in five minutes", "python")
    path = re.match(r"# (\S+\.py)\n", source)
    assert path is not None
    file = tmp_path / path.group(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(block("Add a rule in five minutes", "toml"), encoding="utf-8")
    return tmp_path


def test_the_rule_of_the_readme_keeps_its_promises(team):
    done = cognate("skills", "check", "team-checks", cwd=team)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rules keep their promises" in done.stdout


def test_the_rule_of_the_readme_judges_a_real_run(team):
    (team / "train.py").write_text(
        "import torch\n"
        "model = torch.nn.Linear(2, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.01)\n"
        "for _ in range(5):\n"
        "    optimizer.zero_grad()\n"
        "    torch.nn.functional.mse_loss(model(torch.randn(8, 2)), torch.randn(8, 1)).backward()\n"
        "    optimizer.step()\n",
        encoding="utf-8",
    )
    done = cognate("run", "train.py", cwd=team)
    assert done.returncode == 0 and "team-run-too-short" in done.stderr, done.stderr
    assert "team-run-too-short" in cognate("rules", cwd=team).stdout


def test_every_key_of_the_configuration_table_is_accepted(tmp_path):
    (tmp_path / "cognate-baseline.json").write_text('{"schema": "cognate.baseline/1", "known": []}')
    (tmp_path / "pyproject.toml").write_text(block("Gate in CI", "toml"), encoding="utf-8")
    done = cognate("rules", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_commands_of_the_readme_and_the_skills_exist():
    verbs = {"run", "doctor", "train", "generate", "report", "gate", "rule", "rules", "skills", "bench"}
    for page in PAGES:
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(encoding="utf-8"), re.DOTALL))
        used = set(re.findall(r"(?:^|[`$\s])cognate ([a-z]+)\b", code))
        assert used <= verbs, f"{page}: {used - verbs}"


@pytest.mark.parametrize("skill", sorted(path.parent.name for path in (ROOT / "skills").glob("*/SKILL.md")))
def test_a_skill_is_short_and_its_references_lie_one_level_deep(skill):
    folder = ROOT / "skills" / skill
    assert len((folder / "SKILL.md").read_text(encoding="utf-8").splitlines()) < 500
    text = (folder / "SKILL.md").read_text(encoding="utf-8")
    references = {file.relative_to(folder).as_posix() for file in (folder / "references").rglob("*.md")}
    assert references and references == set(re.findall(r"\]\((references/[a-z-]+\.md)\)", text))
