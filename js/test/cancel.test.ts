import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { parseTask, type TaskProgress } from "../src/model.js";
import { JupyterServer } from "../src/server.js";
import { type Answer, fakeNetwork, restoreNetwork, SERVER } from "./fake-network.js";
import { running, wire } from "./samples.js";
import { button, buttons, frame, stage, text } from "./stage.js";

let shown: ReturnType<typeof stage> | null = null;

function card(task: TaskProgress = running(), answer: Answer | null = { status: 202, body: {} }) {
  restoreNetwork();
  const network = fakeNetwork(() => answer);
  shown = stage([task]);
  const posts = () => network.requests.filter((url) => url.endsWith("/cancel"));
  return { ...shown, ...network, posts };
}

/** Asked so many seconds ago. */
function asked(seconds: number, by = "maria") {
  return { cancel_request: { by, at: new Date(Date.now() - seconds * 1_000).toISOString() } };
}

function words(root: Element): string {
  return text(root, ".hw-cancel-words");
}

function spoken(root: Element): string {
  return text(root, '.hw-cancel [role="status"]');
}

async function stopped(root: Element): Promise<void> {
  button(root, "Cancel").click();
  button(root, "Stop").click();
  await vi.advanceTimersByTimeAsync(0);
}

beforeEach(() => {
  fakeNetwork();
  // biome-ignore lint/suspicious/noDocumentCookie: what a page's scripts read of a login.
  document.cookie = "_xsrf=2|abc|def|17";
});
afterEach(() => {
  shown?.life.abort();
  restoreNetwork();
});

describe("the request", () => {
  const until = new AbortController().signal;

  it("proves itself by the readable cookie where there is no token", async () => {
    const { requests, inits } = fakeNetwork(() => ({ status: 202, body: {} }));
    await SERVER.cancel("a.b-1", until);
    expect(requests).toEqual(["http://host/headway/tasks/a.b-1/cancel"]);
    expect(inits[0]).toMatchObject({
      method: "POST",
      headers: { "X-XSRFToken": "2|abc|def|17" },
      credentials: "same-origin",
    });
  });

  it("proves itself by the token where there is one", async () => {
    const { inits } = fakeNetwork(() => ({ status: 202, body: {} }));
    await new JupyterServer("http://host/", "ws://host/", "s3cret").cancel("a", until);
    expect(inits[0]?.headers).toEqual({ Authorization: "token s3cret" });
  });

  test.each(["../../api/shutdown?x=", "", "a/b", "a b", "é"])("is not made for %j", (id) => {
    expect(() => SERVER.cancel(id, until)).toThrow(TypeError);
    expect(() => SERVER.logsUrl(id, 0)).toThrow(TypeError);
  });
});

