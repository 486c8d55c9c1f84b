import pandas as pd
import pytest

from tests.bench.report import at_edits, at_exactness, figure, last_above, spread

COLUMNS = ("efficacy_exact_when_edited", "paraphrase_exact", "neighborhood_exact", "ls", "change")


@pytest.fixture(scope="module")
def rounds():
    """Two seeds of two lanes, measured at 0, 100, 200 and 300 edits."""
    exact = {
        "MEMIT": ([0, 1, 0.96, 0.7], [0, 0.98, 0.9, 0.8]),
        "guarded": ([0, 0.9, 0.97, 0.96], [0, 0.94, 0.92, 0.91]),
    }
    rows = [
        {"seed": f"seed-{seed}", "lane": lane, "round": number, "edits": 100 * number, "efficacy_exact": share}
        | {"unedited_recall": 1 - number / (10 + 10 * seed), "task_mean": 1 - number / 100}
        | dict.fromkeys(COLUMNS, share)
        for lane, seeds in exact.items()
        for seed, shares in enumerate(seeds)
        for number, share in enumerate(shares)
    ]
    return pd.DataFrame(rows)


def test_spread_is_mean_and_range():
    assert spread([]) == "–"
    assert spread([0.5, 0.501]) == "0.50"
    assert spread([0.25, 0.75]) == "0.50 (0.25–0.75)"
    assert spread([1000.0, 2000.0], "{:,.0f}") == "1,500 (1,000–2,000)"


def test_a_row_per_lane_and_number_of_edits(rounds):
    before, *after = [line.split(" | ") for line in at_edits(rounds, (200, 300)).splitlines()[2:]]
    assert before[:3] == ["| 0", "before", "0.00"]
    assert [row[:2] for row in after] == [[f"| {n}", lane] for n in (200, 300) for lane in ("MEMIT", "guarded")]
    assert after[0][2] == "0.93 (0.90–0.96)"
    assert after[0][6] == "0.85 (0.80–0.90)"


def test_the_last_measurement_before_the_first_fall_counts(rounds):
    seeds = {seed: rows for seed, rows in rounds[rounds.lane == "guarded"].groupby("seed")}
    assert last_above(seeds["seed-0"], 0.95) is None  # it rises later, but began below
    assert last_above(seeds["seed-1"], 0.92).edits == 200
    assert last_above(seeds["seed-1"], 0.5).edits == 300


def test_lanes_are_read_at_equal_exactness(rounds):
    lines = {tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in at_exactness(rounds).splitlines()[2:]}
    assert lines["| 0.95", "MEMIT"][0] == "150 (100–200)"
    assert lines["| 0.95", "MEMIT"][2] == "0.88 (0.80–0.95) "[:-1]
    assert lines["| 0.95", "guarded"][0] == "–"
    assert lines["| 0.9", "guarded"][0] == "300"
    assert lines["| 0.8", "MEMIT"][0] == "250 (200–300)"


def test_lines_are_means_and_bands_are_ranges(rounds):
    drawn = figure(rounds).data
    line = next(trace for trace in drawn if trace.name == "MEMIT" and trace.showlegend)
    assert list(line.x) == [0, 100, 200, 300]
    assert list(line.y) == pytest.approx([0, 0.99, 0.93, 0.75])
    band = drawn[0]
    assert list(band.y) == pytest.approx([0, 1, 0.96, 0.8, 0.7, 0.9, 0.98, 0])
