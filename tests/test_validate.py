"""`pm25 validate`: what it says of a run, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from commands.main import cli
from tests.drawn_run import drawn_run
from training.held_out import write_held_out
from training.validation import gate
from training.validation.gate import Check, Verdict


def command(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["validate", *map(str, arguments)])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_held_out(folder / "held_out", {"unseen_days": drawn_run(40)["unseen_days"]})
    return folder


@pytest.fixture(scope="module")
def missed(run_folder: Path) -> Any:
    """What the command says of a run whose splits are not all there."""
    return command("--run", run_folder)


def test_the_command_exits_1_when_a_limit_is_missed(run_folder: Path, missed: Any) -> None:
    """What was not measured is not passed over."""
    assert missed.exit_code == 1
    assert "Not passed" in missed.stdout and "missed" in missed.stdout
    figures = json.loads((run_folder / "validation.json").read_text("utf-8"))
    html = (run_folder / "validation.html").read_text("utf-8")
    assert set(figures["splits"]) == {"unseen_days"} and "Not passed" in html


def test_the_command_exits_0_when_every_limit_is_met(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = Verdict((Check("a", True, 0.9, "at least 0.8", "g", "r", "s"),))
    monkeypatch.setattr(gate, "judge", lambda report, against: met)
    result = command(
        "--run", run_folder, "--html", tmp_path / "a.html", "--json", tmp_path / "a.json"
    )
    assert result.exit_code == 0
    assert (tmp_path / "a.html").is_file() and (tmp_path / "a.json").is_file()


def test_the_command_compares_with_the_version_in_service(run_folder: Path, missed: Any) -> None:
    both = command("--run", run_folder, "--against", run_folder / "validation.json").stdout
    assert len(both.splitlines()) > len(missed.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        (["--html", "nowhere/a.html"], "--html"),
        (["--json", "."], "--json"),
        (["--against", "held_out/unseen_days.full.csv"], "holds no figures"),
        (["--thumbnails", "held_out"], "--thumbnails"),
    ],
)
def test_bad_input_is_told_apart(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], detail: str
) -> None:
    monkeypatch.chdir(run_folder)
    result = command("--run", ".", *arguments)
    assert detail in getattr(result.exception, "detail", "")
