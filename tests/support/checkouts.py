"""Small checkouts for tests of bin/: the real scripts, lock files of tiny wheels made here, and a wheel server
that can be held up. No registry takes part.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HANG_GUARD_S = 100.0
TOOLS = ("bash", "sh", "env", "readlink", "dirname")


def make_wheel(folder: Path, name: str, version: str) -> str:
    """A wheel with one module that knows its VERSION. Returns the line that pins it in a lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(zipfile.ZipInfo(file), content)
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make_python(path: Path, prelude: str = "") -> Path:
    """A program that passes for a Python: this one, after `prelude` (which may lie about version or modules).

    With a prelude it understands only `-c CODE` as its last arguments, which is how bin/ asks what it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    real = Path(sys.executable).resolve()  # the interpreter behind this environment
    if prelude:
        script = f"exec '{real}' -c '{prelude}; exec(sys.argv[-1])' \"$@\""
    else:
        script = f"exec '{real}' \"$@\""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class Checkout:
    """A folder with bin/, two lock files and a package `app`; `programs` is all that its commands find on PATH."""

    def __init__(self, root: Path, programs: Path, wheels: str) -> None:
        self.root = root
        self.programs = programs
        self.wheels = wheels  # a folder or an address that pip may take wheels from

    @classmethod
    def create(cls, root: Path, programs: Path, wheels: str, lock: str) -> Checkout:
        shutil.copytree(ROOT / "bin", root / "bin", ignore=shutil.ignore_patterns("__pycache__"))
        for package in ("app", "benchmarks"):
            (root / package).mkdir()
            (root / package / "__init__.py").write_text("")
        (root / "benchmarks" / "__main__.py").write_text("import sys; print(sys.prefix)")
        programs.mkdir(parents=True, exist_ok=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (programs / tool).symlink_to(found)
        checkout = cls(root, programs, wheels)
        checkout.write_locks(lock)
        return checkout

    def copy_to(self, root: Path) -> Checkout:
        """The same checkout elsewhere, its environment included."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root, self.programs, self.wheels)

    def write_locks(self, runtime: str, test: str = "") -> None:
        (self.root / "requirements.lock").write_text(runtime)
        (self.root / "requirements-test.lock").write_text(runtime + test)

    def environment(self, **more: str) -> dict[str, str]:
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels, "PIP_CONFIG_FILE": os.devnull}
        return {"PATH": str(self.programs), "HOME": str(self.root), "PIP_NO_CACHE_DIR": "1", **pip, **more}

    def start(self, *command: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        """Starts a command of bin/ (or a path) in a process group of its own."""
        program = command[0] if "/" in command[0] else str(self.root / "bin" / command[0])
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=cwd or self.root,
            env=self.environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        with self.start(*command, cwd=cwd, **more) as process:
            try:
                stdout, stderr = process.communicate(timeout=HANG_GUARD_S)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


class WheelServer:
    """Serves a folder of wheels to pip on loopback. `arrived` tells that pip asks; it waits for `go_on`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        self.address = ""

    @contextmanager
    def running(self) -> Iterator[WheelServer]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.arrived.set()
                owner.go_on.wait(HANG_GUARD_S)
                path = owner.folder / Path(self.path).name
                if path.is_file():
                    kind, body = "application/octet-stream", path.read_bytes()
                else:
                    names = sorted(wheel.name for wheel in owner.folder.glob("*.whl"))
                    links = "".join(f'<a href="/{name}">{name}</a>' for name in names)
                    kind, body = "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a killed pip leaves its connection behind

        server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.go_on.set()
            server.shutdown()
            thread.join()
            server.server_close()
