import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogReader } from "../src/log-readers.js";
import { ResourceSeries } from "../src/resource-series.js";
import { aLife, connected, failSockets, leave, microtasks } from "./connected.js";
import { type Answer, FakeSocket, fakeNetwork, restoreNetwork } from "./fake-network.js";
import { sampleAt, seconds } from "./resource-samples.js";
import { running, update } from "./samples.js";

const NO_LOG: LogReader = { logged() {}, caughtUp() {} };
const RESOURCES = "http://host/headway/tasks/a/resources";

function message(samples: readonly unknown[], interval_s = 1) {
  return { type: "resources", task_id: "a", interval_s, samples };
}

/** A server that answers `resources` so. */
async function looking(resources: () => Answer | null) {
  restoreNetwork();
  const { requests } = fakeNetwork((url) => {
    if (url.startsWith(RESOURCES)) return resources();
    return { status: 200, body: running({ task_id: "a" }) };
  });
  const { connection, socket } = await connected(["a", "b"]);
  const [series, panel] = [new ResourceSeries(), aLife()];
  connection.followResources("a", series, panel.signal);
  await microtasks();
  return { connection, series, panel, requests, socket };
}

const NOTHING = { status: 200, body: { interval_s: 1, samples: [] } };

beforeEach(() => {
  fakeNetwork();
});
afterEach(leave);

describe("samples over the socket", () => {
  it("are asked for when somebody looks, and of that task alone", async () => {
    const { socket, series } = await looking(() => NOTHING);
    expect(socket.sent.slice(1)).toEqual([
      { type: "subscribe", task_ids: ["a"], since: {}, many: true, resources: true, resources_since: {} },
    ]);
    socket.deliver(message(seconds(1, 3)));
    socket.deliver(message([sampleAt(4)]));
    expect(series.samples).toHaveLength(4);
    expect(series.state).toBe("measured");
  });

  it("are asked for no more when nobody looks, while the task stays", async () => {
    const { socket, series, panel } = await looking(() => NOTHING);
    panel.abort();
    await microtasks();
    expect(socket.sent.slice(2)).toEqual([
      { type: "unsubscribe", task_ids: ["a"] },
      { type: "subscribe", task_ids: ["a"], since: {}, many: true },
    ]);
    socket.deliver(message(seconds(1, 3)));
    expect(series.samples).toHaveLength(0);
  });

  it("go on after a reconnect from the newest that is there", async () => {
    const { socket, requests } = await looking(() => NOTHING);
    socket.deliver(message(seconds(1, 5)));
    await failSockets(1);
    FakeSocket.last.accept();
    await microtasks();
    expect(FakeSocket.last.sent).toContainEqual({
      ...{ type: "subscribe", task_ids: ["a"], since: {}, many: true },
      ...{ resources: true, resources_since: { a: sampleAt(5).at } },
    });
    expect(requests).toContain(`${RESOURCES}?since=${encodeURIComponent(sampleAt(5).at)}`);
  });

  it("travel beside the log in one subscription, and the log stays when they go", async () => {
    const { connection, panel, socket } = await looking(() => NOTHING);
    connection.follow("a", NO_LOG, aLife().signal);
    await microtasks();
    expect(socket.sent.at(-1)).toMatchObject({ task_ids: ["a"], resources: true, logs: true });
    panel.abort();
    await microtasks();
    expect(socket.sent.at(-2)).toEqual({ type: "unsubscribe", task_ids: ["a"] });
    expect(socket.sent.at(-1)).toMatchObject({ task_ids: ["a"], logs: true });
    expect(socket.sent.at(-1)).not.toHaveProperty("resources");
  });

  it("of a hostile server change nothing", async () => {
    const { socket, series } = await looking(() => NOTHING);
    socket.deliver({ ...message(seconds(1, 3)), task_id: "../b" });
    socket.deliver(message([{ at: "never", cpu_percent: "100" }, null]));
    socket.deliver({ ...message([]), interval_s: -1 });
    expect(series.samples).toHaveLength(0);
  });
});

describe("why there are no samples", () => {
  it("is that nothing was measured yet", async () => {
    expect((await looking(() => NOTHING)).series.state).toBe("measured");
  });

  it("is that the server has never heard of them", async () => {
    const { series } = await looking(() => ({ status: 404, body: { message: "Not Found", reason: null } }));
    expect(series.state).toBe("too_old");
  });

  it("is not told by a server that does not know the task, and asked again as soon as it does", async () => {
    let isStored = false;
    const unknown = { status: 404, body: { reason: "TaskNotFoundError" } };
    const { series, socket, requests } = await looking(() => (isStored ? NOTHING : unknown));
    socket.deliver({ type: "error", code: "unknown_task", task_id: "a", message: "" });
    expect(series.state).toBe("loading");
    isStored = true;
    for (const seq of [1, 2]) socket.deliver(update(running({ task_id: "a", seq })));
    await microtasks();
    expect(series.state).toBe("measured");
    expect(requests).toEqual([RESOURCES, RESOURCES]);
  });

  it("is that it does not answer, until it does", async () => {
    const { series, socket } = await looking(() => null);
    expect(series.state).toBe("away");
    socket.deliver(message(seconds(1, 3)));
    expect(series.state).toBe("measured");
  });
});

describe("samples where no socket gets through", () => {
  it("are asked for once a second, those that are new, while somebody looks", async () => {
    let last = 3;
    const answer = () => ({ status: 200, body: { interval_s: 1, samples: seconds(1, last) } });
    const { series, panel, requests } = await looking(answer);
    await failSockets(3);
    last = 5;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(series.samples).toHaveLength(5);
    const asked = () => requests.filter((url) => url.startsWith(RESOURCES));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked().at(-1)).toBe(`${RESOURCES}?since=${encodeURIComponent(sampleAt(5).at)}`);
    panel.abort();
    const count = asked().length;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(asked()).toHaveLength(count);
  });
});
