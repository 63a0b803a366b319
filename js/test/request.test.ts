import { afterEach, describe, expect, test } from "vitest";
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
});
