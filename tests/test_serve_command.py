"""`pm25 serve` as a person meets it: an answer, a line to copy, and a reason when it fails."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from lifecycle import torchserve
from lifecycle.torchserve import Server
from tests.serving import free_port, is_answer, run_pm25
from training.package import ROOT


def test_serve_starts_answers_and_prints_a_line_that_works(archive: Path) -> None:
    port = str(free_port())
    try:
        ran = run_pm25("serve", "--port", port, "--archive", str(archive))
        assert ran.returncode == 0, ran.stderr
        assert f"READY on port {port}" in ran.stdout
        answer, _ = json.JSONDecoder().raw_decode(ran.stdout[ran.stdout.index("{") :])
        assert is_answer(answer)
        (line,) = re.findall(r"^ *(curl .*)$", ran.stdout, re.MULTILINE)
        assert f"make stop PORT={port}" in ran.stdout
        if shutil.which("curl"):
            command = [*shlex.split(line), "--silent"]
            copied = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
            assert json.loads(copied.stdout)["pm25_estimate"] == pytest.approx(
                answer["pm25_estimate"]
            )
    finally:
        stopped = run_pm25("stop", "--port", port)
    assert stopped.stdout == f"Stopped port {port}.\n"
    assert torchserve.running(int(port)) is None
    assert run_pm25("stop", "--port", port).stdout == f"Nothing ran on port {port}.\n"


def test_serve_says_when_it_runs_already_and_answers_all_the_same(server: Server) -> None:
    ran = run_pm25("serve", "--port", str(server.port))
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"Already running on port {server.port} (pid {server.pid}).")
    assert '"pm25_estimate"' in ran.stdout


@pytest.mark.parametrize("which", ["inference", "management", "metrics"])
def test_serve_names_who_holds_its_port(archive: Path, which: str) -> None:
    port = free_port()
    number = port + ["inference", "management", "metrics"].index(which)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", number))
        taken.listen()
        ran = run_pm25("serve", "--port", str(port), "--archive", str(archive))
    assert ran.returncode == 2
    me = psutil.Process()
    assert f"Port {number} is taken by {me.name()} (pid {me.pid}" in ran.stderr
    assert "PORT=" in ran.stderr
    assert torchserve.running(port) is None


def test_serve_names_another_torchserve(archive: Path, server: Server) -> None:
    """One that is not this port's: it holds a port of the family alone."""
    ran = run_pm25("serve", "--port", str(server.port - 1), "--archive", str(archive))
    assert ran.returncode == 2
    assert f"another TorchServe (pid {server.pid}" in ran.stderr


def test_without_an_archive_serve_says_what_is_missing(tmp_path: Path) -> None:
    missing = tmp_path / "pm25-9.9.9.mar"
    ran = run_pm25("serve", "--port", str(free_port()), "--archive", str(missing))
    assert ran.returncode == 2
    assert str(missing) in ran.stderr
    assert "Traceback" not in ran.stderr
