"""The command ``headway demo`` on small notebooks: a real JupyterLab server, no browser."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import nbformat
import pytest

from headway.cli import main

pytestmark = pytest.mark.timeout(120)

TASKS = """\
import time, headway
for name in ("first", "second"):
    with headway.task(name, category="image_generation") as task:
        for _ in task.track(range(12), stage="generation"):
            time.sleep(0.1)
"""


def write_notebook(folder: Path, *cells: str) -> str:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# Demo"), *map(nbformat.v4.new_code_cell, cells)]
    path = folder / "small.ipynb"
    nbformat.write(notebook, path)
    return str(path)


def test_headless_prints_each_update_also_when_the_port_is_taken(
    tmp_path: Path, redis: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8888))
            taken.listen()
        except OSError:
            pass  # somebody else has taken it
        assert main(["demo", "--headless", write_notebook(tmp_path, TASKS)]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0].startswith("server http://")
    assert ":8888/" not in out[0]
    updates = [line for line in out if re.fullmatch(r"(first|second)-\S+ +\S+ +\d+\.\d %  .*", line)]
    assert len(updates) >= 10  # of two tasks of a second each, on a machine that may be busy
    assert any("generation" in line and line.endswith("s left") for line in updates)
    assert out[-1] == f"{len(updates)} updates, 2 of 2 tasks completed"


def test_headless_fails_with_the_traceback_of_a_cell_that_fails(
    tmp_path: Path, redis: object, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--headless", write_notebook(tmp_path, "1 / 0")]) == 1
    out = capfd.readouterr().out
    assert "failed: DemoError: a cell failed" in out
    assert "ZeroDivisionError" in out


def test_a_notebook_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "nowhere.ipynb"]) == 2
    assert "there is no nowhere.ipynb" in capsys.readouterr().out
