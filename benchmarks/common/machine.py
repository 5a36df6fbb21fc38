"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks import site


def machine(client_cpu: int, origin_cpu: int) -> dict[str, str]:
    """In words, by name."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = f"client on CPU {client_cpu}, origin on CPU {origin_cpu}"
    if client_cpu == origin_cpu:
        cores = f"client AND origin on CPU {client_cpu}, the only one there is"
    return {
        "CPU": f"{found[1] if found else platform.machine()}, {os.cpu_count()} of them; {cores}",
        "system": f"Linux {platform.release()}, {platform.machine()}, load {os.getloadavg()[0]:.2f} before",
    }


def versions() -> dict[str, str]:
    """Of what is no client; each client says its own."""
    known = {"Python": platform.python_version()}
    if (program := site.nginx()) is not None:
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
        known["nginx"] = said.strip().rpartition("/")[2]
    return known
