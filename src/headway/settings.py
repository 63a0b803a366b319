"""What is configured through the environment, read when it is needed.

====================== ======================================================================
HEADWAY_REDIS_URL      A Redis or Valkey of one's own (``redis://``, ``rediss://``, ``unix://``,
                       ``redis+cluster://``, ``redis+sentinel://``).
HEADWAY_DATA_DIR       Where the embedded server keeps its data; Jupyter's data directory by default.
HEADWAY_APPENDFSYNC    When the embedded server writes through to the disk: ``everysec`` (the default),
                       ``always`` or ``no``. In all three an acknowledged `Task.flush` survives the death of
                       every process; with ``everysec`` a power failure may take the last second or two,
                       with ``no`` the last half minute, and ``always`` costs a disk write each 100 ms.
HEADWAY_TTL_S          Seconds that a task stays stored after its last write; 24 hours by default.
HEADWAY_SERVER         Set by the server extension for the kernels that it starts.
====================== ======================================================================
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec

from headway.errors import UsageError

DEFAULT_TTL_S = 86_400


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one process.

    Parameters
    ----------
    redis_url
        The server of one's own; ``None`` for the embedded one.
    data_dir
        The folder of the embedded server; ``None`` for the one in Jupyter's data directory.
    ttl_s
        Seconds that a task stays stored after its last write, at least 1.
    has_server
        Whether a Jupyter server with the Headway extension started this process.
    append_fsync
        When the embedded server writes through to the disk: ``"everysec"``, ``"always"`` or ``"no"``.
    """

    redis_url: str | None = None
    data_dir: Path | None = None
    ttl_s: int = DEFAULT_TTL_S
    has_server: bool = False
    append_fsync: str = "everysec"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings from the environment.

        Raises
        ------
        UsageError
            When a variable cannot be understood.
        """
        data_dir = os.environ.get("HEADWAY_DATA_DIR")
        return cls(
            redis_url=os.environ.get("HEADWAY_REDIS_URL") or None,
            data_dir=Path(data_dir) if data_dir else None,
            ttl_s=_seconds("HEADWAY_TTL_S", DEFAULT_TTL_S),
            has_server=os.environ.get("HEADWAY_SERVER") == "1",
            append_fsync=_one_of("HEADWAY_APPENDFSYNC", ("everysec", "always", "no")),
        )

    def embedded_dir(self) -> Path:
        """Return the folder of the embedded server.

        It is named after the host: on a home directory that several hosts share, each has its own, because
        two servers on one append-only file destroy it.
        """
        if self.data_dir is not None:
            return self.data_dir
        from jupyter_core.paths import jupyter_data_dir

        return Path(jupyter_data_dir()) / "headway" / socket.gethostname()


def _seconds(name: str, default: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        seconds = int(text)
    except ValueError:
        seconds = 0
    if seconds < 1:
        raise UsageError(f"expected {name} to be a whole number of seconds above 0, got {text!r}")
    return seconds


def _one_of(name: str, known: tuple[str, ...]) -> str:
    """Return what a variable says, the first of the known values by default."""
    text = os.environ.get(name) or known[0]
    if text not in known:
        raise UsageError(f"expected {name} to be one of {', '.join(known)}, got {text!r}")
    return text
