// Samples as charts need them. Nothing here knows a chart library.
import type { Arm, Phase, Sample, SampleOfVersion, Transition } from "./api/types";

export type Point = [time: number, value: number | null];

/** One number of one version over time. */
export function series(samples: readonly Sample[], arm: Arm, of: (version: SampleOfVersion) => number | null): Point[] {
  return samples.map((sample) => [sample.timestamp, of(sample.versions[arm])]);
}

/** The smallest latency of a bucket, in seconds (contract/src/latency.rs). */
export function lowerBound(index: number): number {
  if (index < 16) return index / 1e6;
  const exponent = Math.floor(index / 16) + 3;
  return ((16 + (index % 16)) * 2 ** (exponent - 4)) / 1e6;
}

const middle = (index: number): number => (lowerBound(index) + lowerBound(index + 1)) / 2;

/** All latencies of a version, by bucket, fastest first. */
export function histogram(samples: readonly Sample[], arm: Arm): [index: number, count: number][] {
  const sums = new Map<number, number>();
  for (const sample of samples) {
    for (const [index, count] of sample.versions[arm].latency ?? []) {
      sums.set(index, (sums.get(index) ?? 0) + count);
    }
  }
  return [...sums].sort(([one], [other]) => one - other);
}

/** The latency that the part `q` does not exceed, in seconds: the middle of its bucket. */
export function quantile(buckets: readonly [number, number][], q: number): number | null {
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  const rank = Math.min(total, Math.max(1, Math.ceil(q * total)));
  let below = 0;
  for (const [index, count] of buckets) {
    below += count;
    if (below >= rank) return middle(index);
  }
  return null;
}

/** What a box shows: 5 %, 25 %, 50 %, 75 % and 95 %. */
export function box(buckets: readonly [number, number][]): [number, number, number, number, number] | null {
  const values = [0.05, 0.25, 0.5, 0.75, 0.95].map((q) => quantile(buckets, q));
  if (values.includes(null)) return null;
  return values as [number, number, number, number, number];
}

/** The part of requests in each bucket, in percent; every bucket from the first to the last, empty ones too. */
export function distribution(buckets: readonly [number, number][]): [seconds: number, percent: number][] {
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  const first = buckets[0]?.[0];
  const last = buckets.at(-1)?.[0];
  if (total === 0 || first === undefined || last === undefined) return [];
  const counts = new Map(buckets);
  const points: [number, number][] = [[middle(Math.max(0, first - 1)), 0]];
  for (let index = first; index <= last; index++)
    points.push([middle(index), (100 * (counts.get(index) ?? 0)) / total]);
  points.push([middle(last + 1), 0]);
  return points;
}

export interface Mark {
  time: number;
  text: string;
  /** `weight`: a step of the ramp. `verdict`: something that ended or stopped it. `failure`: it went back. */
  kind: "weight" | "verdict" | "failure";
}

/** Phases whose beginning somebody should see. */
const TOLD: Partial<Record<Phase, Mark["kind"]>> = {
  Paused: "verdict",
  Promoting: "verdict",
  Succeeded: "verdict",
  Failed: "failure",
};

/** Where the weight changed, and where a phase began that somebody should see; `shown` is the last sample's time. */
export function marks(history: readonly Transition[], from: number, to: number, shown: number): Mark[] {
  const found: Mark[] = [];
  let before: Transition | null = null;
  for (const line of history) {
    const phase = before === null || before.phase !== line.phase;
    const weight = before === null || before.weight !== line.weight;
    before = line;
    if (line.time < from || line.time > to) continue;
    const kind = phase ? TOLD[line.phase] : undefined;
    if (kind !== undefined) found.push({ time: line.time, text: line.phase, kind });
    else if (weight) found.push({ time: line.time, text: `${Number(line.weight.toFixed(2))} %`, kind: "weight" });
  }
  const end = Math.min(to, Math.max(shown, history.at(-1)?.time ?? from));
  return legible(found, (end - from) / 9);
}

/** Takes the text from marks that are too near to the one before; a verdict keeps its own. */
function legible(found: readonly Mark[], room: number): Mark[] {
  const kept: Mark[] = [];
  for (const mark of found) {
    const before = kept.findLastIndex((known) => known.text !== "");
    const near = before >= 0 && mark.time - (kept[before]?.time ?? 0) < room;
    if (near && mark.kind !== "weight") kept[before] = { ...(kept[before] as Mark), text: "" };
    kept.push(near && mark.kind === "weight" ? { ...mark, text: "" } : mark);
  }
  return kept;
}

/** From where to where most latencies lie, in seconds: from the fastest to 99.5 %. None without any. */
export function extent(histograms: readonly (readonly [number, number][])[]): [from: number, to: number] | null {
  const ends = histograms.flatMap((buckets) => {
    const first = buckets[0]?.[0];
    const last = quantile(buckets, 0.995);
    return first === undefined || last === null ? [] : [[lowerBound(Math.max(0, first - 1)), last * 1.07] as const];
  });
  if (ends.length === 0) return null;
  return [Math.min(...ends.map(([from]) => from)), Math.max(...ends.map(([, to]) => to))];
}

/** The samples of a time, ends included. */
export const between = (samples: readonly Sample[], from: number, to: number): Sample[] =>
  samples.filter((sample) => sample.timestamp >= from && sample.timestamp <= to);
