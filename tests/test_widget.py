"""The widget: what it sends to the front end, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from headway import transitions
from headway.models import TaskProgress, TaskStatus
from headway.stages import STAGE_DEFINITIONS
from headway.store.previews import StoredPreview
from headway.timestamps import Timestamp
from headway.widget import MIME_TYPE, STATIC, TaskWidget


def new_state(task_id: str = "a-1") -> TaskProgress:
    return transitions.create(task_id, "sdxl", STAGE_DEFINITIONS["default"], now=Timestamp(time.time()))


def advanced(state: TaskProgress, progress: float) -> TaskProgress:
    return transitions.update_stage(state, "execution", now=Timestamp(time.time()), progress=progress)


def progress_of(widget: TaskWidget, task_id: str = "a-1") -> float:
    return float(widget.states[task_id]["stages"][2]["progress"])


def test_a_widget_begins_with_what_is_known() -> None:
    state = new_state()
    widget = TaskWidget(["a-1", "b-1"], [state])
    assert widget.task_ids == ["a-1", "b-1"]
    assert widget.states["a-1"]["status"] == "queued"
    assert repr(widget) == "TaskWidget(a-1, b-1)"
    assert widget.states["a-1"]["created_at"] == state.created_at.to_iso()


def test_the_bundle_is_there_and_small() -> None:
    # Sent once a widget, and saved with it in a notebook: a third of this when packed.
    assert (STATIC / "widget.js").stat().st_size < 112_000
    assert (STATIC / "widget.css").stat().st_size < 32_000


def test_without_a_server_every_change_and_the_previews_go_over_the_comm(
    wait_until: Callable[..., Any],
) -> None:
    state = new_state()
    widget = TaskWidget(["a-1"], [state])

    def sent(progress: float) -> bool:
        widget.receive([advanced(state, progress)], {"a-1": StoredPreview(data=b"jpeg")})
        return progress_of(widget) == progress

    for progress in (0.25, 0.5, 0.75):
        began = time.monotonic()
        wait_until(lambda progress=progress: sent(progress))
        assert time.monotonic() - began < 0.5
    assert widget.previews == {"a-1": {"media_type": "image/jpeg", "data": b"jpeg"}}
    bundle = widget._repr_mimebundle_()
    assert bundle is not None
    assert MIME_TYPE not in bundle[0], "JupyterLab would draw that, and it hears of nothing without a server"


def test_previews_take_a_bounded_share_of_the_comm_and_the_last_ones_are_sent() -> None:
    first, second = new_state("a-1"), new_state("a-2")
    widget = TaskWidget(["a-1", "a-2"], [first, second])
    large = StoredPreview(data=bytes(1_000_000), media_type="image/webp")
    widget.receive([], {"a-1": large})
    widget.receive([], {"a-2": StoredPreview(data=b"Once", media_type="text/plain; charset=utf-8")})
    assert widget.previews.keys() == {"a-1"}, "0.5 s are not over"
    over = [
        transitions.finish(state, TaskStatus.COMPLETED, now=Timestamp(time.time()))
        for state in (first, second)
    ]
    widget.receive(over[:1], {})
    assert widget.previews.keys() == {"a-1"}, "the other one goes on"
    widget.receive(over[1:], {})
    assert widget.previews["a-2"] == {"media_type": "text/plain; charset=utf-8", "data": b"Once"}


def test_with_a_server_the_comm_is_spared_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_SERVER", "1")
    state = new_state()
    widget = TaskWidget(["a-1"], [state])
    for step in range(5):
        widget.receive([advanced(state, step / 10)], {"a-1": StoredPreview(data=b"jpeg")})
    assert progress_of(widget) == 0.0
    assert widget.previews == {}
    bundle = widget._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0][MIME_TYPE]["task_ids"] == ["a-1"]
    assert bundle[0][MIME_TYPE]["states"]["a-1"]["seq"] == 0
    widget.receive([transitions.finish(state, TaskStatus.COMPLETED, now=Timestamp(time.time()))], {})
    assert widget.states["a-1"]["status"] == "completed"


def test_the_last_state_before_a_silence_is_sent_too(wait_until: Callable[..., Any]) -> None:
    state = new_state()
    widget = TaskWidget(["a-1"], [state])
    widget.receive([advanced(state, 0.5)], {})
    assert progress_of(widget) == 0.0, "too soon after the first one"

    def looked() -> bool:
        widget.receive([], {})
        return progress_of(widget) == 0.5

    wait_until(looked)