describe("the cancel button", () => {
  test.each([
    ["queued", true],
    ["in_progress", true],
    ["lost", true],
    ["completed", false],
    ["failed", false],
    ["cancelled", false],
  ] as const)("of a task that is %s is there: %s", (status, isThere) => {
    const { root } = card(running({ status }));
    expect(buttons(root).includes("Cancel")).toBe(isThere);
  });

  it("is not there without a server, nor for a task that the server does not know", () => {
    shown = stage([running()], null);
    expect(buttons(shown.root)).toEqual([]);
    const { root, store } = card();
    store.missing(running().task_id);
    frame();
    expect(buttons(root)).not.toContain("Cancel");
  });

  it("asks once more before it does anything, with the focus on what changes nothing", () => {
    const { root, posts } = card();
    button(root, "Cancel").click();
    expect(text(root, ".hw-cancel-question")).toBe("Stop this task?StopKeep");
    expect(root.querySelector(".hw-cancel-question")?.getAttribute("role")).toBe("group");
    expect(document.activeElement?.textContent).toBe("Keep");
    button(root, "Keep").click();
    expect(buttons(root)).toContain("Cancel");
    expect(document.activeElement?.textContent).toBe("Cancel");
    expect(posts()).toEqual([]);
  });

  it("takes its question back at Escape, and by itself after five seconds in which nobody moves", () => {
    const { root, posts } = card();
    button(root, "Cancel").click();
    const key = new KeyboardEvent("keydown", { key: "Escape", bubbles: true });
    document.activeElement?.dispatchEvent(key);
    expect(buttons(root)).toContain("Cancel");
    button(root, "Cancel").click();
    frame(4_000);
    root.querySelector(".hw-cancel-question")?.dispatchEvent(new Event("pointermove"));
    frame(4_000);
    expect(buttons(root)).toContain("Stop");
    frame(1_100);
    expect(buttons(root)).not.toContain("Stop");
    expect(document.activeElement?.textContent).toBe("Cancel");
    expect(posts()).toEqual([]);
  });

  it("takes its question back when the task ends meanwhile", () => {
    const { root, store, posts } = card();
    button(root, "Cancel").click();
    store.progress(running({ seq: 43, status: "completed" }), null);
    frame();
    expect(buttons(root)).toEqual(["Logs", "Resources"]);
    store.progress(running({ attempt: 2, seq: 44 }), null);
    frame();
    expect(buttons(root)).toContain("Cancel");
    expect(posts()).toEqual([]);
  });
});

