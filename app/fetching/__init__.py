from app.fetching.page import Page
from app.fetching.session import Session

__all__ = ["Page", "Session"]
