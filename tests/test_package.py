"""The package as a whole: what it exports, what it loads, which way its imports run, how it installs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "headway"
HEAVY = ("pandas", "numpy", "PIL", "tornado", "ipywidgets", "jupyter_server", "redis")

# Each layer may import from those before it, never from one after it.
LAYERS = (
    {"errors", "diagnostics", "cancellation"},
    {"timestamps", "settings"},
    {"estimates", "logs"},
    {"models"},
    {"checks", "stages", "records", "samples"},
    {"transitions", "analysis"},
    {"eta", "batch"},
    {"store"},
    {"reader", "learner"},
    {"tracker"},
    {"worker", "server"},
    {"widget"},
    {"notebook"},
    {"api"},
    {"adapters", "demo", "doctor"},
    {"cli"},
    {""},  # headway itself
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The one look back: the command says which version it is of.
ALLOWED = {("cli", "")}


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name if node.module == "headway" and part(name) in LEVEL else node.module for name in names
            )


def test_imports_run_one_way() -> None:
    steps_back = []
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for imported in imports_of(path):
            if imported.split(".")[0] == "headway":
                here, there = part(module), part(imported)
                if LEVEL[there] > LEVEL[here] and (here, there) not in ALLOWED:
                    steps_back.append(f"{module} imports {imported}")
    # `headway/__init__` is the top, and what the server extension's entry needs it loads when it is asked.
    assert steps_back == []


def test_server_and_worker_know_nothing_of_each_other() -> None:
    for here, there in (("server", "worker"), ("worker", "server")):
        for path in (SOURCE / here).rglob("*.py"):
            assert not [name for name in imports_of(path) if name.startswith(f"headway.{there}")], path


def test_every_public_name_is_there_and_documented() -> None:
    assert len(headway.__all__) == len(set(headway.__all__))
    assert set(headway.__all__) == {name for names in headway._MODULES.values() for name in names}
    for name in headway.__all__:
        value = getattr(headway, name)
        assert name in dir(headway)
        if callable(value):
            assert value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = headway.nothing


def test_importing_headway_loads_nothing_heavy() -> None:
    code = f"import headway, sys; headway.task; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("room", ["worker", "server"])
def test_numpy_is_not_loaded_before_there_is_something_to_estimate(room: str) -> None:
    code = f"import headway.{room}.forecasts, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_predictor_is_public_where_it_is_documented() -> None:
    from headway import eta
    from headway.eta.predictor import ETAPredictor

    assert eta.ETAPredictor is headway.ETAPredictor is ETAPredictor
    with pytest.raises(AttributeError, match="no attribute 'Predictor'"):
        _ = eta.Predictor


def test_all_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    package = json.loads((ROOT / "js" / "package.json").read_text())["version"]
    lock = json.loads((ROOT / "js" / "package-lock.json").read_text())["version"]
    assert {project, package, lock} == {headway.__version__}
    assert f"## {project}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.timeout(300)
def test_a_wheel_in_an_empty_environment_is_listed_as_ok(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("headway-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part_ in ("headway/static/widget.js", "headway/static/widget.css", "headway/py.typed", "write.lua"):
        assert any(name.endswith(part_) for name in names), part_
    assert any(name.endswith("server/openapi.yaml") for name in names)
    assert any(name.endswith("share/jupyter/labextensions/headway/package.json") for name in names)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    listed = subprocess.run(
        [python, "-m", "jupyter", "server", "extension", "list"], capture_output=True, text=True, check=True
    )
    assert "headway enabled" in plain(listed.stdout + listed.stderr)
    assert f"headway {headway.__version__} OK" in plain(listed.stdout + listed.stderr)


def plain(text: str) -> str:
    for code in ("\x1b[32m", "\x1b[31m", "\x1b[0m", "\x1b[33m"):
        text = text.replace(code, "")
    return text
