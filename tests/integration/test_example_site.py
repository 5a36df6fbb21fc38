"""examples/: the small site is whole, needs nobody else, and is served by the one line that the README gives."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from tests.support.processes import HANG_GUARD_S, ROOT, running_process

EXAMPLES = ROOT / "examples"
SITE = EXAMPLES / "site"
BASE = "http://127.0.0.1:8080/"
MISSING = "notices/dredging.html"


class Page(HTMLParser):
    """What of a page the tests look at: tags, links, anchors, title, declared charset, all text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.charset = ""
        self.text = ""
        raw = file.read_bytes()
        self.feed(raw.decode("iso-8859-1" if b'charset="iso-8859-1"' in raw else "utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.charset = self.charset or given.get("charset", "")
        if "id" in given:
            self.anchors.add(given["id"])

    def handle_data(self, data: str) -> None:
        self.text += data


def pages() -> dict[str, Page]:
    return {file.relative_to(SITE).as_posix(): Page(file) for file in sorted(SITE.rglob("*.html"))}


def test_every_link_leads_to_a_file_of_the_site_but_for_the_one_that_is_missing_on_purpose() -> None:
    site = pages()
    assert 5 <= len(site) <= 8
    missing = []
    for name, page in site.items():
        assert "title" in page.tags
        assert "script" not in page.tags
        for link in page.links:
            target, anchor = urldefrag(urljoin(BASE + name, link))
            assert target.startswith(BASE), f"{name} leads out of the site: {link}"
            path = target.removeprefix(BASE)
            if not (SITE / path).is_file():
                missing.append(path)
            if anchor:
                assert anchor in site[path].anchors, f"{name}: no {link}"
    assert missing == [MISSING]


def test_one_page_is_not_in_utf_8() -> None:
    charsets = {name: page.charset for name, page in pages().items()}
    assert charsets.pop("ferry.html") == "iso-8859-1"
    assert set(charsets.values()) == {"utf-8"}
    with pytest.raises(UnicodeDecodeError):
        (SITE / "ferry.html").read_text(encoding="utf-8")
    assert "Färjan till Ålsö" in Page(SITE / "ferry.html").text


def test_the_json_file_holds_what_the_tables_say() -> None:
    weeks = json.loads((SITE / "data" / "tides.json").read_text())["weeks"]
    for week in weeks:
        said = Page(SITE / week["page"]).text
        tides = [tide for day in week["days"] for tide in day["tides"]]
        assert len(tides) > 20
        assert said.count(" m") == len(tides) + said.count(" metre")
        for tide in tides:
            assert f"{tide['time']} {tide['height_m']:.2f} m" in said


def test_the_list_names_everything_once_and_what_is_missing() -> None:
    lines = (EXAMPLES / "site-urls.txt").read_text().splitlines()
    files = {BASE + file.relative_to(SITE).as_posix() for file in SITE.rglob("*") if file.is_file()}
    assert len(lines) == len(set(lines))
    assert set(lines) == files | {BASE, BASE + MISSING}


def test_the_public_list_says_what_it_is() -> None:
    first, *rest = (EXAMPLES / "urls.txt").read_text().splitlines()
    assert first.startswith("# ")
    urls = [urlsplit(line) for line in rest if not line.startswith("#")]
    assert 8 <= len(urls) <= 15
    assert all(url.scheme in ("http", "https") and url.netloc for url in urls)


def test_one_line_serves_it() -> None:
    # As in the README, but for the port, which is the kernel's choice here.
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", "examples/site"]
    with running_process(command) as server:
        port = int(server.wait_for_line("Serving HTTP on").split(" port ")[1].split()[0])
        for line in (EXAMPLES / "site-urls.txt").read_text().splitlines():
            path = line.removeprefix(BASE)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_GUARD_S)
            with closing(connection):
                connection.request("GET", f"/{path}")
                response = connection.getresponse()
                body = response.read()
            if path == MISSING:
                assert response.status == 404
            else:
                assert response.status == 200
                assert body == (SITE / (path or "index.html")).read_bytes()
