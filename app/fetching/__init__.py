from typing import TYPE_CHECKING

from app.lazy import lazily

if TYPE_CHECKING:
    from app.fetching.adapter import CurlAdapter
    from app.fetching.page import Page
    from app.fetching.session import Session
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "CurlAdapter": "app.fetching.adapter",
            "Page": "app.fetching.page",
            "Session": "app.fetching.session",
        },
    )

__all__ = ["CurlAdapter", "Page", "Session"]
