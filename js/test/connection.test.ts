import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Backoff } from "../src/backoff.js";
import { Connection, type Link, sharedConnection, type Viewer } from "../src/connection.js";
import type { TaskProgress } from "../src/model.js";
import { JupyterServer } from "../src/server.js";
import { type Answer, FakeSocket, fakeNetwork, restoreNetwork } from "./fake-network.js";
import { running } from "./samples.js";

const SERVER = new JupyterServer("http://host/", "ws://host/", "");

class Recorder implements Viewer {
  readonly tasks: TaskProgress[] = [];
  readonly missed: string[] = [];
  readonly links: Link[] = [];
  progress(task: TaskProgress): void {
    this.tasks.push(task);
  }
  missing(taskId: string): void {
    this.missed.push(taskId);
  }
  linked({ link }: { link: Link }): void {
    this.links.push(link);
  }
}

function update(task: TaskProgress) {
  return {
    type: "progress.update",
    task_id: task.task_id,
    seq: task.seq,
    sent_at: task.updated_at,
    data: task,
  };
}

function microtasks(): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(0);
}

async function connected(ids: readonly string[], viewer: Viewer = new Recorder()) {
  const connection = new Connection(SERVER);
  const life = new AbortController();
  connection.subscribe(ids, viewer, life.signal);
  await microtasks();
  FakeSocket.last.accept();
  return { connection, life, socket: FakeSocket.last };
}

async function failSockets(times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    FakeSocket.last.drop();
    const known = FakeSocket.all.length;
    for (let ms = 0; FakeSocket.all.length === known && ms < 70_000; ms += 50)
      await vi.advanceTimersByTimeAsync(50);
  }
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(restoreNetwork);

