"""How outputs are written in tests of what is in them."""

from __future__ import annotations

import pytest

from app.sinks import outputs, parquet


@pytest.fixture
def parquet_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in one of its own (tests/unit/test_parquet_process.py), which would be some hundred times half a second."""
    monkeypatch.setitem(outputs._WRITERS, "parquet", parquet.write_parquet)