describe("asking to stop", () => {
  it("goes from the request over its answer to who has asked", async () => {
    const { root, store, posts, inits } = card();
    button(root, "Cancel").click();
    button(root, "Stop").click();
    expect([words(root), spoken(root)]).toEqual(["Asking to stop …", "Asking to stop …"]);
    expect(root.querySelector(".hw-cancel")?.contains(document.activeElement)).toBe(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(posts()).toEqual(["http://host/headway/tasks/gray-scott-7f3k2m9q/cancel"]);
    expect(inits.map((init) => init.method)).toContain("POST");
    expect(words(root)).toBe("Asked to stop just now");
    expect(buttons(root)).not.toContain("Cancel");
    store.progress(running({ seq: 43, ...asked(0) }), null);
    frame();
    expect([words(root), spoken(root)]).toEqual([
      "Asked to stop by maria just now",
      "Asked to stop by maria",
    ]);
    frame(4_000);
    expect([words(root), spoken(root)]).toEqual(["Asked to stop by maria 4 s ago", "Asked to stop by maria"]);
  });

  it("tells of another's wish too, and of whatever name as text", () => {
    const evil = "<img src=x onerror=alert(1)>";
    const { root } = card(running(asked(1, evil)));
    expect(words(root)).toBe(`Asked to stop by ${evil} 1 s ago`);
    expect(root.querySelector("img")).toBeNull();
    expect(buttons(root)).not.toContain("Cancel");
  });

  it("says after thirty seconds that nothing came of it", () => {
    const { root } = card(running(asked(29)));
    expect(words(root)).toBe("Asked to stop by maria 29 s ago");
    expect(buttons(root)).not.toContain("Ask again");
    frame(2_000);
    expect(words(root)).toMatch(/^Asked to stop by maria 3\d s ago; it has not yet$/);
    frame(40_000);
    expect(words(root)).toMatch(/^Asked to stop by maria 1:1\d ago; it has not yet$/);
    expect(spoken(root)).toBe("Asked to stop by maria; it has not yet");
    expect(buttons(root)).toContain("Ask again");
  });

  it("asks again, and still knows who asked first and when, which the state tells no more", async () => {
    const { root, store, posts } = card(running(asked(70)));
    button(root, "Ask again").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(posts()).toHaveLength(1);
    expect(words(root)).toBe("Asked to stop by maria 1:10 ago, again just now");
    expect(buttons(root)).not.toContain("Ask again");
    store.progress(running({ seq: 43, ...asked(0, "pedro") }), null);
    frame(4_000);
    expect(words(root)).toMatch(/^Asked to stop by maria 1:1\d ago, again \d s ago$/);
    frame(30_000);
    expect(words(root)).toMatch(/^Asked to stop by maria 1:4\d ago; it has not yet$/);
    expect(buttons(root)).toContain("Ask again");
  });

  it("is forgotten with the task: another of the same id was not asked", () => {
    const { root, store } = card(running(asked(70)));
    store.missing(running().task_id);
    frame();
    store.progress(running({ seq: 1 }), null);
    frame();
    expect(words(root)).toBe("");
    expect(buttons(root)).toContain("Cancel");
  });

  it("counts from the answer where the state never tells of it", async () => {
    const { root } = card();
    await stopped(root);
    frame(31_000);
    expect(words(root)).toMatch(/^Asked to stop 3\d s ago; it has not yet$/);
  });

  it("is of one attempt: the next one can be cancelled", async () => {
    const { root, store } = card();
    await stopped(root);
    store.progress(running({ attempt: 2, seq: 1 }), null);
    frame();
    expect(words(root)).toBe("");
    expect(buttons(root)).toContain("Cancel");
  });

  it("is over with the task, which says who ended it", () => {
    const { root, store } = card(running(asked(40)));
    store.progress(
      running({ seq: 43, status: "cancelled", finished_at: "2026-11-22T16:00:24Z", ...asked(40) }),
      null,
    );
    frame();
    expect(buttons(root)).toEqual(["Logs", "Resources"]);
    expect(text(root, ".hw-status")).toBe("Cancelled by maria after 25 s");
    expect(root.querySelector<HTMLElement>(".hw-status")?.title).toMatch(/^asked to stop .*2026/);
    frame(3_000);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a request that fails", () => {
  test.each([
    [{ status: 404, body: { reason: "TaskNotFoundError" } }, "the server does not know it"],
    [{ status: 404, body: {} }, "this server stops no tasks"],
    [{ status: 409, body: { reason: "TaskOverError" } }, "it is over already"],
    [{ status: 403, body: {} }, "you are not allowed to"],
    [{ status: 503, body: { reason: "StoreUnavailableError" } }, "the store does not answer"],
    [{ status: 500, body: "<b>" }, "the server answered 500"],
    [null, "the server does not answer"],
  ])("says why: %j", async (answer, why) => {
    const { root } = card(running(), answer);
    await stopped(root);
    expect([words(root), spoken(root)]).toEqual([`Could not ask: ${why}`, `Could not ask: ${why}`]);
    expect(document.activeElement).toBe(button(root, "Cancel"));
    button(root, "Cancel").click();
    expect(words(root)).toBe("");
    button(root, "Keep").click();
    expect(words(root)).toBe("");
  });

  it("is given up after ten seconds", async () => {
    const { root } = card();
    vi.stubGlobal(
      "fetch",
      (_: string, { signal }: { signal: AbortSignal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", reject)),
    );
    await stopped(root);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(words(root)).toBe("Asking to stop …");
    await vi.advanceTimersByTimeAsync(1_100);
    expect(words(root)).toBe("Could not ask: the server does not answer");
  });

  it("leaves the wish of before, and the button to ask again", async () => {
    const { root } = card(running(asked(60)), { status: 503, body: {} });
    button(root, "Ask again").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(words(root)).toBe("Could not ask: the store does not answer");
    expect(buttons(root)).toContain("Ask again");
  });
});

describe("the wish on the wire", () => {
  it("is read, and nothing else in its place", () => {
    const state = wire("progress_running.json") as object;
    const read = (cancel_request: unknown) => parseTask({ ...state, cancel_request })?.cancel_request;
    const at = "2026-11-22T16:00:08Z";
    expect(read({ by: "maria", at })).toEqual({ by: "maria", at });
    expect(read({ by: 7, at })).toEqual({ by: "", at });
    for (const nothing of [undefined, null, "maria", {}, { by: "maria" }, { by: "maria", at: "soon" }, [at]])
      expect(read(nothing)).toBeNull();
  });
});
