// Numbers, times and sentences.
import { expect, test } from "vitest";
import { consequence, headline, next, odds, possible } from "../src/words/canary";
import { bytes, count, evidence, latency, percent, rate, signed } from "../src/words/numbers";
import { length, utc } from "../src/words/time";
import { canary } from "./made";

test("large numbers are readable and missing ones are a dash", () => {
  expect([950, 1240, 12_412, 3_214_000, 5e9].map(count)).toEqual(["950", "1,240", "12.4 k", "3.21 M", "5 bn"]);
  expect([null, undefined, NaN, Infinity].map(count)).toEqual(["–", "–", "–", "–"]);
});

test("a part near 100 % is not rounded to it", () => {
  expect([99.99, 5, 0.421, 0].map(percent)).toEqual(["99.99 %", "5 %", "0.42 %", "0 %"]);
  expect([-1957.6, -0.5, -0.001].map(percent)).toEqual(["−1,958 %", "−0.5 %", "0 %"]);
  expect(rate(0.4)).toBe("0.40 %");
});

test("latencies and bytes choose their unit", () => {
  expect([0.008959, 1.25, 0.000214, 0].map(latency)).toEqual(["8.96 ms", "1.25 s", "214 µs", "0 ms"]);
  expect([0, 512, 225_000_000, 3 * 1024 ** 3].map(bytes)).toEqual(["0 B", "512 B", "215 MiB", "3 GiB"]);
});

test("evidence may be huge or tiny", () => {
  expect([20, 0.97, 3_400_000, 1e-9, 0].map(evidence)).toEqual(["20", "0.97", "3.4e+6", "1.0e-9", "0"]);
});

test("a difference has its sign, zero too", () => {
  expect([-0.5, 0.5, 0].map((value) => signed(value, rate))).toEqual(["−0.50 %", "+0.50 %", "±0.00 %"]);
});

test("lengths have at most two units", () => {
  expect([38_000, 250_000, 11_100_000, 187_200_000, -5].map(length)).toEqual([
    "38 s",
    "4 min 10 s",
    "3 h 5 min",
    "2 d 4 h",
    "0 s",
  ]);
  expect(utc(0)).toBe("1970-01-01 00:00:00 UTC");
});

test("the headline says where the release is, and the next step when", () => {
  expect(headline(canary())).toBe("v2 at 25 %, healthy");
  expect(next(canary(), 1_000_000)).toBe("Next step 45 % in 38 s.");
  const held = canary({ verdict: { outcome: "hold", rule: "requestCount", reason: "3 of 10 requests" } });
  expect(headline(held)).toBe("v2 at 25 %, held");
  expect(next(held, 1_000_000)).toContain("once nothing is held against it");
  expect(headline(canary({ phase: "Failed", weight: 0 }))).toBe("v2 was rolled back: everybody is on v1");
});

test("a rollback's consequence is in numbers", () => {
  const text = consequence(canary({ weight: 12 }), "rollback");
  expect(text).toBe("12 % of users, at most 1,240 in the last minute, go back to v1 at once. v2 keeps none.");
  const promoting = consequence(canary({ phase: "Promoting", weight: 100 }), "rollback");
  expect(promoting).toContain("bring it to v1 first if users must leave v2");
  expect(consequence(canary(), "promote")).toContain("75 % of users, about 8,000 seen at this weight so far, leave v1");
  expect(consequence(canary(), "promote")).toContain("It skips 45 %, 65 %.");
});

test("only what the phase allows is offered", () => {
  expect(possible(canary())).toEqual(["pause", "promote", "rollback"]);
  expect(possible(canary({ phase: "Paused" }))).toEqual(["resume", "promote", "rollback"]);
  expect(possible(canary({ phase: "Failed", weight: 0 }))).toEqual([]);
  expect(possible(canary({ phase: "Succeeded", weight: 100 }))).toEqual(["rollback"]);
});

test("odds that say nothing yet are not said", () => {
  expect(odds([0, 1e9])).toBeNull();
  expect(odds([0.6, 2.1])).toBe("Canary users err 0.6 to 2.1 times as often as stable users.");
  expect(odds([0, 3])).toBe("Canary users err at most 3.0 times as often as stable users.");
});
