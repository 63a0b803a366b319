import { describe, expect, it, test } from "vitest";
import {
  hasEnded,
  isNewer,
  isTaskId,
  parseMessages,
  parseTask,
  previewNumber,
  TASK_STATUSES,
} from "../src/model.js";
import { JupyterServer } from "../src/server.js";
import { running, sample, wire } from "./samples.js";

describe("the samples of the wire", () => {
  test.each(["progress_running.json", "progress_failed.json"])("%s is read without loss", (name) => {
    expect(parseTask(wire(name))).toEqual(wire(name));
  });

  it("every message the server sends is understood", () => {
    const messages = wire("messages_out.json");
    expect(Array.isArray(messages)).toBe(true);
    const state = { ...sample("progress_failed"), task_id: "bell-2c8d" };
    const filled = JSON.parse(
      JSON.stringify(messages).replaceAll('"<progress object>"', JSON.stringify(state)),
    );
    // Logs are shown by nobody yet, and sent to nobody who did not ask.
    expect(parseMessages(filled).map((message) => message.type)).toEqual([
      "progress.update",
      "error",
      "error",
      "error",
      "heartbeat",
    ]);
    expect(parseMessages(filled[1])).toEqual([filled[1]]);
    expect(parseMessages(filled[4])).toEqual([filled[4]]);
  });

  it("what nobody has thought of yet leaves the rest of its frame alone", () => {
    const heartbeat = { type: "heartbeat", sent_at: "2026-11-22T16:00:03Z" };
    const strange = [{ type: "log", entries: "x" }, { type: 7 }, null, [], { type: "toString" }];
    expect(parseMessages([...strange, heartbeat])).toEqual([{ ...heartbeat, is_store_up: true }]);
    expect(parseMessages({ type: "heartbeat", sent_at: "soon", is_store_up: false })).toEqual([
      { type: "heartbeat", sent_at: null, is_store_up: false },
    ]);
  });
});

test("a state may leave out when it was found lost", () => {
  const { lost_at: _, ...older } = running();
  expect(parseTask(older)).toEqual(running({ lost_at: null }));
});

test("a lost task has not ended: it may come back", () => {
  expect(TASK_STATUSES.filter(hasEnded)).toEqual(["completed", "failed", "cancelled"]);
});

describe("a hostile payload", () => {
  test.each([
    null,
    1,
    "task",
    [],
    {},
    { ...running(), task_id: "../../../api/shutdown?x=" },
    { ...running(), task_id: "" },
    { ...running(), task_id: ["gray-scott"] },
    { ...running(), status: "exploded" },
    { ...running(), status: "__proto__" },
    { ...running(), seq: Number.NaN },
    { ...running(), seq: "42" },
    { ...running(), attempt: -1 },
    { ...running(), stages: {} },
    { ...running(), stages: [{ id: "x", status: "done" }] },
    { ...running(), stages: Array.from({ length: 100_000 }, () => ({})) },
  ])("is refused: %j", (payload) => {
    expect(parseTask(payload)).toBeNull();
  });

  test.each([
    "headway/tasks/other/previews/7",
    "https://example.org/a.png",
    "javascript:alert(1)",
    "headway/tasks/gray-scott-7f3k2m9q/previews/../../../api/shutdown",
    "headway/tasks/gray-scott-7f3k2m9q/previews/7?x",
    "headway/tasks/gray-scott-7f3k2m9q/previews/",
    7,
  ])("loses its preview %s and nothing else", (preview_url) => {
    const task = parseTask({ ...running(), preview_url });
    expect(task).toEqual(running({ preview_url: null }));
  });

  it("has its numbers brought into range and its times checked", () => {
    const task = parseTask({
      ...running(),
      overall_progress: 1e9,
      updated_at: "<b>now</b>",
      eta: { low: 1 },
    });
    expect(task?.overall_progress).toBe(100);
    expect(task?.updated_at).toBeNull();
    expect(task?.eta).toBeNull();
  });

  it("cannot speak for another task in a message", () => {
    expect(parseMessages({ type: "progress.update", task_id: "other", seq: 1, data: running() })).toEqual([]);
  });
});

test("ids are what the server allows and nothing more", () => {
  expect(["a", "gray-scott-7f3k2m9q", "A.b_c-9", "x".repeat(128)].every(isTaskId)).toBe(true);
  expect(["", ".hidden", "-x", "a/b", "a b", "ä", "x".repeat(129), "a\n"].some(isTaskId)).toBe(false);
});

test("a later attempt is newer than every state of an earlier one", () => {
  expect(isNewer(running({ attempt: 2, seq: 1 }), running({ attempt: 1, seq: 900 }))).toBe(true);
  expect(isNewer(running({ attempt: 1, seq: 900 }), running({ attempt: 2, seq: 1 }))).toBe(false);
  expect(isNewer(running({ seq: 42 }), running({ seq: 42 }))).toBe(false);
});

describe("the page's server", () => {
  function page(html: string): Document {
    return new DOMParser().parseFromString(html, "text/html");
  }

  it("is found in JupyterLab's config data, its token and socket with it", () => {
    const config = JSON.stringify({ baseUrl: "/a%40b/", wsUrl: "", token: "t&k" });
    const server = JupyterServer.ofPage(
      page(`<script id="jupyter-config-data" type="application/json">${config}</script>`),
    );
    expect(server?.baseUrl.endsWith("/a%40b/")).toBe(true);
    expect(server?.socketUrl()).toMatch(/^ws.*\/a%40b\/headway\/ws\/progress\?token=t%26k$/);
  });

  it("is found on nbclassic's body", () => {
    const server = JupyterServer.ofPage(page(`<body data-base-url="/user/me/" data-ws-url="">`));
    expect(server?.progressUrl("bell-2c8d")).toMatch(/\/user\/me\/headway\/tasks\/bell-2c8d\/progress$/);
  });

  it("is missing elsewhere, and where the config is broken", () => {
    expect(JupyterServer.ofPage(page("<body>"))).toBeNull();
    expect(JupyterServer.ofPage(page(`<script id="jupyter-config-data">{</script>`))).toBeNull();
  });

  it("is asked for checked ids only", () => {
    const server = new JupyterServer("http://host/", "ws://host/", "");
    expect(() => server.progressUrl("../api/shutdown")).toThrow(TypeError);
    expect(server.previewUrl(running())).toBe("http://host/headway/tasks/gray-scott-7f3k2m9q/previews/7");
    expect(previewNumber(running())).toBe(7);
  });
});
