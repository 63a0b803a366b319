"""A series of samples: bounded, over the whole task, and no peak is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headway.samples import MAX_POINTS, Peaks, ResourceSample, ResourceSeries, decode_sample
from headway.timestamps import Timestamp


def sample(at: float, **figures: float) -> ResourceSample:
    return ResourceSample(at=Timestamp(at), **figures)  # type: ignore[arg-type]


class Reader:
    """What a store has of a series, kept as the store does."""

    def __init__(self) -> None:
        self.samples: list[ResourceSample] = []

    def read(self, series: ResourceSeries) -> None:
        update = series.news()
        if update is not None:
            self.samples = [found for found in self.samples if found.at <= update.after]
            self.samples += update.samples
            series.acknowledge(update)


def test_a_sample_says_only_what_is_known() -> None:
    found = sample(1_000, rss_bytes=5)
    assert found.to_json() == b'{"at":"1970-01-01T00:16:40Z","rss_bytes":5}'
    assert decode_sample(found.to_json()) == found
    assert decode_sample(b'{"at":"1970-01-01T00:16:40Z","new":1}') == sample(1_000)


def test_a_full_series_grows_coarser_and_still_spans_the_whole_task() -> None:
    series = ResourceSeries()
    for second in range(10_000):
        series.add(sample(second + 0.5, cpu_percent=100.0 * (second % 2), rss_bytes=1_000 + second % 97))
    found = series.samples
    assert MAX_POINTS / 2 <= len(found) <= MAX_POINTS
    assert series.interval_s == 64.0
    assert found[0].at <= 64
    assert found[-1].at == 9_999.5
    assert {round(one.cpu_percent or 0.0) for one in found} == {50}, "rates and levels are means"
    assert {one.interval_s for one in found} == {64.0}
    gaps = {round(b.at - a.at) for a, b in pairwise(found[:-1])}
    assert gaps == {64}


def test_one_peak_in_a_day_is_not_averaged_away() -> None:
    series = ResourceSeries()
    for second in range(86_400):
        is_peak = second == 40_000
        series.add(sample(second + 0.5, rss_bytes=9_000 if is_peak else 10, process_gpu_memory_bytes=7))
    assert series.peaks == Peaks(rss_bytes=9_000, gpu_memory_bytes=7)
    assert len(series.samples) <= MAX_POINTS


def test_what_was_measured_for_a_part_of_the_time_is_the_mean_of_that_part() -> None:
    series = ResourceSeries(max_points=1)
    series.add(sample(0.5, cpu_percent=10.0))
    series.add(sample(1.5, cpu_percent=20.0, gpu_percent=80.0, gpu_temperature_c=50.0))
    assert series.samples == (
        ResourceSample(
            at=Timestamp(1.5), interval_s=2.0, cpu_percent=15.0, gpu_percent=80.0, gpu_temperature_c=50.0
        ),
    )
    assert series.peaks == Peaks()


def test_a_task_that_stood_still_has_a_gap() -> None:
    series = ResourceSeries()
    for second in (0.5, 1.5, 3_600.5):
        series.add(sample(second, rss_bytes=1))
    assert [found.at for found in series.samples] == [0.5, 1.5, 3_600.5]


def test_the_next_attempt_goes_on_from_what_is_stored() -> None:
    first, second, reader = ResourceSeries(), ResourceSeries(), Reader()
    for at in range(500):
        first.add(sample(at + 0.5, rss_bytes=at))
    reader.read(first)
    for at in range(700, 703):
        second.add(sample(at + 0.5, rss_bytes=1))
    second.precede(reader.samples)
    assert second.interval_s == 4.0
    reader.read(second)
    assert tuple(reader.samples) == second.samples
    assert [reader.samples[0].at, reader.samples[-1].at] == [3.5, 702.5]
    assert second.peaks.rss_bytes == 499
    second.precede([sample(9_999, rss_bytes=9_999)])
    assert second.peaks.rss_bytes == 499, "of a clock that went ahead"


def test_what_was_lost_with_the_store_is_sent_again() -> None:
    series, reader = ResourceSeries(), Reader()
    assert series.news() is None
    series.send_again()
    assert series.news() is None, "there is nothing"
    for at in range(10):
        series.add(sample(at + 0.5))
        reader.read(series)
    assert series.news() is None
    lost = Reader()
    series.send_again()
    lost.read(series)
    assert lost.samples == reader.samples


def test_an_update_that_is_acknowledged_too_late_does_not_count() -> None:
    series, reader = ResourceSeries(max_points=4), Reader()
    for at in range(4):
        series.add(sample(at + 0.5, rss_bytes=at))
    late = series.news()
    assert late is not None
    series.add(sample(4.5, rss_bytes=4))
    series.acknowledge(late)
    reader.read(series)
    assert tuple(reader.samples) == series.samples


@given(
    st.lists(st.tuples(st.floats(0.0, 50.0), st.integers(0, 10**12), st.booleans()), max_size=200),
    st.integers(1, 20),
)
def test_whoever_reads_now_and_then_has_the_very_series(
    steps: list[tuple[float, int, bool]], max_points: int
) -> None:
    series, reader = ResourceSeries(max_points=max_points), Reader()
    at = 1_700_000_000.0
    for gap_s, rss_bytes, is_read in steps:
        at += gap_s
        series.add(sample(at, rss_bytes=rss_bytes, net_sent_bytes_s=rss_bytes))
        if is_read:
            reader.read(series)
    reader.read(series)
    assert tuple(reader.samples) == series.samples
    assert len(series.samples) <= max_points
    assert series.peaks.rss_bytes == max((rss for _, rss, _ in steps), default=None)
    assert [found.at for found in series.samples] == sorted({found.at for found in series.samples})