describe("subscribing", () => {
  it("sends what one microtask asked for in one message", async () => {
    const { connection, life, socket } = await connected(["a"]);
    connection.subscribe(["b"], new Recorder(), life.signal);
    connection.subscribe(["c", "a", "not an id"], new Recorder(), life.signal);
    await microtasks();
    expect(socket.sent).toEqual([
      { type: "subscribe", task_ids: ["a"], since: {}, many: true },
      { type: "subscribe", task_ids: ["b", "c"], since: {}, many: true },
    ]);
  });

  it("uses one socket, and tells a late viewer at once what is known", async () => {
    const { connection, life, socket } = await connected([running().task_id, "gone"]);
    socket.deliver(update(running()), { type: "error", code: "unknown_task", task_id: "gone", message: "" });
    const late = new Recorder();
    connection.subscribe([running().task_id, "gone"], late, life.signal);
    expect(late.tasks).toEqual([running()]);
    expect(late.missed).toEqual(["gone"]);
    expect(late.links).toEqual(["live"]);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("hears many messages in one frame, in any order, and keeps the newest", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver(update(running({ seq: 44 })), update(running({ seq: 43 })), { type: "later invention" });
    expect(viewer.tasks.map((task) => task.seq)).toEqual([44]);
  });

  it("unsubscribes what nobody looks at any more, and hangs up after the last", async () => {
    const { connection, life, socket } = await connected(["a"]);
    const other = new AbortController();
    connection.subscribe(["b"], new Recorder(), other.signal);
    await microtasks();
    other.abort();
    await microtasks();
    expect(socket.sent.at(-1)).toEqual({ type: "unsubscribe", task_ids: ["b"] });
    expect(socket.readyState).toBe(FakeSocket.OPEN);
    life.abort();
    await microtasks();
    expect(socket.readyState).toBe(FakeSocket.CLOSED);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("keeps the socket when a view is replaced by another of the same tasks", async () => {
    const { connection, life, socket } = await connected(["a"]);
    life.abort();
    connection.subscribe(["a"], new Recorder(), new AbortController().signal);
    await microtasks();
    expect(socket.readyState).toBe(FakeSocket.OPEN);
    expect(FakeSocket.all).toHaveLength(1);
  });
});

describe("reconnecting", () => {
  it("asks again for every task, from where it was", async () => {
    const { socket } = await connected([running().task_id, "b"]);
    socket.deliver(update(running()));
    await failSockets(1);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toEqual([
      {
        type: "subscribe",
        task_ids: [running().task_id, "b"],
        since: { [running().task_id]: 42 },
        many: true,
      },
    ]);
  });

  it("waits longer each time, from a tenth of a second to ten, with jitter", () => {
    const longest = new Backoff(() => 1);
    const waits = Array.from({ length: 10 }, () => longest.nextMs());
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    expect(new Backoff(() => 0).nextMs()).toBe(50);
  });

  it("does not start over at a mere open: a server without its store opens and closes at once", async () => {
    await connected(["a"]);
    const away = { type: "error", code: "store_unavailable", task_id: null, message: "" };
    for (let time = 0; time < 6; time++) {
      FakeSocket.last.deliver(away);
      await failSockets(1);
      FakeSocket.last.accept();
    }
    const known = FakeSocket.all.length;
    FakeSocket.last.deliver(away);
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeSocket.all).toHaveLength(known);
  });

  it("starts over after a message, and after a silence in which the socket stays open", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(viewer.links.at(-1)).toBe("live");
    socket.drop();
    expect(viewer.links.at(-1)).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(100);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("says so when the server's store is away, and when it is back", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver({ type: "error", code: "store_unavailable", task_id: null, message: "" });
    socket.deliver(update(running()));
    expect(viewer.links).toEqual(["connecting", "store_down", "live"]);
  });
});

describe("where no socket gets through", () => {
  function answering(answer: (url: string) => Answer | null) {
    restoreNetwork();
    return fakeNetwork(answer);
  }

  it("asks by REST once a second, and stops when a socket speaks", async () => {
    const { requests } = answering(() => ({ status: 200, body: running() }));
    const viewer = new Recorder();
    await connected([running().task_id], viewer);
    await failSockets(3);
    expect(viewer.links.at(-1)).toBe("polling");
    expect(viewer.tasks).toEqual([running()]);
    const before = requests.length;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(requests.length - before).toBe(3);
    FakeSocket.last.accept();
    FakeSocket.last.deliver(update(running({ seq: 50 })));
    expect(viewer.links.at(-1)).toBe("live");
    const after = requests.length;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests.length).toBe(after);
  });

  it("does not ask for tasks that have ended", async () => {
    const { requests } = answering(() => ({ status: 200, body: running({ status: "completed" }) }));
    await connected([running().task_id]);
    await failSockets(3);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests).toHaveLength(1);
  });

  it("believes our own 404: the task is missing, the server is there", async () => {
    answering(() => ({
      status: 404,
      body: { message: "no task 'a' is stored", reason: "TaskNotFoundError" },
    }));
    const viewer = new Recorder();
    await connected(["a"], viewer);
    await failSockets(3);
    expect(viewer.missed).toContain("a");
    expect(viewer.links.at(-1)).toBe("polling");
  });

  it("leaves it to the kernel where the server does not speak Headway, and tries rarely", async () => {
    answering(() => ({ status: 404, body: { message: "Not Found", reason: null } }));
    const viewer = new Recorder();
    await connected(["a"], viewer);
    await failSockets(4);
    expect(viewer.links.at(-1)).toBe("kernel");
    const known = FakeSocket.all.length;
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(FakeSocket.all).toHaveLength(known);
    await vi.advanceTimersByTimeAsync(31_000);
    expect(FakeSocket.all).toHaveLength(known + 1);
  });

  it("keeps trying often when the server is only away", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver(update(running()));
    await failSockets(5);
    expect(viewer.links.at(-1)).toBe("reconnecting");
    const known = FakeSocket.all.length;
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(FakeSocket.all.length).toBeGreaterThan(known);
  });
});

it("is one per page and server, for every copy of the bundle", () => {
  expect(sharedConnection(SERVER)).toBe(
    sharedConnection(new JupyterServer("http://host/", "ws://host/", "t")),
  );
  expect(sharedConnection(SERVER)).not.toBe(
    sharedConnection(new JupyterServer("http://host/b/", "ws://host/b/", "")),
  );
});
