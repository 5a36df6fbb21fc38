from __future__ import annotations

import inspect
import re

import pytest

from app.errors import SettingsError
from app.settings import Settings, variable_of
from tests.support.processes import ROOT


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_variables_are_read_as_their_type() -> None:
    settings = Settings.from_env(
        {"PERCORE_WORKERS": "3", "PERCORE_TIMEOUT_S": " 2.5 ", "PERCORE_MAX_BODY": "100", "PERCORE_PIN": "off"}
    )
    assert (settings.workers, settings.timeout_s, settings.max_body_bytes, settings.pin) == (3, 2.5, 100, "off")
    assert Settings.from_env({"PERCORE_WORKERS": "auto"}).workers == "auto"


@pytest.mark.parametrize("groups", ["", "auto", "X25519:P-256", "?*X25519MLKEM768 / ?*X25519:-P-256:ffdhe2048"])
def test_groups_may_be_written_as_openssl_reads_them(groups: str) -> None:
    assert Settings.from_env({"PERCORE_TLS_GROUPS": groups}).tls_groups == groups


def test_other_variables_are_left_alone() -> None:
    assert Settings.from_env({"PERCORE_TEST_REQUIRE": "1", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PERCORE_WORKERS", "0", "PERCORE_WORKERS='0': expected a whole number >= 1"),
        ("PERCORE_WORKERS", "many", "PERCORE_WORKERS='many': expected `auto` or a number"),
        ("PERCORE_PIN", "maybe", "PERCORE_PIN='maybe': expected `auto`, `on` or `off`"),
        ("PERCORE_LOG_LEVEL", "loud", "PERCORE_LOG_LEVEL='loud': expected `debug`, `info`, `warning` or `error`"),
        ("PERCORE_TIMEOUT_S", "-1", "PERCORE_TIMEOUT_S='-1': expected a number > 0.0"),
        ("PERCORE_TIMEOUT_S", "soon", "PERCORE_TIMEOUT_S='soon': expected a number"),
        ("PERCORE_MAX_BODY", "10MB", "PERCORE_MAX_BODY='10MB': expected a whole number"),
        ("PERCORE_RETRIES", "", "PERCORE_RETRIES='': expected a whole number"),
        ("PERCORE_TLS_GROUPS", "P-256;", "PERCORE_TLS_GROUPS='P-256;': expected a list of groups as OpenSSL reads it"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert str(caught.value).startswith(message)


def test_every_field_has_its_variable_and_is_documented() -> None:
    for field in Settings.__struct_fields__:
        assert variable_of(field).startswith("PERCORE_")
        assert f"\n{field} " in inspect.cleandoc(Settings.__doc__ or ""), field
    assert variable_of("max_body_bytes") == "PERCORE_MAX_BODY"


def test_the_reference_page_lists_every_variable_with_its_default() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    rows = dict(re.findall(r"^\| `(PERCORE_\w+)` \| [^|]* \| ([^|]*) \|", page, re.MULTILINE))
    defaults = Settings()
    assert list(rows) == [variable_of(field) for field in Settings.__struct_fields__]
    for field in Settings.__struct_fields__:
        value = getattr(defaults, field)
        shown = f"{value:g}" if isinstance(value, float) else str(value) or "empty"
        assert rows[variable_of(field)].strip("` ") == shown, field
