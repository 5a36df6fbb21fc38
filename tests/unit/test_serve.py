"""What bin/serve decides before it starts anything. (Real sockets: tests/integration/test_listen.py.)"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.settings import Settings
from workers.listen import Address, format_bind, parse_bind, refuse_beyond_loopback
from workers.serve import check_platform, find_conf, main


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also undoes what main() exports."""
    for name in (*os.environ, "PERCORE_BIND", "PERCORE_WORKERS"):
        if name.startswith("PERCORE_"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("[::1]:8000", ("::1", 8000)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("unix:/run/percore/percore.sock", "/run/percore/percore.sock"),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_bind(text) == address
    assert parse_bind(format_bind(address)) == address


def test_a_relative_socket_path_is_made_absolute() -> None:
    assert parse_bind("unix:here.sock") == os.path.abspath("here.sock")


@pytest.mark.parametrize(
    "text",
    [
        "", ":", ":8000", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x",
        "127.0.0.1:８０", "127.1:80", "2130706433:80", "0x7f.1:80", "example.org:80", "::1:8000", "[127.0.0.1]:80",
        "[::1]", "unix:", "unix:a\0b", "fd://3", "http://127.0.0.1:80",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="PERCORE_BIND="):
        parse_bind(text)


@given(st.text())
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    try:
        address = parse_bind(text)
    except SettingsError:
        return
    assert parse_bind(format_bind(address)) == address


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("127.8.9.1", 80), ("::1", 80), "/run/percore.sock"])
def test_within_the_machine_is_allowed(address: Address) -> None:
    refuse_beyond_loopback(address)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.1", "10.0.0.1", "8.8.8.8", "::ffff:8.8.8.8", "fe80::1", "example.org"]
)
def test_beyond_the_machine_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="refusing to listen"):
        refuse_beyond_loopback((host, 80))


def test_other_systems_are_refused() -> None:
    check_platform("linux")
    with pytest.raises(SettingsError, match="Linux only; this is darwin"):
        check_platform("darwin")


def test_the_checkouts_conf_comes_before_the_installed_one(tmp_path: Path) -> None:
    checkout, prefix = tmp_path / "checkout", tmp_path / "prefix"
    installed = prefix / "share/percore/gunicorn.conf.py"
    with pytest.raises(SettingsError, match="install Percore again"):
        find_conf(checkout, prefix)
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert find_conf(checkout, prefix) == installed
    checkout.mkdir()
    (checkout / "gunicorn.conf.py").touch()
    assert find_conf(checkout, prefix) == checkout / "gunicorn.conf.py"


@pytest.mark.parametrize(
    ("argv", "environ", "line"),
    [
        (["--bind", "0.0.0.0:80"], {}, "percore: refusing to listen on 0.0.0.0"),
        ([], {"PERCORE_BIND": "[::]:80"}, "percore: refusing to listen on ::"),
        (["--bind", "nowhere"], {}, "percore: PERCORE_BIND='nowhere': expected HOST:PORT"),
        (["--workers", "0"], {}, "percore: PERCORE_WORKERS='0': expected"),
        ([], {"PERCORE_TIMEOUT_S": "-1"}, "percore: PERCORE_TIMEOUT_S='-1': expected"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(
    argv: list[str],
    environ: dict[str, str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


def test_an_unknown_option_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--daemon"])
    assert ended.value.code == 2
    assert "--daemon" in capsys.readouterr().err


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for name in Settings.__struct_encode_fields__:
        assert f"PERCORE_{name.upper()} " in said
