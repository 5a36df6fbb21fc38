"""The helpers around the real nginx and the real site, and the project's own nginx configuration in it."""

from __future__ import annotations

import hashlib
import http.client
import socket
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import needs
from tests.support.nginx import LISTEN, Nginx, deployed_site, running_nginx, serve_folder, socket_folder
from tests.support.processes import HANG_GUARD_S, ROOT, ProcessFailed, session_pids, wait_until
from tests.support.site import doc_pages, pages_of

HELLO = f"server {{ listen {LISTEN}; location / {{ return 200 hello; }} }}"
DEPLOYED = """\
# Not these: listen 80; server unix:/run/percore/percore.sock;
upstream percore {
    server unix:/run/percore/percore.sock fail_timeout=0;
    keepalive 16;
}
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    location / { proxy_pass http://percore; }
}
"""


def get(nginx: Nginx, path: str) -> bytes:
    with urllib.request.urlopen(nginx.url(path), timeout=HANG_GUARD_S) as response:
        return bytes(response.read())


def test_it_serves_and_ends(tmp_path: Path) -> None:
    with running_nginx(HELLO, tmp_path / "nginx") as nginx:
        assert get(nginx, "/") == b"hello"
        assert len(session_pids(nginx.pid)) == 2, "a master and a worker"
        wait_until(lambda: len(nginx.access_log()) >= 1, "the access log has its line")
        pid = nginx.pid
    assert session_pids(pid) == []


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    with socket_folder() as folder, running_nginx(HELLO, tmp_path, socket=folder / "s") as nginx:
        assert nginx.base == "http://localhost"
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(HANG_GUARD_S)
            connection.connect(str(nginx.address))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.read() == b"hello"


def test_a_bad_configuration_is_told_in_nginx_own_words(tmp_path: Path) -> None:
    bad = f"server {{ listen {LISTEN}; no_such_directive on; }}"
    with pytest.raises(ProcessFailed, match="no_such_directive"), running_nginx(bad, tmp_path):
        pass


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="@LISTEN@"), running_nginx("server { listen 80; }", tmp_path):
        pass
    with pytest.raises(ValueError, match="too long"), running_nginx(HELLO, tmp_path, socket=tmp_path / ("x" * 100)):
        pass


def test_a_reload_keeps_the_address(tmp_path: Path) -> None:
    with running_nginx(HELLO, tmp_path) as nginx:
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(configuration.read_text().replace("200 hello", "200 again"))
        nginx.reload()
        wait_until(lambda: get(nginx, "/") == b"again", "the new configuration answers")


def test_the_deployed_site_gets_other_addresses_and_nothing_else() -> None:
    site = deployed_site(DEPLOYED, Path("/tmp/x/s.sock"))
    assert site.splitlines() == [
        "# Not these: listen 80; server unix:/run/percore/percore.sock;",
        "upstream percore {",
        "    server unix:/tmp/x/s.sock fail_timeout=0;",
        "    keepalive 16;",
        "}",
        "server {",
        f"    listen {LISTEN} default_server;",
        "    ",
        "    location / { proxy_pass http://percore; }",
        "}",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("listen 80", "listen 8080", "0 lines with `listen 80`"),
        ("listen 80 default_server;", "listen 80;\n    listen 80;", "2 lines"),
        ("percore.sock fail", "other.sock fail", "0 times"),
        ("keepalive 16;", "server unix:/run/percore/percore.sock backup;", "2 times"),
    ],
)
def test_a_snippet_that_has_changed_fails_loudly(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        deployed_site(DEPLOYED.replace(old, new), Path("/tmp/s"))


def test_the_projects_own_configuration_passes_requests_on(tmp_path: Path) -> None:
    snippet = ROOT / "deploy" / "nginx.conf"
    with socket_folder() as folder:
        upstream = folder / "percore.sock"
        behind = f"server {{ listen {LISTEN}; location / {{ return 200 $uri; }} }}"
        with (
            running_nginx(behind, tmp_path / "behind", socket=upstream),
            running_nginx(deployed_site(snippet.read_text(), upstream), tmp_path / "front") as front,
        ):
            assert get(front, "/v1/stages") == b"/v1/stages"


def test_the_real_site_is_served_as_its_files_are() -> None:
    pages = doc_pages()
    assert len(pages) > 400
    assert pages == doc_pages()
    assert len({page.path for page in pages}) == len(pages)
    with serve_folder(needs.python_docs()) as nginx:
        for page in pages[::25]:
            assert hashlib.sha256(get(nginx, page.path)).hexdigest() == page.sha256


def test_paths_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "sub folder").mkdir()
    (tmp_path / "sub folder" / "50% é?.html").write_text("<title>é</title>")
    (tmp_path / "a.html").write_text("a")
    pages = pages_of(tmp_path)
    assert [page.path for page in pages] == ["/a.html", "/sub%20folder/50%25%20%C3%A9%3F.html"]
    with serve_folder(tmp_path) as nginx:
        for page in pages:
            assert get(nginx, page.path) == page.file.read_bytes()
            assert page.length_bytes == len(page.file.read_bytes())
