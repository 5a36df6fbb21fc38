from __future__ import annotations

from typing import Any

import pytest
from urllib3 import Timeout

from app.fetching.time_limits import limits_of


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [
        (None, (None, None)),
        (3, (3.0, 3.0)),
        (0.5, (0.5, 0.5)),
        ((1, None), (1.0, None)),
        ((None, 2.5), (None, 2.5)),
        (Timeout(connect=1, read=2), (1.0, 2.0)),
        (Timeout(), (None, None)),
    ],
)
def test_limits(timeout: Any, limits: tuple[float | None, float | None]) -> None:
    for _ in range(2):
        found = limits_of(timeout)
        assert found == limits
        assert {type(limit) for limit in found} <= {float, type(None)}


def test_a_limit_of_the_whole_is_one_of_each_part() -> None:
    connect_s, read_s = limits_of(Timeout(connect=5, read=7, total=1))
    assert (connect_s, read_s is not None and 0 < read_s <= 1) == (1.0, True)


@pytest.mark.parametrize(
    ("timeout", "said"),
    [
        (True, "cannot be a boolean"),
        ((True, 5), "cannot be a boolean"),
        ((5, False), "cannot be a boolean"),
        (0, "less than or equal to 0"),
        (-1.5, "less than or equal to 0"),
        ((1, 2, 3), r"Pass a \(connect, read\) timeout tuple"),
        ([1, 2], "must be an int, float or None"),
        ("soon", "must be an int, float or None"),
    ],
)
def test_what_is_no_timeout(timeout: Any, said: str) -> None:
    # They are equal to some of those.
    assert limits_of(1) == limits_of((1, 1)) == (1.0, 1.0)
    assert limits_of((1, 5)) == (1.0, 5.0)
    for _ in range(2):
        with pytest.raises(ValueError, match=said):
            limits_of(timeout)
