"""The command ``headway``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from headway import __version__

NOTEBOOK = Path("notebooks/quickstart.ipynb")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        The words after ``headway``; those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="headway", description="Live progress of generation tasks.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="open a notebook in JupyterLab, with the extension")
    demo.add_argument("notebook", type=Path, nargs="?", default=NOTEBOOK, help=f"default: {NOTEBOOK}")
    demo.add_argument(
        "--headless",
        action="store_true",
        help="execute the notebook without a browser and print each update that the WebSocket brings",
    )
    doctor = commands.add_parser("doctor", help="tell where things are stored, what, how long, and versions")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        from headway import doctor as examination

        return examination.run(as_json=options.json)
    return run_demo(options.notebook, headless=options.headless)


def run_demo(notebook: Path, *, headless: bool) -> int:
    """Show or execute a notebook on a JupyterLab server of its own; return the exit status."""
    from headway import demo

    if not notebook.is_file():
        print(f"headway demo: expected a notebook, and there is no {notebook}; give its path")
        return 2
    return demo.run_headless(notebook) if headless else demo.run(notebook)
