// Samples as charts draw them.
import { expect, test } from "vitest";
import type { Transition } from "../src/api/types";
import { box, distribution, extent, histogram, lowerBound, marks, quantile } from "../src/series";
import { sample } from "./made";

test("buckets begin where the contract says", () => {
  // contract/src/latency.rs: exact below 16 µs, then sixteenths of each power of two.
  expect([0, 15, 16, 17, 32, 960].map((index) => Math.round(lowerBound(index) * 1e6))).toEqual([
    0,
    15,
    16,
    17,
    32,
    2 ** 63,
  ]);
  for (const micros of [1000, 8959, 100_000, 2_000_000]) {
    const exponent = Math.floor(Math.log2(micros));
    const index = 16 * (exponent - 3) + (Math.floor(micros / 2 ** (exponent - 4)) & 15);
    expect(lowerBound(index) * 1e6).toBeLessThanOrEqual(micros);
    expect(lowerBound(index + 1) * 1e6).toBeGreaterThan(micros);
  }
});

test("quantiles of merged samples are those of all their requests", () => {
  const samples = [
    sample(1, [
      [160, 90],
      [170, 5],
    ]),
    sample(2, [
      [160, 5],
      [200, 100],
    ]),
  ];
  const buckets = histogram(samples, "stable");
  expect(buckets).toEqual([
    [160, 95],
    [170, 5],
    [200, 100],
  ]);
  expect(quantile(buckets, 0.5)).toBeCloseTo((lowerBound(170) + lowerBound(171)) / 2);
  expect(quantile(buckets, 0.51)).toBeCloseTo((lowerBound(200) + lowerBound(201)) / 2);
  expect(box([])).toBeNull();
  expect(box(buckets)?.[4]).toBeCloseTo((lowerBound(200) + lowerBound(201)) / 2);
});

test("a distribution adds up to everything, with its gaps", () => {
  const points = distribution([
    [160, 1],
    [162, 3],
  ]);
  expect(points.map(([, part]) => part)).toEqual([0, 25, 0, 75, 0]);
  expect(distribution([])).toEqual([]);
  expect(extent([[], []])).toBeNull();
});

test("weight changes and verdicts are marked, and near ones keep one text", () => {
  const line = (time: number, phase: Transition["phase"], weight: number): Transition => ({
    time,
    phase,
    weight,
    step: 1,
    reason: "",
    by: null,
  });
  const history = [
    line(0, "Progressing", 5),
    line(10, "Progressing", 25),
    line(500, "Progressing", 50),
    line(505, "Failed", 0),
  ];
  expect(marks(history, 0, 1000, 990).map((mark) => [mark.time, mark.text, mark.kind])).toEqual([
    [0, "5 %", "weight"],
    [10, "", "weight"],
    [500, "", "weight"],
    [505, "Failed", "failure"],
  ]);
  expect(marks(history, 400, 450, 450)).toEqual([]);
  expect(marks(history, 0, Infinity, 500).at(-1)?.text).toBe("Failed");
  const early = [line(0, "Progressing", 5), line(10, "Promoting", 100)];
  expect(marks(early, 0, Infinity, 12).map((mark) => mark.text)).toEqual(["5 %", "Promoting"]);
  expect(marks(early, 0, Infinity, 1000).map((mark) => mark.text)).toEqual(["", "Promoting"]);
});
