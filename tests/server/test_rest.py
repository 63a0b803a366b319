"""REST: what the worker wrote comes out, byte for byte; what cannot be is answered with its status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec.structs import replace
from redis import Redis

import headway.server
from headway.errors import (
    HeadwayError,
    InvalidTaskIdError,
    StoreUnavailableError,
    TaskExistsError,
    TaskNotFoundError,
    TaskStateError,
    UsageError,
)
from headway.models import TaskProgress, TaskStatus
from headway.server.errors import http_status
from headway.store import keys
from headway.store.reports import Report
from tests.reports import log_entries, preview, reports
from tests.server.routes import ENDPOINTS, REST

WIRE = Path(__file__).parents[1] / "wire"


@pytest.fixture
def running_task() -> TaskProgress:
    return TaskProgress.from_json((WIRE / "progress_running.json").read_bytes())


async def test_the_progress_is_the_very_bytes_that_the_worker_wrote(
    tracker: Any, fetch: Any, redis: Redis, running_task: TaskProgress
) -> None:
    await tracker.store.write(reports(running_task))
    response = await fetch(f"tasks/{running_task.task_id}/progress")
    assert response.body == redis.hget(keys.task(running_task.task_id), "data") == running_task.to_json()
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["Cache-Control"] == "no-cache"


async def test_a_state_that_the_client_has_is_not_sent_again(
    tracker: Any, fetch: Any, running_task: TaskProgress
) -> None:
    path = f"tasks/{running_task.task_id}/progress"
    await tracker.store.write(reports(running_task))
    known = {"If-None-Match": (await fetch(path)).headers["ETag"]}
    assert (await fetch(path, headers=dict(known))).code == 304
    await tracker.store.write(reports(replace(running_task, seq=running_task.seq + 1)))
    assert (await fetch(path, headers=dict(known))).code == 200


async def test_a_list_is_summaries_newest_first_with_a_cursor(tracker: Any, fetch: Any) -> None:
    for number in range(5):
        await tracker.create_task_progress(f"task-{number}", "t")
    await tracker.finish_task("task-1", TaskStatus.FAILED, error="<b>boom</b>")

    async def listed(**params: Any) -> tuple[list[str], str | None]:
        answer = json.loads((await fetch("tasks", params=params)).body)
        return [summary["task_id"] for summary in answer["tasks"]], answer["cursor"]

    first, cursor = await listed(limit=3)
    assert first == ["task-4", "task-3", "task-2"]
    assert await listed(limit=3, cursor=cursor) == (["task-1", "task-0"], None)
    assert await listed(status="failed") == (["task-1"], None)
    changed_at = (await tracker.get_progress("task-1")).updated_at.to_iso()
    assert await listed(since=changed_at) == (["task-1"], None)
    assert (await fetch("tasks/")).code == 200


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("tasks/missing/progress", {}, 404),
        ("tasks/missing/previews/1", {}, 404),
        ("tasks/a b/progress", {}, 400),
        ("tasks/-a/progress", {}, 400),
        (f"tasks/{'a' * 129}/progress", {}, 400),
        ("tasks/ä/progress", {}, 400),
        ("tasks/<script>/previews/1", {}, 400),
        ("tasks/a/previews/x", {}, 404),
        ("tasks", {"limit": "many"}, 400),
        ("tasks", {"limit": "0"}, 400),
        ("tasks", {"limit": "1001"}, 400),
        ("tasks", {"status": "running"}, 400),
        ("tasks", {"since": "yesterday"}, 400),
        ("tasks", {"since": "99999-01-01"}, 400),
        ("tasks", {"cursor": "nan:a"}, 400),
        ("tasks", {"cursor": "1.0:../x"}, 400),
        ("tasks", {"statu": "failed"}, 400),
    ],
)
async def test_what_cannot_be_is_answered_with_its_status_and_a_reason(
    fetch: Any, path: str, params: dict[str, str], status: int
) -> None:
    response = await fetch(path, params=params)
    assert response.code == status
    assert response.reason in ("Bad Request", "Not Found"), "no text of a user in the status line"
    if "previews/x" in path:
        return  # there is no such route, and Jupyter answers
    assert response.headers["Content-Type"].startswith("application/json")
    answer = json.loads(response.body)
    assert set(answer) == {"message", "reason"}
    assert answer["reason"].endswith("Error")


async def test_a_slash_in_an_id_does_not_lead_to_another_route(fetch: Any, jp_fetch: Any) -> None:
    assert (await fetch("tasks/a%2F..%2Fb/progress")).code in (400, 404)
    assert (await fetch("tasks/../../api/status")).code == 404


async def test_a_preview_is_cached_for_ever_and_a_dropped_one_is_gone(
    tracker: Any, fetch: Any, running_task: TaskProgress
) -> None:
    for number in range(1, 6):
        task = replace(running_task, task_id="a", seq=number)
        data = b"\xff\xd8 image %d" % number
        dropped = (1,) if number == 5 else ()
        await tracker.store.write([Report(task=task, preview=preview(number, data, dropped=dropped))])
    response = await fetch("tasks/a/previews/5")
    assert (response.code, response.body) == (200, b"\xff\xd8 image 5")
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Cache-Control"] == "private, max-age=86400, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    known = {"If-None-Match": response.headers["ETag"]}
    assert (await fetch("tasks/a/previews/5", headers=known)).code == 304
    gone = await fetch("tasks/a/previews/1")
    assert (gone.code, "max-age" in gone.headers.get("Cache-Control", "")) == (404, False)


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        ("image/webp", "image/webp"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
    ],
)
async def test_a_preview_is_served_as_what_it_is_and_never_as_what_could_run(
    tracker: Any, fetch: Any, running_task: TaskProgress, stored: str, served: str
) -> None:
    new = preview(1, b"<script>", media_type=stored)
    await tracker.store.write([Report(task=replace(running_task, task_id="a"), preview=new)])
    response = await fetch("tasks/a/previews/1")
    assert (response.headers["Content-Type"], response.body) == (served, b"<script>")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_previews_that_are_kept_are_listed_newest_last(
    tracker: Any, fetch: Any, running_task: TaskProgress
) -> None:
    assert (await fetch("tasks/a/previews")).code == 404
    await tracker.store.write(reports(replace(running_task, task_id="a", seq=1)))
    assert json.loads((await fetch("tasks/a/previews")).body) == []
    for number in (2, 1_000_000):
        new = preview(number, b"jpeg", progress=50.0, width=256, height=128)
        await tracker.store.write([Report(task=replace(running_task, task_id="a", seq=number), preview=new)])
    response = await fetch("tasks/a/previews")
    assert response.headers["Cache-Control"] == "no-cache"
    first, last = json.loads(response.body)
    assert (first["number"], last["number"]) == (2, 1_000_000)
    assert first == {
        "number": 2,
        "at": "1970-01-01T00:00:02Z",
        "progress": 50.0,
        "media_type": "image/jpeg",
        "bytes": 4,
        "width": 256,
        "height": 128,
    }


class TestWithoutRedis:
    @pytest.fixture
    def jp_server_config(self, tmp_path: Path) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"headway": True}},
            "HeadwayExtension": {"redis_url": f"unix://{tmp_path}/missing.sock"},
        }

    @pytest.mark.parametrize(
        ("verb", "path"), [(verb, path) for verb, path, _ in ENDPOINTS if path != "headway/ws/progress"]
    )
    async def test_a_route_says_when_to_come_again(self, fetch: Any, verb: str, path: str) -> None:
        response = await fetch(path.removeprefix("headway/"), method=verb)
        assert response.code == 503
        assert response.headers["Retry-After"] == "1"
        assert json.loads(response.body)["reason"] == "StoreUnavailableError"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidTaskIdError("a b"), 400),
        (UsageError("no"), 400),
        (TaskStateError("over"), 409),
        (TaskNotFoundError("a"), 404),
        (TaskExistsError("a"), 409),
        (StoreUnavailableError("away"), 503),
        (HeadwayError("else"), 500),
    ],
)
def test_every_error_of_ours_has_a_status(error: HeadwayError, status: int) -> None:
    assert http_status(error) == status


class TestOpenApi:
    DOCUMENT = yaml.safe_load((Path(headway.server.__file__).parent / "openapi.yaml").read_text())

    def validate(self, name: str, body: bytes) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.DOCUMENT["components"]}
        Draft202012Validator(schema).validate(json.loads(body))

    def test_its_paths_and_verbs_are_those_that_are_registered(self) -> None:
        described = {
            (path.replace("{task_id}", "([^/]+)").replace("{number}", "([0-9]{1,15})"), verb)
            for path, operations in self.DOCUMENT["paths"].items()
            for verb in operations
        }
        registered = {
            (pattern.removesuffix("/?"), verb.lower())
            for pattern, handler in REST
            for verb, _, answers in ENDPOINTS
            if answers is handler
        }
        assert described == registered

    def test_its_queries_are_what_the_handlers_take(self) -> None:
        from headway.server.handlers import TaskLogsHandler, TaskResourcesHandler, TasksHandler

        queried = (
            ("", TasksHandler),
            ("/{task_id}/logs", TaskLogsHandler),
            ("/{task_id}/resources", TaskResourcesHandler),
        )
        for path, handler in queried:
            parameters = self.DOCUMENT["paths"][f"/headway/tasks{path}"]["get"]["parameters"]
            assert {p["name"] for p in parameters if "name" in p} == handler.QUERY - {"token"}

    @pytest.mark.parametrize(
        "sample", ["progress_queued.json", "progress_running.json", "progress_failed.json"]
    )
    async def test_an_answer_is_as_it_is_described(self, tracker: Any, fetch: Any, sample: str) -> None:
        task = TaskProgress.from_json((WIRE / sample).read_bytes())
        await tracker.store.write(reports(task))
        self.validate("TaskProgress", (await fetch(f"tasks/{task.task_id}/progress")).body)
        self.validate("TaskList", (await fetch("tasks")).body)
        self.validate("Error", (await fetch("tasks/missing/progress")).body)
        self.validate("Error", (await fetch("tasks", headers={"Authorization": ""})).body)

    def test_a_property_more_or_less_is_seen(self) -> None:
        task = json.loads((WIRE / "progress_running.json").read_bytes())
        self.validate("TaskProgress", json.dumps(task).encode())
        for changed in [task | {"more": 1}, {name: task[name] for name in task if name != "eta"}]:
            with pytest.raises(Exception, match=r"more|eta"):
                self.validate("TaskProgress", json.dumps(changed).encode())

    async def test_a_list_of_previews_is_as_it_is_described(
        self, tracker: Any, fetch: Any, running_task: TaskProgress
    ) -> None:
        new = preview(1, b"Es war einmal", media_type="text/plain; charset=utf-8")
        await tracker.store.write([Report(task=running_task, preview=new)])
        self.validate("PreviewList", (await fetch(f"tasks/{running_task.task_id}/previews")).body)

    async def test_a_page_of_logs_is_as_it_is_described(
        self, tracker: Any, fetch: Any, running_task: TaskProgress
    ) -> None:
        await tracker.store.write([Report(task=running_task, entries=log_entries(3))])
        body = (await fetch(f"tasks/{running_task.task_id}/logs", params={"limit": "2"})).body
        self.validate("LogPage", body)
        assert [entry["id"] for entry in json.loads(body)["entries"]] == [1, 2]
        rest = await fetch(f"tasks/{running_task.task_id}/logs", params={"since": "2"})
        assert [entry["message"] for entry in json.loads(rest.body)["entries"]] == ["line 3"]
        assert (await fetch("tasks/missing/logs")).code == 404
        assert (await fetch(f"tasks/{running_task.task_id}/logs", params={"level": "loud"})).code == 400
