import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { Backoff } from "../src/backoff.js";
import { sharedConnection, type Viewer } from "../src/connection.js";
import type { Link, LinkStatus } from "../src/link.js";
import type { TaskProgress } from "../src/model.js";
import { JupyterServer } from "../src/server.js";
import { aLife, connected, failSockets, leave, microtasks, untilNextSocket } from "./connected.js";
import { type Answer, FakeSocket, fakeNetwork, restoreNetwork, SERVER } from "./fake-network.js";
import { running, update } from "./samples.js";

class Recorder implements Viewer {
  readonly tasks: TaskProgress[] = [];
  readonly missed: string[] = [];
  readonly statuses: LinkStatus[] = [];
  get links(): Link[] {
    return this.statuses.map(({ link }) => link);
  }
  progress(task: TaskProgress): void {
    this.tasks.push(task);
  }
  missing(taskId: string): void {
    this.missed.push(taskId);
  }
  linked(status: LinkStatus): void {
    this.statuses.push(status);
  }
}

const AWAY = { type: "error", code: "store_unavailable", task_id: null, message: "" };

function unknown(task_id: string) {
  return { type: "error", code: "unknown_task", task_id, message: "" };
}

function heartbeat(is_store_up = true) {
  return { type: "heartbeat", sent_at: new Date().toISOString(), is_store_up };
}

function answering(answer: (url: string) => Answer | null) {
  restoreNetwork();
  return fakeNetwork(answer);
}

function happens(type: string, more: object = {}): void {
  const target = type === "visibilitychange" ? document : window;
  target.dispatchEvent(Object.assign(new Event(type), more));
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(leave);

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
    socket.deliver(update(running()), unknown("gone"));
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
    const other = aLife();
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
    connection.subscribe(["a"], new Recorder(), aLife().signal);
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

  it("waits longer each time, from a tenth of a second to eight of them, with jitter", () => {
    const longest = new Backoff(800, () => 1);
    expect(Array.from({ length: 6 }, () => longest.nextMs())).toEqual([100, 200, 400, 800, 800, 800]);
    expect(new Backoff(800, () => 0).nextMs()).toBe(50);
  });

  it("does not start over at a mere open: a server without its store may open and close at once", async () => {
    answering(() => ({ status: 503, body: { message: "", reason: "StoreUnavailableError" } }));
    await connected(["a"]);
    const waits: number[] = [];
    for (let time = 0; time < 6; time++) {
      FakeSocket.last.deliver(AWAY);
      FakeSocket.last.drop();
      waits.push(await untilNextSocket());
      FakeSocket.last.accept();
    }
    expect(Math.min(...waits.slice(3))).toBeGreaterThanOrEqual(400);
    expect(Math.max(...waits)).toBeLessThanOrEqual(800);
  });

  it("starts over after a message", async () => {
    const { socket } = await connected([running().task_id]);
    socket.deliver(heartbeat());
    await failSockets(2);
    FakeSocket.last.accept();
    FakeSocket.last.deliver(update(running()));
    FakeSocket.last.drop();
    expect(await untilNextSocket()).toBeLessThanOrEqual(100);
  });

  it("says so when the server's store is away, and when it is back", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver(AWAY);
    socket.deliver(update(running()));
    socket.deliver(heartbeat(false));
    socket.deliver(heartbeat());
    expect(viewer.links).toEqual(["connecting", "store_down", "live", "store_down", "live"]);
  });

  it("tells since when the link is down and when the server vouched last", async () => {
    const { connection, socket } = await connected([running().task_id]);
    socket.deliver(heartbeat());
    const heardAt = Date.now();
    await vi.advanceTimersByTimeAsync(1_200);
    socket.drop();
    const late = new Recorder();
    connection.subscribe([running().task_id], late, aLife().signal);
    expect(late.statuses).toEqual([{ link: "reconnecting", since: heardAt + 1_200, heardAt }]);
  });
});

