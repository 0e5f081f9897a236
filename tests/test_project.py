"""What the project promises about itself: its lock, commands, code, words and licences."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.serving import TRAINING_LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "handlers", "training", "monitoring", "lifecycle", "commands")
BUNDLED = ("features", "handlers")  # what an archive carries, and a stranger may load
TARGETS = {
    *("help", "setup", "serve", "stop", "predict", "train", "evaluate", "package", "register"),
    *("forget", "train-deep", "metamorphic", "learning-curve", "ablation", "validate"),
    *("compare-uncertainty", "bench-store", "bench-log", "quality", "fuzz", "soak"),
    *("test", "test-long", "lint", "check", "bench", "lock"),
}
LARGEST_FILE = 8 * 2**20  # [bytes]


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def tracked() -> list[Path]:
    """The files in git, as they lie in the folder."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip(f"this is no git checkout that we may read: {listed.stderr.strip()}")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


# ---- the lock


def lock_lines() -> list[str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_lock_holds_plain_exact_versions() -> None:
    """No hash, index address, local label (+cpu), marker or path: each line is name==version."""
    for line in lock_lines():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line), line


def test_the_lock_has_no_gpu_and_no_desktop_builds() -> None:
    names = {line.partition("==")[0] for line in lock_lines()}
    assert not {name for name in names if re.match(r"nvidia|cuda|triton", name)}
    assert "opencv-python" not in names


def test_the_lock_is_what_the_extras_need_and_what_is_tested_here() -> None:
    closure = runpy.run_path(str(ROOT / ".ci" / "lock.py"))["closure"]()
    assert lock_lines() == [f"{name}=={closure[name]}" for name in sorted(closure)]


# ---- the commands


def test_help_lists_every_target_and_no_other() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    printed = subprocess.run(
        [make, "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {line.split()[1] for line in printed.stdout.splitlines()}
    defined = re.findall(
        r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert listed == TARGETS
    assert sorted(defined) == sorted(TARGETS)


def test_ci_calls_nothing_but_make_targets() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for workflow in workflows:
        jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
        commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            verb, *targets = command.split()
            assert verb == "make"
            assert targets and set(targets) <= TARGETS


def test_serving_and_predicting_need_no_training_library() -> None:
    """`make serve` installs the serving set alone, so its imports must not ask for more."""
    code = (
        "import sys, commands.main, lifecycle.torchserve, training.archive; "
        f"print({set(TRAINING_LIBRARIES)} & set(sys.modules) or 'none')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "none"


# ---- the code


def test_only_one_file_knows_torchserve() -> None:
    who = [path.relative_to(ROOT) for path in sources(*PACKAGES) if "ts" in imported(path)]
    assert len(who) <= 1, who


@pytest.mark.parametrize("path", sources(*BUNDLED), ids=lambda path: path.name)
def test_nothing_bundled_can_execute_what_it_loads(path: Path) -> None:
    risky = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "importlib"}
    assert not risky & set(imported(path))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"eval", "exec", "compile", "__import__", "torch.load"}
            assert not any(keyword.arg == "allow_pickle" for keyword in node.keywords)


@pytest.mark.parametrize(
    "path",
    [path for path in sources(*PACKAGES, "benchmarks") if path.name != "__init__.py"],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_everything_public_is_documented(path: Path) -> None:
    """By its own docstring; a class may instead stand in its module's, as errors do in a tree."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    about = ast.get_docstring(module)
    assert about, "the module has no docstring"
    public = (
        node
        for node in module.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    )
    silent = [
        node.name
        for node in public
        if not ast.get_docstring(node)
        and not (isinstance(node, ast.ClassDef) and re.search(rf"\b{node.name}\b", about))
    ]
    assert not silent, f"no docstring: {', '.join(silent)}"


# ---- the words


def test_the_readme_starts_with_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert any(line.startswith("make serve") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)


def test_links_between_documents_lead_somewhere() -> None:
    documents = [path for path in tracked() if path.suffix == ".md"]
    assert documents
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_commands_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= TARGETS


def test_the_archive_passes_on_the_conditions_of_its_sources() -> None:
    licence = (ROOT / "model_store" / "LICENSE.md").read_text(encoding="utf-8")
    for source in ("aqpictures", "MeteoGiuliacci", "CC BY 4.0", "ARPA Lombardia", "ERA5"):
        assert source in licence
    for source in ("Rouniyar", "10.34740/KAGGLE/DS/3152196", "CC BY-NC-SA 3.0 IGO"):
        assert source in licence
    assert "Non-commercial use only" in licence


# ---- what git holds


def test_no_file_in_git_is_large() -> None:
    large = [path.name for path in tracked() if path.stat().st_size > LARGEST_FILE]
    assert not large


def test_git_holds_one_archive_and_it_is_in_production() -> None:
    archives = [path.name for path in tracked() if path.suffix == ".mar"]
    if not archives:
        pytest.skip("no archive has been released yet")
    assert archives == [(ROOT / "model_store" / "production").read_text(encoding="utf-8").strip()]
