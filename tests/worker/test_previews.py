"""Pictures on their way from a task to the store: when they are taken and due, and what they cost."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis

from headway import diagnostics
from headway.store import keys
from headway.store.previews import Preview
from headway.worker.previews import slot as slot_module
from headway.worker.previews.encoder import PreviewEncoder
from headway.worker.previews.options import PreviewOptions
from headway.worker.previews.slot import PreviewSlot
from headway.worker.reporter import Reporter
from headway.worker.task import Task
from tests.worker.pictures import Tensor, decoded, encoded

SMALL = PreviewOptions(final_pixels=0)


def gray(shade: int, size: int = 64) -> np.ndarray[Any, Any]:
    return np.full((size, size), shade, dtype="uint8")


def shade_of(preview: Preview | None) -> Any:
    assert preview is not None
    return decoded(preview.data).convert("L").getpixel((9, 9))


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """What was said in another test is said again."""
    diagnostics._said.clear()


class Clock:
    """Stands in for the module `time` in the slot and the encoder."""

    def __init__(self) -> None:
        self.now, self.cost_s = 1_000.0, 0.001

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def thread_time(self) -> float:
        self.now += self.cost_s / 2  # what lies between two looks has taken that long
        return self.now


class ByHand(PreviewEncoder):
    """An encoder whose thread is the test's."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.waiting: list[PreviewSlot] = []

    def enqueue(self, slot: PreviewSlot) -> bool:
        self.waiting.append(slot)
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(slot_module, "time", clock)
    return clock


def new_slot(options: PreviewOptions | None = None, encoder: PreviewEncoder | None = None) -> PreviewSlot:
    return PreviewSlot("a", encoder or ByHand(), options=options)


def shown(slot: PreviewSlot, clock: Clock) -> Preview | None:
    """Encode what is due by now, if anything is."""
    if slot.due_at > clock.now:
        return None
    slot.encode()
    return slot.take()


class TestWhenOneIsDue:
    def test_the_first_is_at_once(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10))
        assert shade_of(shown(slot, clock)) == 10

    def test_the_next_is_when_the_progress_has_risen_by_enough(self, clock: Clock) -> None:
        slot = new_slot()
        for progress, is_due in [(0.0, True), (4.9, False), (5.0, True), (9.0, False), (10.0, True)]:
            clock.now += 2
            slot.advance(progress)
            slot.offer(gray(10))
            assert (shown(slot, clock) is not None) == is_due, progress

    def test_progress_makes_one_due_that_was_offered_before(self, clock: Clock) -> None:
        encoder = ByHand()
        slot = new_slot(encoder=encoder)
        slot.offer(gray(10))
        assert shown(slot, clock)
        clock.now += 2
        slot.offer(gray(20))
        encoder.waiting.clear()
        slot.advance(1.0)
        assert (encoder.waiting, shown(slot, clock)) == ([], None)
        slot.advance(6.0)
        assert (encoder.waiting, shade_of(shown(slot, clock))) == ([slot], 20)

    def test_no_two_are_closer_than_the_shortest_interval(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10))
        assert shown(slot, clock)
        slot.advance(50.0)
        clock.now += 0.9
        slot.offer(gray(20))
        assert shown(slot, clock) is None
        clock.now += 0.2
        assert shade_of(shown(slot, clock)) == 20

    def test_after_the_longest_interval_one_is_without_progress(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10))
        assert shown(slot, clock)
        clock.now += 9.9
        slot.offer(gray(20))
        assert shown(slot, clock) is None
        clock.now += 0.2
        assert shade_of(shown(slot, clock)) == 20

    def test_on_demand_one_is_at_once(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10))
        assert shown(slot, clock)
        clock.now += 0.2
        slot.offer(gray(20), now=True)
        assert shade_of(shown(slot, clock)) == 20
        slot.offer(gray(30))
        assert shown(slot, clock) is None, "the next one is not on demand"

    def test_the_newest_wins(self, clock: Clock) -> None:
        slot = new_slot()
        for shade in (10, 20, 30):
            clock.now += 1
            slot.offer(gray(shade))
        assert shade_of(shown(slot, clock)) == 30


