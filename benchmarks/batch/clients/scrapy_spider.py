"""Scrapy with JOBDIR, and a feed of JSON lines that is appended to: as its documents say a crawl is paused and resumed.

Its reactor is the one that it chooses itself (asyncio's). Whatever slows it down or is not asked for here is off:
throttle, delay, robots.txt, cookies, redirects and retries, the telnet console, statistics written to the log.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response


class ListSpider(scrapy.Spider):
    """A request for each line of the list."""

    name = "list"
    urls = Path()

    async def start(self) -> AsyncIterator[Any]:
        with self.urls.open() as lines:
            for line in lines:
                yield scrapy.Request(line.strip(), callback=self.parse)

    def parse(self, response: Response, **_: Any) -> Iterator[dict[str, str]]:
        yield {"url": response.url, "sha256": hashlib.sha256(response.body).hexdigest()}


def main() -> None:
    urls, folder, concurrency = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    process = CrawlerProcess(
        {
            "JOBDIR": str(folder / "job"),
            "FEEDS": {str(folder / "out.jsonl"): {"format": "jsonlines", "overwrite": False}},
            "CONCURRENT_REQUESTS": concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
            "DOWNLOAD_DELAY": 0,
            "AUTOTHROTTLE_ENABLED": False,
            "ROBOTSTXT_OBEY": False,
            "COOKIES_ENABLED": False,
            "REDIRECT_ENABLED": False,
            "RETRY_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOGSTATS_INTERVAL": 0,
            "LOG_LEVEL": "WARNING",
        },
        install_root_handler=True,
    )
    ListSpider.urls = urls
    process.crawl(ListSpider)
    process.start()


if __name__ == "__main__":
    main()
