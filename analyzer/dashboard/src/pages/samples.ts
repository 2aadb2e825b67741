// The samples that a canary's charts show: from the store for the time that is asked for, and live ones after
// them as they come.
import { useEffect, useState } from "preact/hooks";
import { samples as fetchSamples } from "../api/calls";
import type { Sample } from "../api/types";
import type { Range } from "../route";
import { between } from "../series";
import { withSamples } from "../state";

/** The time that a range means: `to` is open while it runs. */
export function spanOf(
  range: Range,
  started: number,
  ended: number | null,
  now: number,
): { from: number; to: number | undefined } {
  const to = Math.min(range.to ?? Infinity, ended ?? Infinity);
  const end = Number.isFinite(to) ? to : undefined;
  const from = range.last === undefined ? range.from : (end ?? now) - range.last * 1000;
  return { from: Math.max(started, from ?? started), to: end };
}

/** What is to be drawn, and why it is not, where the store does not answer. */
export function useSamples(
  id: string,
  range: Range,
  started: number,
  ended: number | null,
  live: readonly Sample[],
  now: number,
): { samples: Sample[]; problem: string | null } {
  const [stored, setStored] = useState<readonly Sample[]>([]);
  const [problem, setProblem] = useState<string | null>(null);
  const { from, to } = spanOf(range, started, ended, now);
  // A moving window is fetched from its widest begin; what falls out of it is cut below.
  const anchor = range.last === undefined ? from : started;
  useEffect(() => {
    let current = true;
    setStored([]);
    fetchSamples(id, { from: range.last === undefined ? anchor : spanOf(range, started, ended, now).from, to })
      .then((found) => {
        if (current) {
          setStored(found);
          setProblem(null);
        }
      })
      .catch((error: unknown) => {
        if (current) setProblem(error instanceof Error ? error.message : String(error));
      });
    return () => {
      current = false;
    };
  }, [id, anchor, to, range.last]);
  const all = ended === null ? withSamples(stored, live) : [...stored];
  return { samples: between(all, from, to ?? Infinity), problem };
}
