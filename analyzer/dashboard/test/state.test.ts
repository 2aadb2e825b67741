// Snapshots, deltas, and the socket that brings them.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { View } from "../src/api/live";
import { Live, SILENCE, waitBefore } from "../src/api/live";
import type { Frame } from "../src/api/types";
import { after, nothing, withSamples } from "../src/state";
import { canary, experiment, sample } from "./made";

const snapshot: Frame = {
  type: "snapshot",
  sequence: 7,
  time: 1000,
  role: "operator",
  canaries: [canary(), canary({ name: "web" })],
  experiments: [experiment()],
  filters: [],
  planRevision: 3,
  samples: { "default/shop": [sample(1), sample(2)] },
};

test("a delta changes what it names and keeps the rest", () => {
  const first = after(nothing(), snapshot);
  const second = after(first ?? nothing(), {
    type: "delta",
    sequence: 8,
    time: 2000,
    canaries: [canary({ weight: 45 })],
    removedCanaries: ["default/web"],
    samples: { "default/shop": [sample(2), sample(3)] },
  });
  expect([...(second?.canaries.keys() ?? [])]).toEqual(["default/shop"]);
  expect(second?.canaries.get("default/shop")?.weight).toBe(45);
  expect(second?.samples.get("default/shop")?.map((one) => one.timestamp)).toEqual([1, 2, 3]);
  expect(second?.experiments.size).toBe(1);
  expect(second?.planRevision).toBe(3);
});

test("a snapshot replaces everything", () => {
  const first = after(nothing(), snapshot);
  const second = after(first ?? nothing(), { type: "snapshot", sequence: 40, time: 3000, canaries: [] });
  expect(second?.canaries.size).toBe(0);
  expect(second?.experiments.size).toBe(0);
});

test("a gap in the sequence asks for a new snapshot", () => {
  const first = after(nothing(), snapshot);
  expect(after(first ?? nothing(), { type: "delta", sequence: 9, time: 2000 })).toBeNull();
  expect(after(nothing(), { type: "delta", sequence: 0, time: 2000 })).toBeNull();
});

test("samples come once however often they are sent", () => {
  const known = [sample(1), sample(2)];
  expect(withSamples(known, known).length).toBe(2);
});

test("waits grow to ten seconds and no further", () => {
  expect([0, 1, 2, 5, 50].map((attempt) => waitBefore(attempt, 0))).toEqual([500, 1000, 2000, 10_000, 10_000]);
  expect(waitBefore(2, 1)).toBe(1500);
});

/** A socket that a test plays the other end of. */
class Socket {
  static all: Socket[] = [];
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  constructor(readonly address: string) {
    Socket.all.push(this);
  }
  close(): void {
    this.closed = true;
  }
  send(frame: Frame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

beforeEach(() => {
  Socket.all = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function started(status: number): { views: View[]; live: Live; last: () => View } {
  vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"detail":"why"}', { status })));
  const views: View[] = [];
  const live = new Live("ws://here/v1/live", (view) => views.push(view));
  live.start();
  return { views, live, last: () => views.at(-1) as View };
}

test("a lost socket is said to be stale since its last frame, and is tried again", async () => {
  const { live, last } = started(426);
  Socket.all[0]?.send(snapshot);
  expect(last().link.state).toBe("live");
  const heard = Date.now();
  await vi.advanceTimersByTimeAsync(3000);
  Socket.all[0]?.onclose?.({ code: 1006 });
  expect(last().link).toMatchObject({ state: "lost", since: heard });
  expect(last().world.canaries.size).toBe(2);
  await vi.advanceTimersByTimeAsync(600);
  expect(Socket.all.length).toBe(2);
  Socket.all[1]?.send(snapshot);
  expect(last().link.state).toBe("live");
  live.stop();
});

test("a silent socket is a dead one", async () => {
  const { live, last } = started(426);
  Socket.all[0]?.send(snapshot);
  await vi.advanceTimersByTimeAsync(SILENCE + 2000);
  expect(Socket.all[0]?.closed).toBe(true);
  expect(Socket.all.length).toBeGreaterThan(1);
  expect(last().link.state).toBe("lost");
  live.stop();
});

test("an ended session is no outage", async () => {
  const { live, last } = started(401);
  Socket.all[0]?.send(snapshot);
  Socket.all[0]?.onclose?.({ code: 1008 });
  expect(last().link.state).toBe("signedOut");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Socket.all.length).toBe(1);
  live.stop();
});

test("a refusal that a socket cannot read is asked for", async () => {
  const { live, last } = started(503);
  Socket.all[0]?.onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(10);
  expect(last().link).toMatchObject({ state: "lost", why: "why" });
  live.stop();
});

test("a missed frame opens another socket", () => {
  const { live } = started(426);
  Socket.all[0]?.send(snapshot);
  Socket.all[0]?.send({ type: "delta", sequence: 12, time: 2000 });
  expect(Socket.all.length).toBe(2);
  live.stop();
});
