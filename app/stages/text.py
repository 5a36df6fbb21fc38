"""`text`: the readable text of the page: its main part, without navigation, banners and footers."""

from __future__ import annotations

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.main_text import main_text_of


@stage
def text(page: Page) -> str:
    """The page's main text, as a reader mode would show it; "" for a page without text."""
    return main_text_of(page)