class TestWhatItMayCost:
    @pytest.mark.parametrize(
        ("attention", "pause_s"), [(1.0, 0.3 / 0.019), (0.5, 0.3 / 0.0095)], ids=["watched", "less watched"]
    )
    def test_an_encoding_that_takes_long_makes_the_next_one_wait(
        self, clock: Clock, attention: float, pause_s: float
    ) -> None:
        slot = new_slot()
        slot._encoder.attention = attention
        clock.cost_s = 0.6
        slot.offer(gray(10))
        assert shown(slot, clock)
        slot.advance(100.0)
        slot.offer(gray(20), now=True)
        assert slot.due_at == pytest.approx(clock.now + pause_s)

    def test_a_copy_that_takes_long_makes_the_next_one_wait(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied: list[int] = []

        class Slow:
            dtype, shape = "uint8", (8, 8)

            def __getitem__(self, key: object) -> Any:
                copied.append(1)
                clock.now += 0.01
                return np.zeros((8, 8), "uint8")

            __array__ = None

        slot = new_slot()
        for _ in range(2_400):
            slot.offer(Slow())
            clock.now += 0.01
        assert len(copied) == 3, "10 ms in 10 s: a twentieth of 2 %"
        slot.offer(Slow(), now=True)
        assert len(copied) == 4

    def test_a_reference_costs_nothing_and_is_always_taken(self) -> None:
        slot = new_slot()
        for shade in range(100):
            slot.offer(Image.new("L", (64, 64), shade), now=shade == 99)
        slot.encode()
        assert shade_of(slot.take()) == 99


class TestTheLastOne:
    def test_is_the_one_that_was_offered_last_in_full_size(self, clock: Clock) -> None:
        slot = new_slot()
        pictures = [np.full((1024, 1024, 3), shade / 255, "float32") for shade in (10, 20, 30)]
        for picture in pictures:
            slot.offer(picture)
        slot.close(100.0)
        slot.encode()
        last = slot.take()
        assert last is not None
        assert (last.facts.media_type, last.facts.width) == ("image/webp", 1024)
        assert shade_of(last) == pytest.approx(30, abs=1)

    def test_is_the_last_copy_where_the_picture_was_written_over_or_freed(self, clock: Clock) -> None:
        for keep in (True, False):
            slot = new_slot()
            picture = Tensor(np.full((3, 1024, 1024), 0.5, "float32"))
            slot.offer(picture)
            slot._copy_from = float("inf")
            slot.offer(picture)
            if keep:
                picture.add_(-0.5)
            else:
                del picture
                gc.collect()
            slot.close(100.0)
            slot.encode()
            last = slot.take()
            assert (shade_of(last), last.facts.width if last else 0) == (128, 256)

    def test_is_not_made_again_where_it_was_shown_in_full_size(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10))
        assert shown(slot, clock)
        slot.close(100.0)
        assert not slot.is_busy

    def test_is_made_though_the_same_picture_was_shown_small(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(np.full((1024, 1024, 3), 0.5, "float32"))
        first = shown(slot, clock)
        slot.close(100.0)
        slot.encode()
        last = slot.take()
        assert first is not None
        assert last is not None
        assert (first.facts.width, last.facts.width) == (256, 1024)

    def test_of_a_sound_is_a_drawing_of_all_of_it_and_then_the_sound(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(np.sin(np.arange(8_000) / 9).astype("float32"), rate_hz=np.int64(8_000))
        assert shown(slot, clock)
        slot.offer(np.sin(np.arange(16_000) / 9).astype("float32"), rate_hz=8_000)
        slot.close(100.0)
        slot.encode()
        drawing, sound = slot.take(), slot.take()
        assert drawing is not None
        assert sound is not None
        assert (drawing.facts.media_type, sound.facts.media_type) == ("image/webp", "audio/wav")
        assert drawing.number < sound.number
        assert not slot.is_busy

    def test_may_be_switched_off(self, clock: Clock) -> None:
        slot = new_slot(SMALL)
        slot.offer(gray(10, size=512))
        assert shown(slot, clock)
        slot.close(100.0)
        assert not slot.is_busy
        slot = new_slot(SMALL)
        slot.offer(gray(10, size=512))
        slot.close(100.0)
        slot.encode()
        last = slot.take()
        assert last is not None
        assert (last.facts.media_type, last.facts.width) == ("image/jpeg", 256)

    def test_without_a_picture_there_is_none(self) -> None:
        slot = new_slot()
        slot.close(100.0)
        slot.close(100.0)
        slot.encode()
        assert (slot.is_busy, slot.take()) == (False, None)

    def test_after_it_nothing_is_taken_and_nothing_is_held(self, clock: Clock) -> None:
        slot = new_slot()
        picture = Image.new("RGB", (640, 640))
        slot.offer(picture)
        slot.close(100.0)
        slot.encode()
        freed = weakref.ref(picture)
        del picture
        gc.collect()
        assert freed() is None
        slot.take()
        slot.offer(gray(10), now=True)
        assert not slot.is_busy

    def test_is_the_last_good_one_where_the_last_was_bad(self, clock: Clock) -> None:
        slot = new_slot()
        slot.offer(gray(10, size=300))
        slot.offer(np.zeros((3, 3, 3, 3, 3, 3)), now=True)
        slot.close(100.0)
        slot.encode()
        assert shade_of(slot.take()) == 10


class TestTheThread:
    @pytest.fixture
    def encoder(self) -> Iterator[PreviewEncoder]:
        encoder = PreviewEncoder(lambda: None)
        yield encoder
        encoder.close()

    def names(self) -> list[str]:
        return [thread.name for thread in threading.enumerate()]

    def test_begins_with_the_first_picture_and_ends_with_close(self) -> None:
        encoder = PreviewEncoder(lambda: None)
        encoder.close()
        encoder = PreviewEncoder(lambda: None)
        assert "headway-previews" not in self.names()
        new_slot(encoder=encoder).offer(gray(10))
        assert "headway-previews" in self.names()
        encoder.close()
        assert "headway-previews" not in self.names()

    def test_what_waits_when_it_ends_is_given_up(self) -> None:
        encoder = PreviewEncoder(lambda: None)
        slot = new_slot(encoder=encoder)
        slot._affordable_at = float("inf")
        slot.offer(gray(10))
        assert slot.is_busy
        encoder.close()
        assert not slot.is_busy
        slot.offer(gray(10), now=True)
        assert not slot.is_busy
        assert "headway-previews" not in self.names()

    def test_can_be_ended_from_itself(self, wait_until: Callable[..., Any]) -> None:
        encoder = PreviewEncoder(lambda: encoder.close())
        new_slot(encoder=encoder).offer(gray(10))
        wait_until(lambda: "headway-previews" not in self.names())

    def test_those_that_are_due_first_come_first(
        self, encoder: PreviewEncoder, wait_until: Callable[..., Any]
    ) -> None:
        late, early = new_slot(encoder=encoder), new_slot(encoder=encoder)
        late._affordable_at = time.monotonic() + 0.3
        late.offer(gray(10))
        early.offer(gray(20))
        wait_until(lambda: early.take())
        assert late.is_busy
        wait_until(lambda: late.take())

    def test_forgets_the_slots_of_tasks_that_are_over(
        self, encoder: PreviewEncoder, wait_until: Callable[..., Any]
    ) -> None:
        slots = [new_slot(encoder=encoder) for _ in range(20)]
        for slot in slots:
            slot.offer(gray(10))
            slot.close(100.0)
        wait_until(lambda: all(slot.take() for slot in slots if slot.is_busy))
        freed = weakref.WeakSet(slots)
        del slot
        slots.clear()
        wait_until(lambda: gc.collect() >= 0 and not freed)
        assert encoder._waiting == []


def test_the_newest_picture_is_stored_and_named_and_the_last_one_at_the_end(
    new_task: Callable[..., Task], reporter: Reporter, redis: Redis, wait_until: Callable[..., Any]
) -> None:
    with new_task() as task:
        for shade in (10, 20, 30):
            task.preview(gray(shade))
        wait_until(lambda: task.progress.preview_url)
        task.preview(gray(240))
    assert reporter.flush() == []
    url = task.progress.preview_url
    assert url is not None
    number = url.rpartition("/")[2]
    assert url == f"headway/tasks/{task.task_id}/previews/{number}"
    first = int(10 * task.progress.created_at)
    assert first < int(number) <= first + 2, "what came too fast was dropped, the last one was not"
    data = redis.hget(keys.previews(task.task_id), number)
    assert isinstance(data, bytes)
    assert decoded(data).convert("L").getpixel((32, 32)) == pytest.approx(240, abs=2)


def test_what_is_known_of_each_preview_is_stored_beside_it(
    new_task: Callable[..., Task], reporter: Reporter
) -> None:
    with new_task() as task:
        task.preview("Es war", now=True)
        assert reporter.flush() == []
        task.update(0.5, stage="generation")
        task.preview(Image.new("RGB", (640, 480)))
    assert reporter.flush() == []
    first, last = reporter.call(lambda tracker: tracker.store.list_previews(task.task_id))
    assert (first.media_type, last.media_type) == ("text/plain; charset=utf-8", "image/webp")
    assert (first.progress, last.width, last.height) == (0.0, 640, 480)
    assert first.at <= last.at
    assert last.progress > 50


def test_views_are_given_a_text_as_what_it_is(
    new_task: Callable[..., Task], reporter: Reporter, wait_until: Callable[..., Any]
) -> None:
    heard: list[Any] = []
    with new_task() as task:
        reporter.listen(lambda states, previews: heard.append((states, previews)), [task.task_id])
        task.preview("Es war einmal")
    assert reporter.flush() == []
    wait_until(lambda: any(states and states[0].preview_url for states, _ in heard))
    shown = [previews[task.task_id] for _, previews in heard if previews]
    assert [(found.data, found.media_type) for found in shown] == [
        (b"Es war einmal", "text/plain; charset=utf-8")
    ]


def test_at_most_one_picture_a_second_is_encoded(new_task: Callable[..., Task]) -> None:
    began = time.monotonic()
    with new_task() as task:
        steps = task.track(range(10**9), stage="generation", total=250)
        while time.monotonic() - began < 2.5:
            next(steps)
            task.preview(gray(0))
            time.sleep(0.01)
        slot = task._run.outbox.previews
        assert 2 <= len(slot._generator.history) <= 3


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "dtype": (lambda: np.zeros((8, 8), "int64"), "got int64 of shape (8, 8)"),
    "shape": (lambda: np.zeros((8, 8, 2), "uint8"), "got uint8 of shape (8, 8, 2)"),
    "no picture": (lambda: object(), "got object"),
    "too large": (lambda: Image.new("1", (30_000, 30_000)), "got 30000 x 30000"),
    "no image": (lambda: b"GIF89a", "expected the bytes of a PNG, JPEG or WebP image"),
    "cut": (lambda: encoded(Image.effect_noise((256, 256), 90), "PNG")[:2_000], "no preview of 2,000 bytes"),
    "freed": (lambda: Freed(), "RuntimeError: the tensor was freed"),
    "not finite": (lambda: np.full((8, 8), np.nan), "drawn as 0, in float64 of shape (8, 8)"),
}


class Freed(Tensor):
    """A tensor whose memory is gone."""

    def __init__(self) -> None:
        super().__init__(np.zeros((3, 8, 8), "float32"))

    def __getitem__(self, key: Any) -> Tensor:
        raise RuntimeError("the tensor was freed")


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_picture_is_warned_about_once_and_the_next_good_one_is_shown(
    new_task: Callable[..., Task],
    reporter: Reporter,
    caplog: pytest.LogCaptureFixture,
    wait_until: Callable[..., Any],
    bad: str,
) -> None:
    make, message = BAD[bad]
    with new_task() as task:
        for _ in task.track(range(3), stage="generation"):
            task.preview(make(), now=True)
            slot = task._run.outbox.previews
            wait_until(lambda: slot._offered is None and not slot._is_encoding)  # noqa: B023
        before = task.progress.preview_url
        task.preview(gray(200, size=300), now=True)
        wait_until(lambda: task.progress.preview_url != before)
    assert reporter.flush() == []
    assert [message in record.getMessage() for record in caplog.records] == [True]
    assert task.task_id in caplog.text


def test_an_encoder_that_fails_ends_neither_the_thread_nor_the_task(
    new_task: Callable[..., Task],
    reporter: Reporter,
    caplog: pytest.LogCaptureFixture,
    wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("encoder error -2")

    with new_task() as task:
        with monkeypatch.context() as patch:
            patch.setattr("headway.worker.previews.encoding.encode", fail)
            task.preview(gray(10))
            wait_until(lambda: caplog.records)
        task.preview(gray(20), now=True)
        wait_until(lambda: task.progress.preview_url)
    assert reporter.flush() == []
    assert "no preview of uint8 of shape (64, 64): OSError: encoder error -2" in caplog.text


def test_a_task_of_a_parent_process_takes_no_pictures(new_task: Callable[..., Task]) -> None:
    with new_task() as task:
        task.preview(gray(10), now=True)
        task._run._is_detached, history = True, task._run.outbox.previews._newest
        task.preview(gray(20))
        task._run._is_detached = False
        assert task._run.outbox.previews._newest is history


def test_a_reporter_that_is_closed_has_no_thread_left(
    new_task: Callable[..., Task], reporter: Reporter
) -> None:
    with new_task() as task:
        task.preview(gray(10))
    reporter.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("headway")]
