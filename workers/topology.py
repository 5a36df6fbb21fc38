"""Topology: what the kernel says about this machine's CPUs and about our share of them.

The one reader of /sys and /proc. It takes no decision (that is `workers.affinity`) and it never raises: what
is missing or unreadable falls back to the plainest machine that fits (each CPU a core of its own, on node 0,
no quota). Everything is read below a root folder, so that tests hand in recorded machines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.policy.cpu_list import parse_cpus

_CPU = Path("sys/devices/system/cpu")
_NODE = Path("sys/devices/system/node")


@dataclass(frozen=True, slots=True)
class Cpu:
    """One hardware thread: a CPU as the kernel counts them.

    number  the kernel's CPU number
    core    the lowest CPU number on the same physical core: equal for SMT siblings, unique on the machine
            (the kernel's own core_id is unique within a package or die only)
    node    the NUMA node
    """

    number: int
    core: int
    node: int


@dataclass(frozen=True, slots=True)
class Topology:
    """cpus: every CPU that is online, by number. allowed: numbers of those that we may run on, never empty.
    quota_cpus: CPU seconds a second that the cgroups grant, above 0; None is no limit."""

    cpus: tuple[Cpu, ...]
    allowed: frozenset[int]
    quota_cpus: float | None


def read_topology(root: Path = Path("/")) -> Topology:
    """Read the machine below `root`, for the calling process. Never raises. Some file reads, no waiting."""
    status = _text(root / "proc/self/status")
    found = re.search(r"^Cpus_allowed_list:\s*(\S*)", status, re.MULTILINE)
    mask = parse_cpus(found.group(1)) if found else frozenset()
    online = parse_cpus(_text(root / _CPU / "online")) or mask or frozenset({0})
    # The mask of a process that nobody confined names every CPU the board could ever hold.
    allowed = (mask & online) or online
    nodes = _nodes(root)
    cores = _cores(root, online)
    cpus = tuple(Cpu(n, cores[n], nodes.get(n, 0)) for n in sorted(online))
    return Topology(cpus, allowed, _quota_cpus(root))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # ValueError: a path from the mount table that is none
        return ""


def _cores(root: Path, online: Iterable[int]) -> dict[int, int]:
    """CPU number -> lowest CPU number on the same physical core."""
    cores: dict[int, int] = {}
    by_id: dict[tuple[str, str], int] = {}
    for number in sorted(online):
        folder = root / _CPU / f"cpu{number}" / "topology"
        # Kernels before 5.3 know the second name only.
        siblings = parse_cpus(_text(folder / "core_cpus_list")) or parse_cpus(_text(folder / "thread_siblings_list"))
        if number in siblings:
            cores[number] = min(siblings)
            continue
        package, core = _text(folder / "physical_package_id").strip(), _text(folder / "core_id").strip()
        # Some hypervisors and boards give no ids, or -1 for each: that names no core.
        cores[number] = by_id.setdefault((package, core), number) if core.isdecimal() else number
    return cores


def _nodes(root: Path) -> dict[int, int]:
    """CPU number -> NUMA node."""
    nodes: dict[int, int] = {}
    for number in sorted(parse_cpus(_text(root / _NODE / "online"))):
        nodes.update(dict.fromkeys(parse_cpus(_text(root / _NODE / f"node{number}" / "cpulist")), number))
    return nodes


@dataclass(frozen=True, slots=True)
class _Mount:
    """One cgroup file system in our mount table. kind: "cgroup2" or "cgroup". top: the cgroup seen at `point`."""

    kind: str
    top: str
    point: str


def _quota_cpus(root: Path) -> float | None:
    """The tightest limit over our cgroup and all above it that we can see, in both versions' hierarchies
    (a machine may mount both, with the cpu controller in either)."""
    mounts = list(_mounts(root))
    limits = []
    for kind, path in _memberships(root):
        for folder in _visible_folders([m for m in mounts if m.kind == kind], path):
            limit = _limit(root / folder.lstrip("/"), kind)
            if limit is not None:
                limits.append(limit)
    return min(limits, default=None)


def _memberships(root: Path) -> Iterator[tuple[str, str]]:
    """Our cgroup in each hierarchy that may hold a CPU limit: ("cgroup2" | "cgroup", path)."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) < 6 or not tail:
            continue
        options = tail[2] if len(tail) > 2 else ""
        if tail[0] == "cgroup2" or (tail[0] == "cgroup" and "cpu" in options.split(",")):
            yield _Mount(tail[0], _plain(fields[3]), _plain(fields[4]))


def _plain(name: str) -> str:
    """The mount table writes blanks and backslashes as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), name)


def _visible_folders(mounts: list[_Mount], path: str) -> Iterator[str]:
    """The folders of cgroup `path` and of all above it, up to the mount points."""
    above = [(mount.point, below) for mount in mounts if (below := _below(mount.top, path)) is not None]
    if not above:
        # In a cgroup namespace, or with a bind mount, our path may not be below what is mounted. What is
        # mounted is then our own cgroup or one above it, under a name that we can't know.
        above = [(mount.point, "") for mount in mounts]
    for point, below in above:
        folder = os.path.join(point, below) if below else point
        while len(folder) > len(point):
            yield folder
            folder = os.path.dirname(folder)
        yield point


def _below(top: str, path: str) -> str | None:
    """`path` relative to `top`, "" when equal, None when it is not below."""
    if ".." in path.split("/") or ".." in top.split("/"):
        return None
    if path == top:
        return ""
    prefix = top.rstrip("/") + "/"
    return path.removeprefix(prefix) if path.startswith(prefix) else None


def _limit(folder: Path, kind: str) -> float | None:
    """One cgroup's own limit in CPUs; None is no limit."""
    if kind == "cgroup2":
        words = _text(folder / "cpu.max").split()
        quota, period = [*words, "100000"][:2] if words else ("max", "0")
    else:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    # "max" and -1, which mean no limit, are no such numbers either.
    if all(re.fullmatch(r"0*[1-9]\d{0,14}", text) for text in (quota, period)):
        return int(quota) / int(period)
    return None
