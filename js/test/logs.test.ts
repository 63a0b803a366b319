import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LogBook, MOST_ENTRIES, pieces } from "../src/log-book.js";
import { type LogCounts, type LogEntry, metadataText, parseLogPage } from "../src/log-entry.js";
import type { LogReader } from "../src/log-readers.js";
import { parseMessages } from "../src/model.js";
import { aLife, connected, failSockets, leave, microtasks, NOBODY } from "./connected.js";
import { type Answer, FakeSocket, fakeNetwork, restoreNetwork } from "./fake-network.js";
import { counts, logEntries, logEntry, logMessage } from "./log-entries.js";
import { running, update } from "./samples.js";

class Reader implements LogReader {
  readonly entries: LogEntry[] = [];
  dropped = 0;
  total: number | null = null;
  isCaughtUp = false;
  get ids(): number[] {
    return this.entries.map((entry) => entry.id);
  }
  logged(entries: readonly LogEntry[], { dropped, total }: LogCounts): void {
    this.entries.push(...entries);
    Object.assign(this, { dropped, total });
  }
  caughtUp(): void {
    this.isCaughtUp = true;
  }
}

async function reading(ids: readonly string[] = ["a"]) {
  const { connection, socket } = await connected(ids);
  const [reader, panel] = [new Reader(), aLife()];
  connection.follow("a", reader, panel.signal);
  await microtasks();
  return { connection, reader, panel, socket };
}

async function reconnected(): Promise<FakeSocket> {
  await failSockets(1);
  FakeSocket.last.accept();
  return FakeSocket.last;
}

