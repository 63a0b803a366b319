"""Every route asks for the login and for the authorizer's leave, whichever routes there are."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.utils import JupyterServerAuthWarning
from tornado.httpclient import HTTPClientError

from headway.server.app import HANDLERS
from tests.server.routes import ENDPOINTS, VERBS, sample_path

ANONYMOUS = {"Authorization": ""}


class DenyingAuthorizer(Authorizer):
    """Lets nobody do anything, and remembers who asked for what."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked = (action, resource)
        return False


@pytest.fixture
def denying_server(jp_server_config: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    jp_server_config["ServerApp"]["authorizer_class"] = DenyingAuthorizer
    return request.getfixturevalue("running_server")


def test_the_table_reaches_every_handler() -> None:
    assert {handler for _, _, handler in ENDPOINTS} == {handler for _, handler in HANDLERS}


@pytest.mark.parametrize(("verb", "path"), [endpoint[:2] for endpoint in ENDPOINTS])
async def test_without_a_login_a_route_is_forbidden(fetch: Any, verb: str, path: str) -> None:
    assert (await fetch(path.removeprefix("headway/"), method=verb, headers=ANONYMOUS)).code == 403


@pytest.mark.parametrize(("verb", "path"), [endpoint[:2] for endpoint in ENDPOINTS])
async def test_a_denied_route_is_forbidden(denying_server: Any, fetch: Any, verb: str, path: str) -> None:
    assert (await fetch(path.removeprefix("headway/"), method=verb)).code == 403
    action = "read" if verb == "GET" else "write"
    assert denying_server.authorizer.asked == (action, "headway")


@pytest.mark.parametrize("path", [sample_path(pattern) for pattern, _ in HANDLERS])
async def test_a_verb_that_no_handler_has_is_not_answered(fetch: Any, path: str) -> None:
    for verb in VERBS:
        if not any((verb, path) == endpoint[:2] for endpoint in ENDPOINTS):
            body = None if verb in ("GET", "DELETE") else ""
            response = await fetch(path.removeprefix("headway/"), method=verb, body=body)
            assert response.code == 405, verb


async def connect(open_viewer: Any, **options: Any) -> int:
    """Give the status with which the server refuses a WebSocket."""
    with pytest.raises(HTTPClientError) as refused:
        async with open_viewer(**options):
            pass
    return int(refused.value.code)


async def test_without_a_login_there_is_no_websocket(open_viewer: Any) -> None:
    assert await connect(open_viewer, headers=ANONYMOUS) == 403


async def test_a_denied_websocket_is_forbidden(denying_server: Any, open_viewer: Any) -> None:
    assert await connect(open_viewer) == 403
    assert denying_server.authorizer.asked == ("read", "headway")


async def test_a_page_of_a_foreign_origin_reaches_nothing(
    open_viewer: Any, fetch: Any, jp_serverapp: Any
) -> None:
    # A cookie, as a browser sends it: a token would be proof enough of where the request comes from.
    foreign = {"Origin": "https://evil.example", "Authorization": "", "Cookie": await login(fetch)}
    own = {"Authorization": "", "Cookie": foreign["Cookie"]}
    assert (await fetch("tasks", headers=dict(own))).code == 200
    assert (await fetch("tasks", headers=dict(foreign))).code == 404
    assert await connect(open_viewer, headers=dict(foreign)) == 403


async def login(fetch: Any) -> str:
    answer = await fetch("tasks")
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def test_a_server_without_anonymous_access_finds_no_open_route_of_ours(
    jp_server_config: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    jp_server_config["ServerApp"]["allow_unauthenticated_access"] = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", JupyterServerAuthWarning)
        server = request.getfixturevalue("running_server")
    assert "headway" in server.extension_manager.extension_apps
    assert [warning for warning in caught if "headway" in str(warning.message).lower()] == []
