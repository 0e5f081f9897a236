"""The one class of Java that is ours: what lies in the repository is what its source says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from training.package import ROOT

JAVA = ROOT / "infra" / "torchserve" / "java"
(SOURCE,) = JAVA.rglob("*.java")


def test_the_class_is_its_source_compiled(tmp_path: Path) -> None:
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("there is no javac: apt-get install openjdk-17-jdk-headless")
    version = subprocess.run([compiler, "-version"], capture_output=True, text=True, check=True)
    if not version.stdout.startswith("javac 17."):
        pytest.skip(f"compiled by javac 17, here is {version.stdout.strip()}")
    options = ["--release", "11", "-g:none", "-d", str(tmp_path)]
    subprocess.run([compiler, *options, str(SOURCE)], check=True)
    (made,) = tmp_path.rglob("*.class")
    kept = SOURCE.with_suffix(".class")
    assert made.relative_to(tmp_path) == kept.relative_to(JAVA)
    assert made.read_bytes() == kept.read_bytes()


def test_the_class_says_what_its_source_says() -> None:
    """Where there is no compiler, too."""
    message = "".join(re.findall(r'"([^"]*)"', SOURCE.read_text(encoding="utf-8")))
    assert "Content-Type" in message
    assert message.encode() in SOURCE.with_suffix(".class").read_bytes()


def test_both_servers_find_it_first() -> None:
    for config in ("config.properties", "infra/torchserve/production.properties"):
        settings = (ROOT / config).read_text(encoding="utf-8").splitlines()
        (arguments,) = (line for line in settings if line.startswith("vmargs="))
        assert f"-Xbootclasspath/a:{JAVA.relative_to(ROOT)}" in arguments
