import { describe, expect, it, test } from "vitest";
import { parseLogPage } from "../src/log-entry.js";
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

/** What the wire leaves out because it goes without saying. */
function written(value: unknown): unknown {
  const { eta, ...written } = value as { eta: { evidence?: object } | null };
  const task = { cancel_request: null, ...written };
  if (eta === null) return { ...task, eta };
  const evidence = { runs: 0, same: 0, pace_share: null, coverage: null, usual_s: null, ahead: null };
  const whole = { late: false, stalled: false, wait: null, stages: [], ...eta };
  return { ...task, eta: { ...whole, evidence: eta.evidence ? { ...evidence, ...eta.evidence } : null } };
}

describe("the samples of the wire", () => {
  test.each([
    "progress_running.json",
    "progress_failed.json",
    "progress_queued.json",
    "progress_cancelled.json",
  ])("%s is read without loss", (name) => {
    expect(parseTask(wire(name))).toEqual(written(wire(name)));
  });

  it("every message the server sends is understood", () => {
    const messages = wire("messages_out.json");
    expect(Array.isArray(messages)).toBe(true);
    const state = { ...sample("progress_failed"), task_id: "bell-2c8d" };
    const filled = JSON.parse(
      JSON.stringify(messages).replaceAll('"<progress object>"', JSON.stringify(state)),
    );
    expect(parseMessages(filled).map((message) => message.type)).toEqual([
      "progress.update",
      "error",
      "error",
      "error",
      "heartbeat",
      "log",
      "resources",
    ]);
    expect(parseMessages(filled[1])).toEqual([filled[1]]);
    expect(parseMessages(filled[4])).toEqual([filled[4]]);
    expect(parseMessages(filled[5])).toEqual([{ total: null, ...filled[5] }]);
    expect(parseMessages(filled[6])).toEqual([
      expect.objectContaining({ task_id: "bell-2c8d", interval_s: 2 }),
    ]);
  });

  it("a page of a log is read without loss", () => {
    expect(parseLogPage(wire("log_page.json"))).toEqual({
      total: null,
      ...(wire("log_page.json") as object),
    });
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

describe("an estimate", () => {
  const SPAN = { low: 1, median: 2, high: 3 };

  function read(changes: object) {
    return parseTask({ ...running(), eta: { ...running().eta, ...changes } })?.eta;
  }

  it("of an older worker has no more than its three times", () => {
    const { low, median, high, basis } = running().eta ?? {};
    expect(parseTask({ ...running(), eta: { low, median, high, basis } })?.eta).toEqual({
      ...{ low, median, high, basis, late: false, stalled: false },
      ...{ wait: null, stages: [], evidence: null },
    });
  });

  it("says that it is late or stalled by true and by nothing else", () => {
    expect(read({ late: true, stalled: true })).toMatchObject({ late: true, stalled: true });
    expect(read({ late: 1, stalled: "yes" })).toMatchObject({ late: false, stalled: false });
  });

  test.each([
    null,
    7,
    [1, 2, 3],
    {},
    { ...SPAN, high: null },
    { ...SPAN, high: "3" },
    { ...SPAN, low: -1 },
    { ...SPAN, low: Number.NaN },
    { ...SPAN, high: Number.POSITIVE_INFINITY },
    { ...SPAN, low: 2.5 },
    { ...SPAN, high: 1 },
  ])("loses a span of %j and nothing else", (span) => {
    expect(read({ wait: span })).toEqual(read({}));
    const generation = { ...SPAN, id: "generation" };
    const stages = [{ ...(span as object), id: "queue" }, generation, { ...SPAN, id: 7 }, span];
    expect(read({ stages })?.stages).toEqual([generation]);
  });

  test.each([{}, "many", Array.from({ length: 1_000 }, () => ({ ...SPAN, id: "x" }))])(
    "loses stages that cannot be the task's",
    (stages) => {
      expect(read({ stages })?.stages).toEqual([]);
    },
  );

  it("loses the figures of its evidence that make no sense, one by one", () => {
    const none = { runs: 0, same: 0, pace_share: null, coverage: null, usual_s: null, ahead: null };
    expect(read({ evidence: "32 runs" })?.evidence).toBeNull();
    expect(read({ evidence: {} })?.evidence).toEqual(none);
    const strange = { runs: -1, same: 2.5, pace_share: 1.01, coverage: "0.8", usual_s: -3, ahead: 1e300 };
    expect(read({ evidence: { ...strange, runs: 32 } })?.evidence).toEqual({ ...none, runs: 32 });
    const sound = { runs: 3, same: 1, pace_share: 0, coverage: 1, usual_s: 4.5, ahead: 0 };
    expect(read({ evidence: sound })?.evidence).toEqual(sound);
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
    expect(server.previewUrl("gray-scott-7f3k2m9q", 7)).toBe(
      "http://host/headway/tasks/gray-scott-7f3k2m9q/previews/7",
    );
    expect(previewNumber(running())).toBe(7);
  });
});
