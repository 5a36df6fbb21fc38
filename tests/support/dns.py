"""A name server that answers as it is told, and a network of its own for the programs that ask it.

`in_own_network(folder, zone, command)` is a command that runs `command` where there is nothing but a loopback
interface, name servers are ours alone, and the hosts file is the one that the test wrote. Nothing there can reach
another machine, and nothing here sees that network's ports or addresses. A process outside can talk with the program
by its standard streams, and by files in `folder`.

A zone is for each name a list of steps. The first question for its addresses gets the first step's answer, the next
one the second's, and so on; the last step stays. Questions for IPv4 (A) and IPv6 (AAAA) are counted apart, since the
system sends both. A step is a list of addresses, of both kinds if need be, or one of the words below. A name that is
not in the zone gets NXDOMAIN, after which the system asks for it with its search domain, `search.example`.

    NXDOMAIN  there is no such name         SERVFAIL  this server can't say
    SILENT    no answer at all              REFUSED   this server doesn't want to
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.needs import require, require_program

NXDOMAIN, SERVFAIL, REFUSED, SILENT = "NXDOMAIN", "SERVFAIL", "REFUSED", "SILENT"
Step = str | list[str]
Zone = Mapping[str, list[Step]]

_SERVER = ("127.0.0.1", 53)
_CODES = {NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5}  # RFC 1035 section 4.1.1
_TYPES = {1: 4, 28: 6}  # question type -> IP version: A (RFC 1035), AAAA (RFC 3596)

# One question, one answer: no repetition that would move a zone on by a step. A silent server is silent for 30 s.
# The search domain is said so that it does not depend on the machine's name.
_RESOLV_CONF = "nameserver 127.0.0.1\nsearch search.example\noptions timeout:30 attempts:1\n"

# linux/if.h, linux/sockios.h, linux/mount.h
_SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP, _IFF_RUNNING = 0x8914, 0x8916, 0x1, 0x40
_MS_BIND = 4096


def in_own_network(
    folder: Path, zone: Zone, command: Sequence[str | Path], *, hosts: str = "", addresses: Sequence[str] = ()
) -> list[str]:
    """The command that runs `command` in a network of its own, with a name server for `zone`; exits as it does.

    folder     for its files: `questions.log` has a line for every question (name and kind), in order
    hosts      lines for the hosts file, besides localhost
    addresses  IPv4 ones that the loopback interface has too, public ones among them, besides 127.0.0.0/8

    Skips the test where the kernel doesn't let us.
    """
    unshare = require_program("unshare", how="apt install util-linux")
    flags = ["--user", "--map-root-user", "--mount", "--net"]
    probe = subprocess.run([unshare, *flags, "true"], capture_output=True, text=True, timeout=30, check=False)
    require(probe.returncode == 0, "network namespaces", how="run as root, or allow user namespaces")
    (folder / "resolv.conf").write_text(_RESOLV_CONF)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{hosts}")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    (folder / "zone.json").write_text(json.dumps({"zone": dict(zone), "addresses": list(addresses)}))
    (folder / "questions.log").touch()
    inside = [sys.executable, "-m", "tests.support.dns", str(folder)]
    return [unshare, *flags, *inside, *map(str, command)]


def questions(folder: Path) -> list[str]:
    """What was asked so far, as "name A" or "name AAAA", in order."""
    return (folder / "questions.log").read_text().splitlines()


class NameServer:
    """Answers questions that come to a UDP socket, by a zone; notes each in a file before it answers."""

    def __init__(self, listener: socket.socket, zone: Zone, log: Path) -> None:
        self._listener = listener
        self._zone = zone
        self._log = log
        self._asked: Counter[tuple[str, int]] = Counter()

    def serve_forever(self) -> None:
        while True:
            question, client = self._listener.recvfrom(4096)
            answer = self.answer(question)
            if answer is not None:
                self._listener.sendto(answer, client)

    def answer(self, question: bytes) -> bytes | None:
        """The answer to one message, None for silence."""
        name, end = _name_at(question, 12)
        (kind,) = struct.unpack_from("!H", question, end)
        with self._log.open("a") as log:
            log.write(f"{name} {'AAAA' if kind == 28 else 'A' if kind == 1 else kind}\n")
        steps = self._zone.get(name.lower(), [NXDOMAIN])
        step = steps[min(self._asked[name, kind], len(steps) - 1)]
        self._asked[name, kind] += 1
        if step == SILENT:
            return None
        found = [] if isinstance(step, str) else [ipaddress.ip_address(text) for text in step]
        records = [
            # A pointer to the question's name, type, class IN, time to live, length, address.
            struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
            for address in found
            if address.version == _TYPES.get(kind)
        ]
        # A response, recursion desired and available.
        flags = 0x8180 | (_CODES[step] if isinstance(step, str) else 0)
        header = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return header + question[12 : end + 4] + b"".join(records)


def _name_at(message: bytes, start: int) -> tuple[str, int]:
    """The uncompressed name there, and where it ends."""
    labels = []
    while size := message[start]:
        labels.append(message[start + 1 : start + 1 + size].decode("ascii"))
        start += 1 + size
    return ".".join(labels), start + 1


def _set_up(folder: Path, addresses: Sequence[str]) -> None:
    """Inside: the loopback interface and the files of the resolver. Seen by this process and those that it starts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for number, address in enumerate(["", *addresses]):
            name = f"lo:{number}".encode() if address else b"lo"
            if address:
                fields = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, _SIOCSIFADDR, struct.pack("=16s16s", name, fields))
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("=16sH14x", name, _IFF_UP | _IFF_RUNNING))
    library = ctypes.CDLL(None, use_errno=True)
    for file in ("resolv.conf", "hosts", "nsswitch.conf"):
        target = Path("/etc", file)
        if library.mount(os.fsencode(folder / file), os.fsencode(target), None, ctypes.c_ulong(_MS_BIND), None):
            raise OSError(ctypes.get_errno(), f"cannot bind {target}")


def main(arguments: Sequence[str]) -> int:
    """Inside: FOLDER COMMAND..."""
    folder, command = Path(arguments[0]), list(arguments[1:])
    told = json.loads((folder / "zone.json").read_text())
    _set_up(folder, told["addresses"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(_SERVER)
        server = NameServer(listener, told["zone"], folder / "questions.log")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return subprocess.run([shutil.which(command[0]) or command[0], *command[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
