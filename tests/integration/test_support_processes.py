"""The test helpers for processes and ports keep their word: most of all, nothing survives its `with`."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ports import is_connectable, refused_port, reserved_port, unanswered_port
from tests.support.processes import ProcessFailed, running_process, session_pids, wait_until


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)"

# A child in a process group of its own, as batch children are, that ignores TERM and outlives its parent.
WITH_STUBBORN_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-u", "-c", {STUBBORN!r}], process_group=0, stdout=subprocess.PIPE)
child.stdout.readline()
print("child", child.pid)
"""

KEEPS_AN_ORIGIN = """
import time
from tests.support.origin import running_origin
with running_origin() as origin:
    print(origin.process.pid)
    time.sleep(600)
"""


def test_output_and_exit_code() -> None:
    with running_process(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")) as process:
        assert process.wait() == 3
        assert (process.stdout, process.stderr) == ("out\n", "err\n")
        assert process.wait() == 3, "waiting twice is fine"


def test_much_output_blocks_nobody() -> None:
    with running_process(python("print('x' * 5_000_000)")) as process:
        assert process.wait() == 0
        assert len(process.stdout) == 5_000_001


def test_lines_are_awaited() -> None:
    code = "import sys; print('port 5'); sys.stderr.write('half'); input(); print(' a line')"
    with running_process(python(code), stdin=-1) as process:
        assert process.wait_for_line("port") == "port 5"
        with pytest.raises(ProcessFailed, match="never wrote a line with 'half'"):
            process.wait_for_line("half", timeout_s=0.05)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait_for_line("line", stream="stdout") == " a line"


def test_an_early_end_is_told_with_all_output() -> None:
    with running_process(python("import sys; sys.exit('no such stage')")) as process:
        with pytest.raises(ProcessFailed, match=r"(?s)never wrote.*no such stage"):
            process.wait_for_line("ready")
        with reserved_port() as port, pytest.raises(ProcessFailed, match=r"(?s)ended with 1 before.*no such stage"):
            process.wait_connectable(("127.0.0.1", port))


def test_signals_show_in_the_exit_code() -> None:
    with running_process(python("import time; print('up'); time.sleep(600)")) as process:
        process.wait_for_line("up")
        assert process.returncode is None
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.signal(signal.SIGTERM)


def test_what_ignores_term_is_killed() -> None:
    with running_process(python(STUBBORN), term_grace_s=0.05) as process:
        process.wait_for_line("ready")
        pid = process.pid
    assert process.returncode == -signal.SIGKILL
    assert session_pids(pid) == []


def test_children_end_too_even_when_the_test_fails_and_the_parent_is_gone() -> None:
    def fail_inside() -> None:
        with running_process(python(WITH_STUBBORN_CHILD)) as process:
            started.append(process)
            child = int(process.wait_for_line("child").split()[1])
            assert process.wait() == 0
            assert process.session() == [child]
            os.kill(child, 0)
            raise RuntimeError("the test fails")

    started: list = []
    with pytest.raises(RuntimeError, match="the test fails"):
        fail_inside()
    assert session_pids(started[0].pid) == []


def test_waiting_says_what_it_waited_for() -> None:
    assert wait_until(lambda: 7, "seven") == 7
    with pytest.raises(AssertionError, match="never: the moon fell down"):
        wait_until(lambda: False, "the moon fell down", timeout_s=0.02)


def test_a_reserved_port_refuses_until_its_server_listens() -> None:
    with reserved_port() as port:
        assert not is_connectable(("127.0.0.1", port))
        with closing(socket.socket()) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            assert is_connectable(("127.0.0.1", port))


def test_a_refused_port_refuses_and_cannot_be_taken() -> None:
    with refused_port() as port:
        assert not is_connectable(("127.0.0.1", port))
        with closing(socket.socket()) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                server.bind(("127.0.0.1", port))


def test_an_unanswered_port_neither_accepts_nor_refuses() -> None:
    with unanswered_port() as port, closing(socket.socket()) as client:
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", port))


def test_unix_sockets_are_connectable_too(tmp_path: Path) -> None:
    path = Path(os.path.relpath(tmp_path / "s"))
    assert not is_connectable(path)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        assert is_connectable(path)


def test_an_origin_ends_when_its_test_run_is_killed() -> None:
    with running_process(python(KEEPS_AN_ORIGIN)) as run:
        origin_pid = int(run.wait_for_line(""))
        assert session_pids(origin_pid) == [origin_pid]
        run.signal(signal.SIGKILL)
        run.wait()
        wait_until(lambda: session_pids(origin_pid) == [], "the origin ended by itself")
