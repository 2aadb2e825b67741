// Fills what an older analyzer, or a report that one stored, does not say, so that pages can rely on it.
import type { Canary, Frame } from "./types";

/** What may be missing: everything that the first version of the API did not have. */
export type Partly = Omit<Canary, Added> & Partial<Pick<Canary, Added>>;
type Added =
  | "settings"
  | "rolloutStarted"
  | "stepStarted"
  | "next"
  | "traffic"
  | "words"
  | "slo"
  | "slos"
  | "anomalies"
  | "alerts";

export function complete(canary: Partly): Canary {
  const began = canary.history[0]?.time ?? canary.time;
  const window = canary.summary.window;
  return {
    settings: {
      ramp: [],
      promotionInterval: 0,
      analysisInterval: 0,
      maxErrorRate: 5,
      maxLatencyIncrease: 50,
      minRequestCount: 0,
      falseRollbackRate: 1 / canary.summary.evidence.threshold,
      promotion: "manual",
    },
    rolloutStarted: began,
    stepStarted: canary.history.at(-1)?.time ?? began,
    next: { tick: canary.time, what: null, weight: canary.nextWeight, earliest: null },
    traffic: {
      requestsPerMinute: { stable: window.stable.requests, canary: window.canary.requests },
      servedShare: null,
      users: { stable: window.stable.units, canary: window.canary.units },
      usersSince: began,
      canaryUsersLastMinute: Math.min(window.canary.units, window.canary.requests),
    },
    words: { errors: null, latency: null },
    slo: { stable: {}, canary: {} },
    slos: [],
    anomalies: [],
    alerts: [],
    ...canary,
  };
}

/** A frame whose canaries are complete. */
export const completeFrame = (frame: Frame): Frame =>
  frame.canaries === undefined ? frame : { ...frame, canaries: frame.canaries.map(complete) };
