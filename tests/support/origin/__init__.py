"""A misbehaving HTTP/1.1 server: every fault of the network that our tests need comes from this real part.

It runs in a process of its own and is written on raw bytes, since no proper HTTP library can be made to
lie about lengths or to put a NUL into a header. Standard library only. In a test:

    with running_origin() as origin:
        origin.url("/truncate?n=1")        # the path chooses the fault; any further query only makes it unique
        origin.counts().requests["/truncate"]

By hand: `python -m tests.support.origin --port 9000`, or `--list` for all faults.

    answers, redirects, broken, caching   the faults, each a small function: **add yours there**
    registry                     `@fault("name")`: how a path finds its function
    exchange                     one request and the raw means to answer it
    state                        what the server remembers: counts, hits, gates, keys
    control                      the paths that tests steer it by: `/_counts`, `/_open/NAME`, ...
    server                       the connections
    bodies                       the content, computed alike on both sides so that tests can compare
    client                       `running_origin` and what a test sees of it; the only part meant for tests
"""

from __future__ import annotations

from tests.support.origin.bodies import body_of, charset_page
from tests.support.origin.client import Counts, Hit, Origin, running_origin

__all__ = ["Counts", "Hit", "Origin", "body_of", "charset_page", "running_origin"]
