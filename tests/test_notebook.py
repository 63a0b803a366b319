"""Tasks in the cells of a notebook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from headway.notebook import in_notebook

Start = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.usefixtures("redis")

KERNEL = """
import asyncio, json, sys
from ipykernel.inprocess import InProcessKernelManager

manager = InProcessKernelManager()
manager.start_kernel()
shell = manager.kernel.shell
shown = []
shell.display_pub.publish = lambda data, *args, update=False, **kwargs: update or shown.append(sorted(data))
for cell in json.loads(sys.argv[1]):
    shown.append("cell")
    result = shell.run_cell(cell, store_history=True)
    result.raise_error()
print(json.dumps(shown))
"""


def test_a_block_shows_itself_once_a_cell_and_a_last_line_shows_it_again(start_python: Start) -> None:
    cells = [
        "import headway\nwith headway.task('t', task_id='view-1') as task:\n    task.update(0.5)\ntask",
        "task",
        "headway.show('view-1', task)",
        "with headway.task('t', show=False) as quiet:\n    quiet.update(0.5)",
    ]
    process = start_python(KERNEL, json.dumps(cells))
    out, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    view = ["application/vnd.jupyter.widget-view+json", "text/plain"]
    assert json.loads(out.splitlines()[-1]) == ["cell", view, "cell", view, "cell", view, "cell"]


def test_a_view_that_cannot_be_made_does_not_stop_the_job(start_python: Start) -> None:
    cells = [
        "import sys; sys.modules['anywidget'] = None",
        "import headway\nwith headway.task('t', task_id='blind-1') as task:\n    task.update(0.5)",
    ]
    process = start_python(KERNEL, json.dumps(cells))
    out, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    assert json.loads(out.splitlines()[-1]) == ["cell", "cell"]
    assert "the task cannot be shown here, but goes on" in errors + out


def test_outside_a_notebook_there_is_no_view() -> None:
    assert not in_notebook()
