import { afterEach, describe, expect, it, test } from "vitest";
import { ask } from "../src/request.js";
import { fakeNetwork, restoreNetwork, SERVER } from "./fake-network.js";

const URL = SERVER.progressUrl("a");

afterEach(restoreNetwork);

describe("a request", () => {
  test.each([
    [{ message: "", reason: "TaskNotFoundError" }, "TaskNotFoundError"],
    [{ message: "Not Found", reason: null }, null],
    ["Not Found", null],
  ])("tells why it is refused, where the answer is one of ours: %j", async (body, reason) => {
    fakeNetwork(() => ({ status: 404, body }));
    expect(await ask(SERVER, URL, new AbortController().signal)).toMatchObject({ body, reason });
  });

  it("is not sent where nobody waits for its answer any more", async () => {
    const { requests } = fakeNetwork(() => ({ status: 200, body: {} }));
    expect(await ask(SERVER, URL, AbortSignal.abort())).toBeNull();
    expect(requests).toEqual([]);
  });
});
