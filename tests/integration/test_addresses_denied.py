"""Nobody gets inside: what the service may contact is decided on resolved addresses, on every hop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from app.fetching.session import Transport
from tests.support.batch import records, run_batch
from tests.support.fetch_service import fetch, fetch_service
from tests.support.origin import Origin, running_origin
from tests.support.processes import ROOT


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """On every address of this machine."""
    with running_origin("0.0.0.0") as running:
        yield running


def fetched(service_folder: Path, urls: list[str], **settings: str) -> list[dict[str, Any]]:
    with fetch_service(service_folder, **settings) as service, service.connection() as connection:
        return sorted(fetch(connection, {"requests": urls}), key=lambda record: record["index"])


def kinds(service_folder: Path, urls: list[str], **settings: str) -> list[str]:
    found = fetched(service_folder, urls, **settings)
    return [record["error"]["kind"] if record["error"] else "ok" for record in found]


def test_by_default_nothing_inside_is_contacted(origin: Origin, tmp_path: Path) -> None:
    before = origin.counts().total
    hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "0.0.0.0", "127.0.0.2"]
    hosts += ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]"]
    hosts += ["169.254.169.254", "10.0.0.1", "192.168.0.1", "224.0.0.1", "255.255.255.255", "１２７.0.0.1"]
    urls = [f"http://{host}:{origin.port}/ok" for host in hosts]
    found = kinds(tmp_path, urls, ALLOW_PRIVATE="", ALLOW_PORTS="all")
    # A few of them are no host at all, depending on what the system's resolver makes of old notations.
    assert set(found) <= {"address_denied", "name_not_resolved", "invalid_request"}, dict(zip(urls, found, strict=True))
    assert found[0] == found[5] == found[8] == found[14] == "address_denied"
    assert origin.counts().total == before


def test_other_ports_than_the_webs_are_denied(origin: Origin, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{origin.port}/ok"
    assert kinds(tmp_path, [url], ALLOW_PRIVATE="all", ALLOW_PORTS="80,443") == ["address_denied"]
    assert kinds(tmp_path, [url], ALLOW_PRIVATE="all", ALLOW_PORTS=f"80,{origin.port}") == ["ok"]


def test_each_hop_is_decided_anew(origin: Origin, tmp_path: Path) -> None:
    inside = f"http://127.0.0.2:{origin.port}/ok"
    hop = f"http://127.0.0.1:{origin.port}/redirect-to?url={inside}"
    before = origin.counts().requests.get("/ok", 0)
    assert kinds(tmp_path, [hop, inside], ALLOW_PRIVATE="127.0.0.1") == ["address_denied", "address_denied"]
    assert origin.counts().requests.get("/ok", 0) == before


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_what_is_denied_is_no_attempt(origin: Origin, tmp_path: Path, transport: str) -> None:
    base, inside = f"http://127.0.0.1:{origin.port}", f"http://127.0.0.2:{origin.port}/ok"
    urls = [inside, "http://127.0.0.1:1/", f"{base}/redirect-to?url={inside}", f"{base}/ok"]
    settings = {"ALLOW_PRIVATE": "127.0.0.1", "ALLOW_PORTS": str(origin.port), "TRANSPORT": transport}
    found = fetched(tmp_path, urls, **settings)
    assert [record["error"] and record["error"]["kind"] for record in found] == ["address_denied"] * 3 + [None]
    assert [record["attempts"] for record in found] == [0, 0, 1, 1], "the first hop of the third was sent"


def test_a_batch_can_be_held_to_it_too(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"http://127.0.0.1:{origin.port}/ok\nhttp://localhost:{origin.port}/ok\n")
    before = origin.counts().total
    run_batch(tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--deny-private")
    assert [record["error"]["kind"] for record in records(tmp_path / "out.jsonl")] == ["address_denied"] * 2
    assert origin.counts().total == before


@pytest.mark.parametrize("transport", get_args(Transport))
@pytest.mark.parametrize("level", ["warning", "debug"])
def test_a_batch_has_them_in_its_records_and_its_display_to_itself(
    origin: Origin, tmp_path: Path, transport: str, level: str
) -> None:
    (tmp_path / "urls.txt").write_text("".join(f"http://localhost:{origin.port}/ok?{n}\n" for n in range(4)))
    _, stderr = run_batch(
        *(tmp_path / "urls.txt", "-o", tmp_path / "out.jsonl", "--deny-private", "--progress", "json"),
        PERCORE_LOG_LEVEL=level,
        PERCORE_TRANSPORT=transport,
    )
    told = [json.loads(line) for line in stderr.splitlines()]
    denials = [one for one in told if "localhost: 127.0.0.1 may not be contacted" in one.get("message", "")]
    assert len(denials) == (4 if level == "debug" else 0)
    assert told[-1]["message"].startswith("written to ")
    assert told[-2]["summary"]["kinds"] == {"address_denied": 4}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PERCORE_ALLOW_PRIVATE", "somewhere", "PERCORE_ALLOW_PRIVATE: "),
        ("PERCORE_ALLOW_PORTS", "http", "PERCORE_ALLOW_PORTS: 'http' is no list of ports"),
    ],
)
def test_a_setting_that_cannot_be_read_is_said_at_once(name: str, value: str, message: str) -> None:
    command = [sys.executable, "-P", "-m", "workers.serve", "--bind", "127.0.0.1:0"]
    done = subprocess.run(command, env={name: value}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# Every look-up of the name answers otherwise than the one before: first the address that is allowed, then one inside.
REBINDING = """
from gevent import monkey
monkey.patch_all()
import sys
from functools import partial
from app.errors import FetchError
from app.fetching import Session, curl_dialing, dialing
from app.hub import per_hub
from app.policy.addresses import AddressPolicy, parse_allowed

answers = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]])
names = partial(dialing.Names, look_up=lambda name: next(answers), ttl_s=1e-9)
dialing.Names = curl_dialing.Names = names
policy = AddressPolicy.public_only(allow=parse_allowed("127.0.0.2"), ports=None)
session = Session(policy=policy, transport=sys.argv[2])
for number in range(4):
    try:
        page = session.fetch(f"http://rebinding.example:{sys.argv[1]}/ok?{number}")
        print(page.status_code)
    except FetchError as error:
        print(error.kind)
    per_hub.close_this_hub()
    for adapter in session.adapters.values():
        getattr(adapter, "poolmanager", {}).clear()  # the next one dials
print(next(answers, "all answers used, one for each connection"))
"""


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_an_answer_that_changes_leads_nowhere_else(transport: str) -> None:
    with running_origin("127.0.0.2") as allowed:
        command = [sys.executable, "-P", "-c", REBINDING, str(allowed.port), transport]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "200",
        "address_denied",
        "address_denied",
        "200",
        "all answers used, one for each connection",
    ], done.stderr
