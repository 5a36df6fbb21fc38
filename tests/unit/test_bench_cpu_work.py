"""What the benchmark of CPU work does: the work itself, the mix of it, and who has to know of it."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from collections import Counter

import pytest

from benchmarks.common.building import ROOT
from benchmarks.common.regime import chosen
from benchmarks.cpu.contestants import CONTESTANTS, OURS
from benchmarks.cpu.mix import BLOCK, SHARES, Kind, alike, mixed
from benchmarks.cpu.regimes import REGIMES, Load, quick
from benchmarks.cpu.work import UNIT_BYTES, probe, score, score_for_each

UNITS = {Kind.SHORT: 1, Kind.MEDIUM: 10, Kind.LONG: 100}
BODY = b"<p>" + b'the <a href="tide">tide</a> comes <b>in</b> and goes out again. ' * 40


def test_the_same_seed_gives_the_same_list() -> None:
    assert mixed(100, 7, UNITS, seed=3) == mixed(100, 7, UNITS, seed=3)
    assert mixed(100, 7, UNITS, seed=3) != mixed(100, 7, UNITS, seed=4)


def test_every_block_holds_the_whole_mix_in_an_order_of_its_own() -> None:
    kinds = [item.kind for item in mixed(10 * BLOCK, 7, UNITS, seed=1)]
    blocks = [kinds[begin : begin + BLOCK] for begin in range(0, len(kinds), BLOCK)]
    assert all(Counter(block) == SHARES for block in blocks)
    assert len({tuple(block) for block in blocks}) > 5


def test_no_page_comes_again_before_all_have_come() -> None:
    pages = [item.page for item in mixed(60, 20, UNITS, seed=1)]
    assert sorted(pages[:20]) == list(range(20))
    assert pages[:20] == pages[20:40] == pages[40:]
    assert pages[:20] != list(range(20))


def test_items_have_the_units_of_their_kind() -> None:
    assert all(item.units == UNITS[item.kind] for item in mixed(50, 7, UNITS, seed=1))
    assert {(item.kind, item.units) for item in alike(50, 7, 12, Kind.LONG, seed=1)} == {(Kind.LONG, 12)}
    assert len(mixed(30, 7, UNITS, seed=1)) == 30


def test_a_score_is_of_the_words_and_the_links() -> None:
    page = b"<a href=x>one</a> <a name=y>two</a>"
    whole = page.ljust(UNIT_BYTES)
    assert score(whole * 3, 1) >> 32 == 1
    assert score(whole * 3, 2) >> 32 == 2
    assert score(whole * 3, 1) != score(whole.replace(b"one", b"six") * 3, 1)
    # One word: the SimHash is its hash, CRC-32 of "tide".
    assert score(b"".ljust(UNIT_BYTES // 2) + b"tide ".ljust(UNIT_BYTES), 1) == zlib.crc32(b"tide")


def test_a_score_begins_a_third_into_the_page_and_goes_round() -> None:
    page = b"<a href=x></a>".ljust(UNIT_BYTES) + b"<p>".ljust(2 * UNIT_BYTES)
    assert [score(page, units) >> 32 for units in (1, 2, 3, 5, 6, 9)] == [0, 0, 1, 1, 2, 3]


def test_more_units_are_more_work_and_the_same_units_the_same() -> None:
    assert score(BODY, 20) == score(BODY, 20)
    assert len({score(BODY, units) for units in (1, 2, 5)}) == 3


def test_a_score_can_be_taken_with_pauses() -> None:
    assert score_for_each(BODY, iter("seven units")) == score(BODY, len("seven units"))


def test_a_probe_tells_how_long_it_waited() -> None:
    waited_ns, value = probe(time.monotonic_ns() - 5_000_000_000, BODY, 3)
    assert waited_ns >= 5_000_000_000
    assert value == score(BODY, 3)


def test_every_regime_names_contestants_that_exist() -> None:
    for regime in REGIMES:
        assert set(regime.clients) <= CONTESTANTS.keys()
        assert regime.reference in regime.clients
    assert {name for regime in REGIMES for name in regime.clients} == CONTESTANTS.keys()
    assert len({regime.name for regime in REGIMES}) == len(REGIMES)


def test_every_contestant_is_there() -> None:
    for contestant in CONTESTANTS.values():
        assert (ROOT / "benchmarks" / "cpu" / "clients" / f"{contestant.program}.py").is_file()


def test_a_family_of_regimes_is_chosen_by_its_name() -> None:
    assert [regime.name for regime in chosen(REGIMES, {"native"})] == ["native-zlib", "native-sha256", "native-numpy"]
    assert [regime.name for regime in chosen(REGIMES, {"native-zlib", "mix"})] == ["mix", "native-zlib"]
    assert chosen(REGIMES, None) == list(REGIMES)
    with pytest.raises(KeyError, match="nativ"):
        chosen(REGIMES, {"nativ"})


def test_a_smoke_run_is_the_same_and_shorter() -> None:
    for regime in REGIMES:
        assert quick(regime).count < regime.count
        assert (quick(regime).name, quick(regime).clients) == (regime.name, regime.clients)
        if regime.load is Load.MIX:
            assert quick(regime).count % BLOCK == regime.count % BLOCK == 0


def test_the_peers_environment_needs_nothing_of_ours() -> None:
    """What their programs import of us needs the standard library only: no package of the project's is let in."""
    modules = "benchmarks.cpu.clients.protocol, benchmarks.cpu.work, benchmarks.cpu.lateness"
    code = f"""
import sys
import {modules}
outside = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
print(*sorted(name for name in outside if getattr(sys.modules.get(name), "__file__", None)))
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name for name in said.split() if not name.startswith(("_", "sitecustomize"))} == {"benchmarks"}


def test_ours_is_a_contestant() -> None:
    assert CONTESTANTS[OURS].pinned