/** A server that lets no socket through and answers logs in pages of three. */
async function polling(log: readonly LogEntry[], answer?: (url: URL) => Answer | null) {
  restoreNetwork();
  const { requests } = fakeNetwork((address) => {
    const url = new URL(address);
    const special = answer?.(url) ?? null;
    if (special !== null) return special;
    if (!url.pathname.endsWith("/logs")) return { status: 200, body: running({ task_id: "a" }) };
    const left = log.filter((entry) => entry.id > Number(url.searchParams.get("since")));
    const entries = left.slice(0, 3);
    return {
      status: 200,
      body: {
        entries,
        dropped: 2,
        total: log.length + 2,
        cursor: left.length > 3 ? entries.at(-1)?.id : null,
      },
    };
  });
  const made = await reading();
  await failSockets(3);
  return { ...made, requests };
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(leave);

describe("a log over the socket", () => {
  it("is asked for when somebody reads it, and its task alone", async () => {
    const { socket } = await reading(["a", "b"]);
    expect(socket.sent).toEqual([
      { type: "subscribe", task_ids: ["a", "b"], since: {}, many: true },
      { type: "subscribe", task_ids: ["a"], since: {}, many: true, logs: true, logs_since: { a: 0 } },
    ]);
  });

  it("is asked for no more when nobody reads it, while its task stays", async () => {
    const { socket, panel, reader } = await reading();
    socket.deliver(logMessage("a", logEntries(1, 2)));
    panel.abort();
    await microtasks();
    expect(socket.sent.slice(2)).toEqual([
      { type: "unsubscribe", task_ids: ["a"] },
      { type: "subscribe", task_ids: ["a"], since: {}, many: true },
    ]);
    socket.deliver(logMessage("a", logEntries(3, 4)));
    expect(reader.ids).toEqual([1, 2]);
  });

  it("is unsubscribed once, with its task, when the view goes", async () => {
    const { connection, socket } = await connected(["b"]);
    const view = aLife();
    connection.subscribe(["a"], NOBODY, view.signal);
    connection.follow("a", new Reader(), view.signal);
    await microtasks();
    view.abort();
    await microtasks();
    expect(socket.sent.slice(2)).toEqual([{ type: "unsubscribe", task_ids: ["a"] }]);
  });

  it("goes on after a reconnect where it was, and gives nothing twice", async () => {
    const { reader, socket } = await reading();
    socket.deliver(logMessage("a", logEntries(1, 5)));
    const next = await reconnected();
    expect(next.sent).toEqual([
      { type: "subscribe", task_ids: ["a"], since: {}, many: true, logs: true, logs_since: { a: 5 } },
    ]);
    next.deliver(logMessage("a", logEntries(4, 7), 3));
    next.deliver(logMessage("a", [logEntry(9), logEntry(8), logEntry(9)]));
    expect(reader.ids).toEqual([1, 2, 3, 4, 5, 6, 7, 9]);
  });

  it("gives a second reader all of it, and the first one nothing twice", async () => {
    const { connection, reader, socket } = await reading();
    socket.deliver(logMessage("a", logEntries(1, 3)));
    const [late, panel] = [new Reader(), aLife()];
    connection.follow("a", late, panel.signal);
    await microtasks();
    expect(socket.sent.at(-1)).toMatchObject({ logs_since: { a: 0 } });
    socket.deliver(logMessage("a", logEntries(1, 4)));
    expect([reader.ids, late.ids]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
    const sent = socket.sent.length;
    panel.abort();
    await microtasks();
    expect(socket.sent).toHaveLength(sent);
  });

  it("is known to be empty when the server says that nothing is new", async () => {
    const { reader, socket } = await reading();
    expect(reader.isCaughtUp).toBe(false);
    socket.deliver({ type: "heartbeat", sent_at: null, is_store_up: false });
    expect(reader.isCaughtUp).toBe(false);
    socket.deliver({ type: "heartbeat", sent_at: null, is_store_up: true });
    expect(reader.isCaughtUp).toBe(true);
  });

  it("is known to be empty of a task that has news all the time", async () => {
    const { reader, socket } = await reading();
    for (const seq of [1, 2]) socket.deliver(update(running({ task_id: "a", seq })));
    expect(reader.isCaughtUp).toBe(true);
  });
});

describe("a log where no socket gets through", () => {
  it("is asked for page after page, and then for what is new, once a second", async () => {
    const log = logEntries(1, 8);
    const { reader, requests } = await polling(log);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(reader.ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(reader).toMatchObject({ dropped: 2, total: 10, isCaughtUp: true });
    log.push(...logEntries(9, 10));
    await vi.advanceTimersByTimeAsync(2_100);
    expect(reader.ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const asked = requests.filter((url) => url.includes("/logs"));
    expect(asked.slice(0, 3)).toEqual([0, 3, 6].map((id) => `http://host/headway/tasks/a/logs?since=${id}`));
    expect(asked.length).toBeLessThanOrEqual(9);
  });

  it("goes on over the socket, once one speaks, from where the requests ended", async () => {
    const { reader, requests } = await polling(logEntries(1, 4));
    await vi.advanceTimersByTimeAsync(1_000);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent.at(-1)).toMatchObject({ logs: true, logs_since: { a: 4 } });
    FakeSocket.last.deliver(logMessage("a", logEntries(4, 5)));
    const asked = requests.length;
    await vi.advanceTimersByTimeAsync(3_000);
    expect(reader.ids).toEqual([1, 2, 3, 4, 5]);
    expect(requests).toHaveLength(asked);
  });

  it("tries again after a failure, and does not ask in circles", async () => {
    let isUp = false;
    const log = logEntries(1, 2);
    const { reader, requests } = await polling(log, (url) => {
      if (!url.pathname.endsWith("/logs")) return null;
      if (!isUp) return { status: 503, body: { reason: "StoreUnavailableError" } };
      return { status: 200, body: { entries: log, dropped: 0, cursor: 1 } };
    });
    expect(reader.ids).toEqual([]);
    isUp = true;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(reader.ids).toEqual([1, 2]);
    expect(requests.filter((url) => url.includes("/logs")).length).toBeLessThan(12);
  });

  it("is not asked for when nobody reads any", async () => {
    const { panel, requests } = await polling(logEntries(1, 2));
    await vi.advanceTimersByTimeAsync(1_000);
    panel.abort();
    const asked = requests.filter((url) => url.includes("/logs")).length;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests.filter((url) => url.includes("/logs"))).toHaveLength(asked);
  });
});

describe("what comes in", () => {
  it("is refused entry by entry", () => {
    const good = logEntry(1);
    const strange = [
      { ...good, id: -1 },
      { ...good, level: "fatal" },
      { ...good, timestamp: "soon" },
      { ...good, message: 7 },
      null,
      "x",
    ];
    expect(parseLogPage({ entries: [...strange, { ...good, metadata: 3 }], dropped: "x" })).toEqual({
      entries: [good],
      dropped: 0,
      total: null,
      cursor: null,
    });
    expect(parseLogPage({ entries: "x" })).toBeNull();
    expect(parseMessages([logMessage("../x", []), logMessage("a", strange)])).toEqual([logMessage("a", [])]);
  });

  it("is cut where it would fill the page's memory", () => {
    const page = parseLogPage({ entries: [logEntry(1, { message: "x".repeat(1e6) })] });
    expect(page?.entries[0]?.message).toHaveLength(20_000);
  });

  it("shows its values as people write them", () => {
    const metadata = { sigma: 0.1 + 0.2, step: 3, device: "cuda 0", kind: "vae", tiles: [1, 2], none: null };
    expect(metadataText(metadata)).toBe('sigma=0.3 step=3 device="cuda 0" kind=vae tiles=[1,2] none=null');
  });
});

describe("a book of entries", () => {
  it("holds so many, lets go of the oldest first, and says how many", () => {
    const book = new LogBook();
    for (let first = 1; first <= 12_001; first += 1_000)
      book.logged(logEntries(first, first + 999), counts());
    expect(book.size).toBe(MOST_ENTRIES);
    expect(book.shown).toHaveLength(MOST_ENTRIES);
    expect(book.shown[0]?.id).toBe(3_001);
    expect(book.forgotten).toBe(3_000);
  });

  it("counts what was logged once, whether it is held here, let go of here, or dropped there", () => {
    const book = new LogBook();
    const figures = () => [book.total, book.missed];
    book.logged(logEntries(13, 1_000), counts(12, 3_015));
    expect(figures()).toEqual([3_015, 12]);
    book.logged(logEntries(1_001, 3_015), counts(1_015, 3_015));
    expect(figures()).toEqual([3_015, 12]);
    book.logged(logEntries(3_016, 12_500), counts(10_500, 12_600));
    expect([...figures(), book.forgotten]).toEqual([12_600, 112, 2_488]);
  });

  it("counts no more than it can know where the server is too old to tell", () => {
    const book = new LogBook();
    const figures = () => [book.total, book.missed];
    expect(figures()).toEqual([0, 0]);
    book.logged(logEntries(5, 10), counts(4));
    expect(figures()).toEqual([10, 4]);
    book.logged(logEntries(11, 3_003), counts(1_003));
    expect(figures()).toEqual([3_003, 4]);
  });

  it("calls nothing dropped that is only on its way", () => {
    const book = new LogBook();
    book.logged(logEntries(1, 500), counts(0, 2_000));
    expect([book.total, book.missed]).toEqual([2_000, 0]);
    book.logged([], counts(0, 20));
    expect([book.total, book.missed]).toEqual([500, 0]);
  });

  it("keeps to the filter with what comes later and what goes", () => {
    const book = new LogBook();
    book.filter("warning", "NAN");
    book.logged(
      [logEntry(1, { level: "warning", message: "a nan" }), logEntry(2, { message: "nan" })],
      counts(),
    );
    expect(book.shown.map(({ id }) => id)).toEqual([1]);
    book.logged(logEntries(3, MOST_ENTRIES + 2), counts());
    expect(book.shown).toEqual([]);
    book.logged([logEntry(20_000, { level: "error", message: "x", metadata: { where: "nan" } })], counts());
    expect(book.shown.map(({ id }) => id)).toEqual([20_000]);
    book.filter("debug", "");
    expect(book.shown).toHaveLength(MOST_ENTRIES);
  });

  it("changes once a frame, however much comes", () => {
    const book = new LogBook();
    for (let id = 1; id < 500; id++) book.logged([logEntry(id)], counts());
    vi.advanceTimersByTime(20);
    expect(book.changes.value).toBe(1);
    book.logged([], counts());
    vi.advanceTimersByTime(20);
    expect(book.changes.value).toBe(1);
  });

  it("takes what is searched for as it is written", () => {
    const book = new LogBook();
    book.logged([logEntry(1, { message: "f(x) = [a-z]+ \\d" }), logEntry(2, { message: "fx" })], counts());
    book.filter("debug", "[a-z]+ \\");
    expect(book.shown.map(({ id }) => id)).toEqual([1]);
    expect(pieces("one (two) ONE", "one")).toEqual(["", "one", " (two) ", "ONE", ""]);
    expect(pieces("a(b", "(")).toEqual(["a", "(", "b"]);
  });
});
