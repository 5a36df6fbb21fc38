"""Settings reach the laws that they are about."""

from __future__ import annotations

from app.assembly import politeness_rules
from app.policy.breaker import BreakerRules
from app.policy.politeness import PolitenessRules
from app.settings import Settings


def test_the_defaults_of_settings_and_laws_are_the_same() -> None:
    assert politeness_rules(Settings()) == PolitenessRules()


def test_workers_share_the_delay_of_an_origin() -> None:
    assert politeness_rules(Settings(workers=4)).share == 4
    assert politeness_rules(Settings(workers="auto")).share == 1


def test_each_setting_reaches_its_law() -> None:
    settings = Settings(
        per_origin=3,
        delay_s=1.5,
        max_crawl_delay_s=4.0,
        max_retry_after_s=5.0,
        adapt="off",
        breaker_failures=6,
        breaker_cool_down_s=7.0,
    )
    assert politeness_rules(settings) == PolitenessRules(
        per_origin=3,
        delay_s=1.5,
        max_crawl_delay_s=4.0,
        max_retry_after_s=5.0,
        adapts=False,
        breaker=BreakerRules(failures=6, cool_down_s=7.0),
    )
