from __future__ import annotations

import pytest

from app.stages.language import language
from app.stages.links import links
from app.stages.nesting import DEEPEST, check_nesting
from app.stages.testing import make_page
from app.stages.text import text
from app.stages.title import title


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 40_000,
        "<DIV class=x>" * 40_000,
        "<div>\n" * 40_000 + "</div>" * 40_000,
        "<div></x></section>" * 40_000,
        "<ul><li>" * 40_000,
        "<div/>" * 40_000,
        "<p>x</p>" * 1000 + "<article>" * 40_000,
    ],
)
@pytest.mark.parametrize("stage", [title, links, text, language])
def test_no_parser_is_given_what_is_too_deep(markup: str, stage: object) -> None:
    assert callable(stage)
    with pytest.raises(ValueError, match="nested more than 1000 deep"):
        stage(make_page(markup))


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * DEEPEST + "deep",
        "<div>x</div>" * 5000,
        "<section><div>x</div></section>" * 5000,
        "<p>x" * 5000 + "<li>x" * 5000 + "<br>" * 5000 + "<img src=x>" * 5000,
        "<svg>" + "<path d=x />" * 5000 + "</svg>",
        "</div>" * 5000 + "<div>x</div>" * 3000,
        "<divine>" * 2000 + "<tablet>" * 2000,
        "<" * 5000,
    ],
)
def test_what_is_wide_is_not_deep(markup: str) -> None:
    check_nesting(markup)
