"""Whether an address can be had, tried on real sockets; and bin/serve's word on it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from app.errors import SettingsError
from tests.support.ports import reserved_port
from tests.support.processes import running_process
from workers.listen import AddressTaken, check_free


def test_a_free_port_is_free_and_stays_so() -> None:
    with reserved_port() as port:
        check_free(("127.0.0.1", port))
        check_free(("127.0.0.1", port))


def test_a_port_in_use_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(AddressTaken, match="another program"):
        check_free(other.getsockname())


def test_a_free_path_is_free_and_left_alone(tmp_path: Path) -> None:
    check_free(str(tmp_path / "s"))
    assert list(tmp_path.iterdir()) == []


def test_a_socket_file_that_nobody_listens_on_is_no_obstacle(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(path)
    check_free(path)


def test_a_socket_that_someone_listens_on_is_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(AddressTaken, match="another program"):
            check_free(path)


@pytest.mark.parametrize(("name", "why"), [("gone/s", "there is no folder"), ("file", "no socket"), ("s" * 120, "107")])
def test_a_path_that_cannot_work_says_why(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=why):
        check_free(str(tmp_path / name))


def test_serve_says_in_one_line_that_the_port_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-P", "-m", "workers.serve", "--bind", f"127.0.0.1:{port}"]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with running_process(command, env=environ) as serve:
            assert serve.wait() == 1
            [line] = serve.stderr.splitlines()
            assert line.startswith(f"percore: cannot listen on 127.0.0.1:{port}: another program listens there")
