"""A stage to copy: how much a page is about the sea.

    bin/fetch-batch examples/site-urls.txt -o scored.jsonl --stage title --stage score:score

`score:score` is this file's function `score`; the command looks for `score.py` in the folder where it is typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.stages import Page, checkpoint, stage
from app.stages.text import text

WEIGHTS = {"tide": 3.0, "tides": 3.0, "harbour": 2.0, "ferry": 2.0, "water": 1.0, "boats": 1.0}


@stage(cpu_budget_s=2.0)
def score(page: Page, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The weight of the main text's words, per hundred of them. If `title` ran before, its words count too."""
    words = re.findall(r"[a-z]+", f"{earlier.get('title') or ''} {text(page)}".lower())
    weight = 0.0
    for number, word in enumerate(words):
        # Others wait for this core: offer it to them now and then. It costs next to nothing while the slice lasts.
        if number % 500 == 0:
            checkpoint()
        weight += WEIGHTS.get(word, 0.0)
    return {"score": round(100 * weight / max(1, len(words)), 2), "words": len(words)}
