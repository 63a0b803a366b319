"""The functions that people call."""

from __future__ import annotations

import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from PIL import Image
from redis import Redis

import headway
from headway.errors import InvalidStagesError, InvalidTaskIdError, TaskNotFoundError, UsageError
from headway.models import TaskStatus
from headway.store import keys
from headway.worker.reporter import REPORTER

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def closed(redis: Redis) -> Iterator[None]:
    yield
    REPORTER.close()


def test_a_task_has_what_it_was_given() -> None:
    task = headway.task(
        "sdxl", category="image_generation", params={"steps": 30}, name="Cat", task_id="cat-1"
    )
    state = task.progress
    assert (state.task_id, state.template_id, state.name, state.params) == (
        "cat-1",
        "sdxl",
        "Cat",
        {"steps": 30},
    )
    assert [stage.id for stage in state.stages][2] == "generation"
    own = headway.task("upscale", stages={"load": 1, "tiles": 9})
    assert [(stage.id, stage.weight) for stage in own.progress.stages] == [("load", 1), ("tiles", 9)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"task_id": "a b"}, InvalidTaskIdError),
        ({"params": {"x": object()}}, UsageError),
        ({"stages": {"a": -1}}, InvalidStagesError),
        ({"template_id": 7}, UsageError),
        ({"template_id": ""}, UsageError),
    ],
)
def test_a_wrong_argument_raises_and_nothing_is_reported(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        headway.task(**{"template_id": "sdxl", **arguments})
    assert headway.tasks() == []


def test_a_wrong_setting_raises_where_the_task_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_TTL_S", "a day")
    with pytest.raises(UsageError, match="expected HEADWAY_TTL_S to be a whole number of seconds"):
        headway.task("sdxl")


def test_tasks_lists_what_was_just_reported_newest_first() -> None:
    for number in range(5):
        with headway.task("sdxl", task_id=f"t-{number}") as task:
            task.update(0.5)
    running = headway.task("sdxl", task_id="t-5")
    running.update(0.5)
    assert [task.task_id for task in headway.tasks()] == ["t-5", "t-4", "t-3", "t-2", "t-1", "t-0"]
    assert [task.task_id for task in headway.tasks(status="in_progress")] == ["t-5"]
    assert len(headway.tasks(status=TaskStatus.COMPLETED, limit=2)) == 2
    with pytest.raises(UsageError, match="expected a status of queued"):
        headway.tasks(status="done")


def test_show_without_a_notebook_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    task = headway.task("sdxl", task_id="cat-1")
    done = headway.task("sdxl", task_id="cat-2")
    done.complete()
    REPORTER.flush()
    headway.show(task, [headway.tasks()[0], "cat-1"])
    assert capsys.readouterr().out == "cat-1: queued, 0 %\ncat-2: completed, 100 %\n"


def test_show_names_what_it_cannot_show() -> None:
    with pytest.raises(TaskNotFoundError, match="no task 'nobody' is stored"):
        headway.show("nobody")
    with pytest.raises(InvalidTaskIdError):
        headway.show("../api/shutdown")
    with pytest.raises(UsageError, match="at least one task"):
        headway.show()
    with pytest.raises(UsageError, match="got int"):
        headway.show(7)  # type: ignore[arg-type]


class TestHistory:
    def test_what_ran_is_a_row_and_what_was_said_of_it_are_rows(self) -> None:
        for _ in range(4):
            with headway.task("portrait", stages={"load": 1, "run": 9}, show=False) as task:
                with task.stage("load"):
                    pass
                for _ in task.track(range(3), stage="run"):
                    time.sleep(0.05)
            task.flush()
        history = headway.history("portrait")
        assert history["status"].tolist() == ["completed"] * 4
        assert history["total_s"].between(0.15, 5).all()
        assert headway.history("portrait", by="stage")["stage"].tolist() == ["load", "run"] * 4
        said = headway.accuracy("portrait")
        assert set(said["share"].dropna()) <= {0.0, 0.1, 0.25, 0.5, 0.75, 0.9}
        assert said["completions"].max() == 3
        assert (said["low_s"] <= said["median_s"]).all()
        assert headway.accuracy("another").empty
        assert headway.analysis.summarize(said, by="share").index.name == "share"

    def test_rows_of_something_else_are_refused(self) -> None:
        with pytest.raises(UsageError, match="expected by to be one of task, stage, got 'day'"):
            headway.history(by="day")
        with pytest.raises(UsageError, match=r'expected params= with by="task" only'):
            headway.history(by="stage", params="columns")

    @pytest.mark.parametrize("template_id", [7, [7], b"portrait", iter(["portrait"])])
    def test_what_is_no_template_is_refused(self, template_id: Any) -> None:
        for frame in (headway.history, headway.accuracy):
            with pytest.raises(UsageError, match="expected template_id= as a text or a collection of texts"):
                frame(template_id)

    @pytest.mark.parametrize("name", ["runs.parquet", "runs.CSV"])
    def test_what_is_stored_goes_to_a_file_and_comes_back(self, name: str, tmp_path: Path) -> None:
        for template_id in ("größe 📐", "größe 📐", "other"):
            with headway.task(template_id, params={"tags": ["a"]}, show=False) as task:
                pass
            task.flush()
        path = tmp_path / name
        assert headway.export_history(path) == 3
        read = headway.analysis.read_csv if name.endswith("CSV") else headway.analysis.read_parquet
        assert_frame_equal(headway.analysis.history_frame(read(path)), headway.history())
        assert headway.export_history(path, "other") == 1
        assert [record.template_id for record in read(path)] == ["other"]

    @pytest.mark.parametrize("name", ["runs.xlsx", "runs", "parquet"])
    def test_a_file_of_another_kind_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=f"ends in .parquet or .csv, got '.*{name}'"):
            headway.export_history(tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_a_record_that_only_a_later_version_can_read_is_left_out(
        self, redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with headway.task("portrait", show=False) as task:
            pass
        task.flush()
        redis.xadd(keys.history("portrait"), {"record": b'{"task_id":"b","template_id":7}'})
        assert headway.history()["task_id"].tolist() == [task.task_id]
        assert headway.history(by="stage")["task_id"].unique().tolist() == [task.task_id]
        assert headway.accuracy().empty
        assert headway.export_history(tmp_path / "runs.csv") == 1
        assert "that cannot be read are left out: 1" in caplog.text
        with pytest.raises(UsageError, match="expected since="):
            headway.history(since="yesterday")

    def test_parameters_can_be_columns(self) -> None:
        for seed in (2**63, 3):
            with headway.task("portrait", params={"seed": seed, "tags": ["a"]}, show=False) as task:
                pass
            task.flush()
        frame = headway.history(["portrait"], params="columns")
        assert frame["param_seed"].tolist() == [2**63, 3]
        assert "param_tags" not in frame


def test_a_new_process_knows_what_another_has_learned(start_python: Start) -> None:
    for _ in range(4):
        with headway.task("shared", stages={"run": 1}, show=False) as task:
            for _ in task.track(range(3), stage="run"):
                time.sleep(0.05)
        task.flush()
    code = """
        import headway, time
        with headway.task("shared", stages={"run": 1}, show=False) as task:
            deadline = time.monotonic() + 10
            while task.progress.eta is None and time.monotonic() < deadline:
                task.update(0.0)
                time.sleep(0.02)
            print(task.progress.eta.basis)
    """
    process = start_python(textwrap.dedent(code))
    output, _ = process.communicate(timeout=30)
    assert output.startswith("4 runs of this template")


def test_previews_are_made_as_the_task_was_told(redis: Redis) -> None:
    options = headway.PreviewOptions(live_pixels=64, final_pixels=0)
    with headway.task("sdxl", task_id="small", show=False, previews=options) as task:
        task.preview(Image.new("RGB", (256, 128)), now=True)
    task.flush()
    [facts] = read_previews("small")
    assert (facts.media_type, facts.width, facts.height) == ("image/jpeg", 64, 32)


def read_previews(task_id: str) -> list[Any]:
    async def read(tracker: headway.ProgressTracker) -> list[Any]:
        return list(await tracker.store.list_previews(task_id))

    REPORTER.flush()
    return REPORTER.call(read)


def test_what_a_block_prints_is_in_the_log_and_on_the_screen(
    redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with headway.task("sdxl", task_id="printing", show=False) as task, task.capture_output():
        print("loading weights")

    async def read(tracker: headway.ProgressTracker) -> list[str]:
        return [entry.message for entry in (await tracker.read_logs("printing")).entries]

    assert REPORTER.call(read) == ["loading weights"]
    assert capsys.readouterr().out == "loading weights\n"


def test_the_peak_of_memory_is_in_the_record(redis: Redis) -> None:
    with headway.task("peaks", show=False) as task:
        pass
    task.flush()
    record = headway.history("peaks").iloc[0]
    assert record["peak_rss_bytes"] > 10_000_000
