"""Recorded machines (`topologies/*.json`: path -> content, as the kernel writes it), and odd ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.cpu_list import format_cpus, parse_cpus
from workers.topology import Topology, read_topology

RECORDED = Path(__file__).parent / "topologies"


def lay_out(files: dict[str, str], root: Path) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def recorded(name: str, root: Path) -> Topology:
    return read_topology(lay_out(json.loads((RECORDED / f"{name}.json").read_text()), root))


@pytest.mark.parametrize(
    ("name", "cpus", "cores", "nodes", "allowed", "quota_cpus"),
    [
        ("one-core", 1, 1, {0}, {0}, None),
        ("two-cores-hybrid-cgroups", 2, 2, {0}, {0, 1}, None),
        ("eight-cores-sixteen-threads", 16, 8, {0}, set(range(16)), None),
        ("two-numa-nodes", 16, 8, {0, 1}, set(range(16)), None),
        ("two-packages-ids-only", 8, 4, {0}, set(range(8)), None),
        ("cpuset-3-5-7", 8, 8, {0}, {3, 5, 7}, None),
        ("boards-mask-beyond-online", 4, 4, {0}, {0, 1, 2, 3}, None),
        ("quota-1.5-in-a-parent", 4, 4, {0}, {0, 1, 2, 3}, 1.5),
        ("quota-2.5-v1-container", 4, 4, {0}, {0, 1, 2, 3}, 2.5),
        ("quota-0.5-outside-the-namespace", 4, 4, {0}, {0, 1, 2, 3}, 0.5),
        ("nothing-readable", 1, 1, {0}, {0}, None),
    ],
)
def test_reads_a_recorded_machine(
    name: str, cpus: int, cores: int, nodes: set[int], allowed: set[int], quota_cpus: float | None, tmp_path: Path
) -> None:
    topology = recorded(name, tmp_path)
    assert [cpu.number for cpu in topology.cpus] == list(range(cpus))
    assert len({cpu.core for cpu in topology.cpus}) == cores
    assert {cpu.node for cpu in topology.cpus} == nodes
    assert topology.allowed == allowed
    assert topology.quota_cpus == quota_cpus


def test_every_recording_is_read_by_a_test(tmp_path: Path) -> None:
    names = {path.stem for path in RECORDED.glob("*.json")}
    [marks] = [mark for mark in test_reads_a_recorded_machine.pytestmark if mark.name == "parametrize"]
    assert {case[0] for case in marks.args[1]} == names


def test_siblings_share_a_core_and_packages_do_not(tmp_path: Path) -> None:
    assert {cpu.number: cpu.core for cpu in recorded("two-packages-ids-only", tmp_path).cpus} == {
        0: 0, 1: 0, 2: 2, 3: 2, 4: 4, 5: 4, 6: 6, 7: 6,
    }  # fmt: skip


def quota_of(root: Path, *, path: str, top: str, limits: dict[str, str]) -> float | None:
    files = {
        "proc/self/cgroup": f"0::{path}\n",
        "proc/self/mountinfo": f"30 26 0:26 {top} /cg rw - cgroup2 none rw\n",
        **{f"cg/{folder}cpu.max": content for folder, content in limits.items()},
    }
    return read_topology(lay_out(files, root)).quota_cpus


@pytest.mark.parametrize(
    ("path", "top", "limits", "expected"),
    [
        ("/a/b", "/", {"": "400000 100000", "a/": "300000 100000", "a/b/": "200000 100000"}, 2.0),
        ("/a/b", "/", {"a/": "100000 100000", "a/b/": "200000 100000"}, 1.0),
        ("/a/b", "/a", {"": "300000 100000", "b/": "max 100000"}, 3.0),
        ("/a/b", "/a/b", {"": "120000"}, 1.2),
        ("/ab", "/a", {"b/": "100000 100000"}, None),  # a name that begins alike is not below
        ("/", "/../..", {"": "70000 100000"}, 0.7),  # mounted before our namespace was made
        ("/a", "/", {"a/": "0 100000"}, None),
        ("/a", "/", {"a/": "100000 0"}, None),
        ("/a", "/", {"a/": "many 100000"}, None),
        ("/a", "/", {"a/": ""}, None),
        ("/a", "/", {"a/": "9" * 400 + " 1"}, None),
        ("/a", r"/\000", {"": "100000 100000"}, 1.0),
        ("/gone/away", "/", {}, None),
    ],
)
def test_the_tightest_visible_limit_counts(
    path: str, top: str, limits: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    assert quota_of(tmp_path, path=path, top=top, limits=limits) == expected


READ = [
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu0/topology/core_cpus_list",
    "sys/devices/system/cpu/cpu0/topology/core_id",
    "sys/devices/system/node/online",
    "sys/devices/system/node/node0/cpulist",
    "proc/self/status",
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "sys/fs/cgroup/cpu.max",
]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("content", ["", "\n", "max", "-1", "a:b - c", "0-", ":::\n - \n", "\x00\xff", "9" * 30])
def test_an_odd_file_never_raises(name: str, content: str, tmp_path: Path) -> None:
    files = json.loads((RECORDED / "one-core.json").read_text())
    topology = read_topology(lay_out({**files, name: content}, tmp_path))
    assert topology.allowed
    assert topology.allowed <= {cpu.number for cpu in topology.cpus}


def test_folders_where_files_should_be_never_raise(tmp_path: Path) -> None:
    for name in READ:
        (tmp_path / name).mkdir(parents=True)
    assert read_topology(tmp_path) == recorded("nothing-readable", tmp_path / "empty")


def test_reads_the_machine_it_runs_on() -> None:
    topology = read_topology()
    assert topology.allowed
    assert topology.quota_cpus is None or topology.quota_cpus > 0


@given(st.frozensets(st.integers(0, 999_999), max_size=50))
def test_the_list_form_reads_back(numbers: frozenset[int]) -> None:
    assert parse_cpus(format_cpus(numbers)) == numbers


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([7], "7"), ([3, 1, 2, 9, 8], "1-3,8-9"), ([5, 3, 7], "3,5,7")]
)
def test_the_list_form_is_the_kernels(numbers: list[int], text: str) -> None:
    assert format_cpus(numbers) == text


@pytest.mark.parametrize("text", ["x", "1-", "-1", "1;2", "1-2-3", "0x1", "²"])
def test_what_is_no_list_is_empty(text: str) -> None:
    assert parse_cpus(text) == frozenset()
