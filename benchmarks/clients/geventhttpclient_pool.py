"""geventhttpclient, a greenlet per fetch, a client per origin as its own pool makes them."""

from gevent import monkey

monkey.patch_all()

import gevent.ssl  # noqa: E402 - after patching
from geventhttpclient import URL, HTTPClient  # noqa: E402

from benchmarks.clients.on_gevent import drive  # noqa: E402
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of  # noqa: E402


def main() -> None:
    """The CA certificates are read once, for all connections."""
    task = parse_task()
    context = gevent.ssl.create_default_context(cafile=task.ca_bundle) if task.ca_bundle else None
    clients: dict[tuple[str, int], HTTPClient] = {}

    def fetch(text: str) -> tuple[int, int]:
        url = URL(text)
        key = (url.host, url.port)
        client = clients.get(key)
        if client is None:
            client = clients[key] = HTTPClient.from_url(
                url,
                concurrency=task.concurrency,
                connection_timeout=FETCH_TIMEOUT_S,
                network_timeout=FETCH_TIMEOUT_S,
                ssl_context_factory=lambda *_, **__: context,
            )
        response = client.get(url.request_uri)
        body = response.read()
        return response.status_code, len(body)

    drive(task, fetch, versions_of("geventhttpclient", "gevent"))


if __name__ == "__main__":
    main()