describe("a link that has gone silent", () => {
  it("is dead after four seconds, closed and replaced within five", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver(update(running()));
    await vi.advanceTimersByTimeAsync(4_000);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(900);
    expect(socket.readyState).toBe(FakeSocket.CLOSED);
    expect(FakeSocket.all).toHaveLength(2);
    expect(viewer.links.at(-1)).toBe("reconnecting");
  });

  it("is alive while heartbeats come, and other words that it does not understand", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    for (let time = 0; time < 10; time++) {
      await vi.advanceTimersByTimeAsync(3_000);
      socket.deliver(time % 2 === 0 ? heartbeat() : { type: "log", task_id: "a", entries: [], dropped: 0 });
    }
    expect(FakeSocket.all).toHaveLength(1);
    expect(viewer.links.at(-1)).toBe("live");
  });

  it("is not waited for when it opens and says nothing, nor when it never opens", async () => {
    await connected(["a"]);
    expect(await untilNextSocket()).toBeLessThanOrEqual(5_000);
    const [, opening] = FakeSocket.all;
    expect(await untilNextSocket()).toBeLessThanOrEqual(7_000);
    expect(opening?.readyState).toBe(FakeSocket.CLOSED);
  });
});

describe("a server that is away", () => {
  async function away(state = running()) {
    let isBack = false;
    const { requests } = answering(() => (isBack ? { status: 200, body: { ...state, seq: 60 } } : null));
    const viewer = new Recorder();
    const { socket, life } = await connected([state.task_id], viewer);
    socket.deliver(update(state));
    socket.drop();
    for (let time = 0; time < 3; time++) {
      await untilNextSocket();
      FakeSocket.last.drop();
    }
    return { requests, viewer, life, back: () => (isBack = true) };
  }

  it("is asked for by requests, which browsers do not hold back as they do sockets", async () => {
    const { requests, viewer } = await away();
    const [asked, opened] = [requests.length, FakeSocket.all.length];
    await vi.advanceTimersByTimeAsync(30_000);
    expect(requests.length - asked).toBeGreaterThanOrEqual(30_000 / 400 - 1);
    expect(FakeSocket.all.length).toBe(opened);
    expect(viewer.links.at(-1)).toBe("reconnecting");
  });

  it("shows its news, and gets a socket, within four tenths of a second of its return", async () => {
    const { viewer, back } = await away();
    await vi.advanceTimersByTimeAsync(20_000);
    back();
    expect(await untilNextSocket()).toBeLessThanOrEqual(410);
    expect(viewer.tasks.at(-1)?.seq).toBe(60);
    FakeSocket.last.accept();
    FakeSocket.last.deliver(update(running({ seq: 61 })));
    expect(viewer.links.slice(-3)).toEqual(["reconnecting", "polling", "live"]);
  });

  it("is noticed when it is back although everything shown has ended", async () => {
    const { back } = await away(running({ status: "completed" }));
    await vi.advanceTimersByTimeAsync(5_000);
    back();
    expect(await untilNextSocket()).toBeLessThanOrEqual(410);
  });

  it("is asked once at a time, and not waited for where a request hangs", async () => {
    const { requests } = await away();
    vi.stubGlobal("fetch", (url: string, { signal }: { signal: AbortSignal }) => {
      requests.push(url);
      return new Promise((_, reject) => signal.addEventListener("abort", reject));
    });
    await vi.advanceTimersByTimeAsync(1_000);
    const asked = requests.length;
    await vi.advanceTimersByTimeAsync(9_000);
    expect([2, 3]).toContain(requests.length - asked);
  });

  it("leaves no timer behind when nobody looks any more", async () => {
    const { life } = await away();
    life.abort();
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a task that the server no longer knows", () => {
  const ID = running().task_id;

  it("is taken up with whatever state comes next, and asked for from there", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([ID], viewer);
    socket.deliver(update(running()), unknown(ID));
    await failSockets(1);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toMatchObject([{ since: {} }]);
    FakeSocket.last.deliver(update(running({ seq: 3 })), update(running({ seq: 2 })));
    expect(viewer.tasks.map((task) => task.seq)).toEqual([42, 3]);
    expect(viewer.missed).toEqual([ID]);
    await failSockets(1);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toMatchObject([{ since: { [ID]: 3 } }]);
  });

  it("and that began again while nobody heard, shows by a lower attempt with a higher number", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([ID], viewer);
    socket.deliver(update(running({ attempt: 2 })));
    socket.deliver(update(running({ attempt: 1, seq: 41 })), update(running({ attempt: 1, seq: 43 })));
    expect(viewer.tasks.map(({ attempt, seq }) => [attempt, seq])).toEqual([
      [2, 42],
      [1, 43],
    ]);
    expect(viewer.missed).toEqual([ID]);
  });
});

