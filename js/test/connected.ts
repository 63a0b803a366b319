/** A page that shows some tasks over the one socket of its connection. */

import { vi } from "vitest";
import { Connection, type Viewer } from "../src/connection.js";
import { FakeSocket, restoreNetwork, SERVER } from "./fake-network.js";

export const NOBODY: Viewer = { progress() {}, missing() {}, linked() {} };
const lives: AbortController[] = [];

/** Of somebody who looks, until `leave` at the latest. */
export function aLife(): AbortController {
  const life = new AbortController();
  lives.push(life);
  return life;
}

/** Nobody looks any more, and the network is the real one again. */
export async function leave(): Promise<void> {
  for (const life of lives.splice(0)) life.abort();
  await microtasks();
  restoreNetwork();
}

export function microtasks(): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(0);
}

export async function connected(ids: readonly string[], viewer: Viewer = NOBODY) {
  const connection = new Connection(SERVER);
  const life = aLife();
  connection.subscribe(ids, viewer, life.signal);
  await microtasks();
  FakeSocket.last.accept();
  return { connection, life, socket: FakeSocket.last };
}

/** Advances until another socket is opened; how long that took. */
export async function untilNextSocket(mostMs = 70_000): Promise<number> {
  const known = FakeSocket.all.length;
  let ms = 0;
  for (; FakeSocket.all.length === known && ms < mostMs; ms += 10) await vi.advanceTimersByTimeAsync(10);
  return ms;
}

/** So many in a row; the next one is being opened. */
export async function failSockets(times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    FakeSocket.last.drop();
    await untilNextSocket();
  }
}
