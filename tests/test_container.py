"""The image as its Dockerfile says: nobody's root, one port, and no code beside the archive."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.test_torchserve import settings
from training.package import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LAST_STAGE = TEXT[TEXT.rindex("\nFROM ") :]


def instructions(name: str) -> list[str]:
    """What stands behind each `name` of the last stage."""
    joined = LAST_STAGE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def test_it_runs_as_a_user_without_rights() -> None:
    """By number, so that Kubernetes can tell that it is not root; and last of all."""
    (user,) = instructions("USER")
    assert int(user) >= 1000
    assert f"--uid {user} " in LAST_STAGE
    after = LAST_STAGE[LAST_STAGE.index(f"USER {user}") :]
    assert "\nRUN " not in after and "sudo" not in TEXT and "\nCMD " in after


def test_what_it_writes_is_its_own() -> None:
    variables = dict(re.findall(r"(\w+)=(\S+)", " ".join(instructions("ENV"))))
    for name in ("LOG_LOCATION", "METRICS_LOCATION", "PM25_PREDICTION_LOG"):
        assert variables[name].startswith(("/home/pm25/", "/var/lib/pm25/")), name
    assert "PYTHONPATH" not in TEXT.replace("no PYTHONPATH", "")


def test_inference_alone_is_reachable_from_outside() -> None:
    assert instructions("EXPOSE") == ["8080"]
    sed = shutil.which("sed")
    if sed is None:
        pytest.skip("sed is not installed")
    (change,) = re.findall(r"RUN sed '([^']+)' config.properties", LAST_STAGE)
    source = ROOT / "config.properties"
    text = subprocess.run([sed, change, str(source)], capture_output=True, text=True, check=True)
    changed = dict(
        line.split("=", 1) for line in text.stdout.splitlines() if line and not line.startswith("#")
    )
    before = settings(source)
    assert {key for key in changed if changed[key] != before[key]} == {"inference_address"}
    assert changed["inference_address"] == "http://0.0.0.0:8080"
    for key in ("management_address", "metrics_address"):
        assert "//127.0.0.1:" in changed[key]
    for key in ("grpc_inference_address", "grpc_management_address"):
        assert changed[key] == "127.0.0.1"


def test_none_of_our_code_lies_beside_the_archive() -> None:
    copied = [line.split()[-2] for line in instructions("COPY") if "--from" not in line]
    assert copied == ["config.properties", "infra/torchserve", "model_store"]
