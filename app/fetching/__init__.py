from app.fetching.adapter import CurlAdapter
from app.fetching.page import Page
from app.fetching.session import Session

__all__ = ["CurlAdapter", "Page", "Session"]
