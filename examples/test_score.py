"""Tests of a stage: a page made by hand, and the stage called as the function that it is.

bin/test examples/test_score.py
"""

from __future__ import annotations

from score import score

from app.stages.testing import make_page


def test_words_are_weighed() -> None:
    assert score(make_page("<p>High tide in the harbour"), {}) == {"score": 100.0, "words": 5}


def test_the_titles_words_count_too() -> None:
    assert score(make_page("<p>Noon"), {"title": "Tides"}) == {"score": 150.0, "words": 2}
    assert score(make_page("<p>Noon"), {"title": None}) == {"score": 0.0, "words": 1}


def test_a_page_without_words() -> None:
    assert score(make_page(""), {}) == {"score": 0.0, "words": 0}
