"""Finds Chromium, or installs it: run as a script before the browser tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
INSTALL_TIMEOUT_S = 600


def find() -> str | None:
    """Return the program of a Chromium that is installed, the system's or Playwright's."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if MAC.exists():
        return str(MAC)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Try the system's package manager, then Playwright's own download."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    playwright = [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]
    tries = [
        ("apt-get", [[*sudo, "apt-get", "update"], [*sudo, "apt-get", "install", "-y", "chromium"]]),
        ("dnf", [[*sudo, "dnf", "install", "-y", "chromium"]]),
        ("apk", [[*sudo, "apk", "add", "chromium"]]),
        (sys.executable, [playwright]),
    ]
    for program, commands in tries:
        if shutil.which(program) is None:
            continue
        for command in commands:
            print("+", " ".join(command), flush=True)
            subprocess.run(command, timeout=INSTALL_TIMEOUT_S, check=False)
        if find():
            return


def main() -> int:
    if find() is None:
        install()
    found = find()
    if found is None:
        print(
            "\n*** No Chromium: the browser tests cannot run. None is installed, and neither the system's "
            "package manager nor Playwright could install one. ***\n",
            file=sys.stderr,
        )
        return 1
    print(f"Chromium: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
