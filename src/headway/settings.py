"""What is configured through the environment, read when it is needed.

====================== ======================================================================
HEADWAY_REDIS_URL      A Redis or Valkey of one's own (``redis://``, ``rediss://``, ``unix://``,
                       ``redis+cluster://``, ``redis+sentinel://``).
HEADWAY_DATA_DIR       Where the embedded server keeps its data; Jupyter's data directory by default.
HEADWAY_APPENDFSYNC    When the embedded server writes through to the disk: ``always`` (the default: what is
                       stored survives a crash and a power failure), ``no`` (a power failure may take the last
                       half minute) or ``everysec`` (it may take the last two seconds, and so may a crash of
                       the server itself while the disk is busy).
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
SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+cluster://",
    "rediss+cluster://",
    "redis+sentinel://",
    "rediss+sentinel://",
)


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
        When the embedded server writes through to the disk: ``"always"``, ``"everysec"`` or ``"no"``.
    """

    redis_url: str | None = None
    data_dir: Path | None = None
    ttl_s: int = DEFAULT_TTL_S
    has_server: bool = False
    append_fsync: str = "always"

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
            redis_url=_redis_url("HEADWAY_REDIS_URL"),
            data_dir=Path(data_dir) if data_dir else None,
            ttl_s=_seconds("HEADWAY_TTL_S", DEFAULT_TTL_S),
            has_server=os.environ.get("HEADWAY_SERVER") == "1",
            append_fsync=_one_of("HEADWAY_APPENDFSYNC", ("always", "everysec", "no")),
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


def _redis_url(name: str) -> str | None:
    """Return the address of a server; the rest of it is looked at when it is used."""
    url = os.environ.get(name) or None
    if url is not None and not url.startswith(SCHEMES):
        # Not the address itself, which may hold a password.
        raise UsageError(f"expected {name} to begin with one of {', '.join(SCHEMES)}, and it does not")
    return url


def _one_of(name: str, known: tuple[str, ...]) -> str:
    """Return what a variable says, the first of the known values by default."""
    text = os.environ.get(name) or known[0]
    if text not in known:
        raise UsageError(f"expected {name} to be one of {', '.join(known)}, got {text!r}")
    return text