describe("a page", () => {
  it("lets go of its socket for the back-forward cache, and has one again at its return", async () => {
    const viewer = new Recorder();
    const { socket } = await connected([running().task_id], viewer);
    socket.deliver(update(running()));
    happens("pagehide", { persisted: true });
    expect(socket.readyState).toBe(FakeSocket.CLOSED);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    happens("pageshow", { persisted: true });
    expect(FakeSocket.all).toHaveLength(2);
    expect(viewer.links.at(-1)).toBe("reconnecting");
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toMatchObject([{ since: { [running().task_id]: 42 } }]);
  });

  it("keeps a socket that works when it is looked at again", async () => {
    const { socket } = await connected(["a"]);
    socket.deliver(heartbeat());
    for (const type of ["visibilitychange", "online", "pageshow"]) happens(type);
    expect(FakeSocket.all).toHaveLength(1);
    expect(socket.readyState).toBe(FakeSocket.OPEN);
  });

  test.each(["visibilitychange", "online"])(
    "does not wait when %s says that the server may be there",
    async (type) => {
      const viewer = new Recorder();
      const { socket } = await connected([running().task_id], viewer);
      socket.deliver(update(running()));
      await failSockets(3);
      FakeSocket.last.drop();
      const known = FakeSocket.all.length;
      happens(type);
      expect(FakeSocket.all).toHaveLength(known + 1);
      FakeSocket.last.drop();
      expect(await untilNextSocket()).toBeLessThanOrEqual(100);
    },
  );

  it("gives up a socket that hangs while it opens when there is reason to hope", async () => {
    const { socket } = await connected(["a"]);
    socket.deliver(heartbeat());
    await failSockets(1);
    await vi.advanceTimersByTimeAsync(2_000);
    happens("online");
    expect(FakeSocket.all).toHaveLength(3);
    happens("online");
    expect(FakeSocket.all).toHaveLength(3);
  });

  it("reconnects within a second of waking up, whatever it was waiting for", async () => {
    const { socket } = await connected([running().task_id]);
    socket.deliver(update(running()));
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(await untilNextSocket()).toBeLessThanOrEqual(1_000);
    await failSockets(4);
    FakeSocket.last.drop();
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(await untilNextSocket()).toBeLessThanOrEqual(1_000);
  });

  it("survives a clock that is set back", async () => {
    const { socket } = await connected(["a"]);
    socket.deliver(heartbeat());
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(await untilNextSocket()).toBeLessThanOrEqual(1_000);
  });

  it("is not listened to when nobody looks any more", async () => {
    const { life } = await connected(["a"]);
    life.abort();
    await microtasks();
    for (const type of ["visibilitychange", "online", "pageshow"]) happens(type, { persisted: true });
    expect(FakeSocket.all).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("where no socket gets through", () => {
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

  it("does not try sockets all the time, which something in between lets fail", async () => {
    answering(() => ({ status: 200, body: running() }));
    await connected([running().task_id]);
    await failSockets(12);
    FakeSocket.last.drop();
    expect(await untilNextSocket()).toBeGreaterThanOrEqual(5_000);
    FakeSocket.last.accept();
    FakeSocket.last.deliver(heartbeat());
    FakeSocket.last.drop();
    expect(await untilNextSocket()).toBeLessThanOrEqual(100);
  });

  it("says whose fault it is when the server answers and its store does not", async () => {
    answering(() => ({ status: 503, body: { message: "", reason: "StoreUnavailableError" } }));
    const viewer = new Recorder();
    await connected(["a"], viewer);
    await failSockets(4);
    expect(viewer.links.at(-1)).toBe("store_down");
  });

  it("believes in a server that spoke Headway before, whatever a proxy says in its absence", async () => {
    const { requests } = answering(() => ({ status: 404, body: { message: "Not Found", reason: null } }));
    const viewer = new Recorder();
    const { socket } = await connected(["a"], viewer);
    socket.deliver(heartbeat());
    await failSockets(3);
    FakeSocket.last.drop();
    const asked = requests.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(requests.length - asked).toBeGreaterThanOrEqual(10);
    expect(viewer.links.at(-1)).toBe("reconnecting");
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
});

it("is one per page and server, for every copy of the bundle", () => {
  expect(sharedConnection(SERVER)).toBe(
    sharedConnection(new JupyterServer("http://host/", "ws://host/", "t")),
  );
  expect(sharedConnection(SERVER)).not.toBe(
    sharedConnection(new JupyterServer("http://host/b/", "ws://host/b/", "")),
  );
});
