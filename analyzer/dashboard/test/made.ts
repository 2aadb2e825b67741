// A canary, samples and an experiment for tests, with what a test does not care about filled in.
import type { Canary, Experiment, Results, Sample } from "../src/api/types";

const arm = {
  requests: 100,
  errors: 1,
  error_rate: 1,
  error_rate_interval: [0.2, 3] as [number, number],
  latency_p50: 0.008,
  latency_p95: 0.02,
  latency_p99: 0.04,
  overdue: 0,
  units: 50,
  erring_units: 1,
  slow_units: 0,
};

export function canary(change: Partial<Canary> = {}): Canary {
  return {
    namespace: "default",
    name: "shop",
    phase: "Progressing",
    weight: 25,
    nextWeight: 45,
    step: 2,
    stableVersion: "v1",
    canaryVersion: "v2",
    verdict: { outcome: "continue", rule: "continue", reason: "All metrics within acceptable thresholds" },
    router: { weight: 25, error: null },
    summary: {
      window: { stable: arm, canary: arm },
      step_requests: { stable: 100, canary: 100 },
      evidence: { errors: 1, slow: 1, threshold: 20, odds_ratio: null },
      sample_ratio: 0.3,
      slow_edge: 0.03,
      last_report: 999_500,
    },
    sources: [],
    metrics: [],
    totals: {
      stable: { requests: 1000, errors: 10 },
      canary: { requests: 300, errors: 3 },
      forced: { stable: { requests: 0, errors: 0 }, canary: { requests: 2, errors: 0 } },
    },
    history: [],
    time: 1_000_000,
    settings: {
      ramp: [5, 25, 45, 65, 100],
      promotionInterval: 60,
      analysisInterval: 10,
      maxErrorRate: 5,
      maxLatencyIncrease: 50,
      minRequestCount: 10,
      falseRollbackRate: 0.05,
      promotion: "manual",
    },
    rolloutStarted: 900_000,
    stepStarted: 950_000,
    next: { tick: 1_005_000, what: "raise", weight: 45, earliest: 1_038_000 },
    traffic: {
      requestsPerMinute: { stable: 1900, canary: 640 },
      servedShare: 24.8,
      users: { stable: 8000, canary: 2600 },
      usersSince: 950_000,
      canaryUsersLastMinute: 1240,
    },
    words: { errors: null, latency: null },
    slo: { stable: {}, canary: {} },
    slos: [],
    anomalies: [],
    alerts: [],
    ...change,
  };
}

export function sample(timestamp: number, latency: [number, number][] = []): Sample {
  const version = {
    requests: 10,
    errors: 0,
    error_rate: 0,
    error_rate_interval: null,
    latency_p50: null,
    latency_p95: null,
    latency_p99: null,
    latency,
    cpu_percent: null,
    memory_bytes: null,
  };
  return {
    timestamp,
    step: 1,
    weight: 5,
    evidence: { errors: 1, slow: 1, threshold: 20, odds_ratio: null },
    versions: { stable: version, canary: version },
  };
}

export function experiment(change: Partial<Experiment> = {}): Experiment {
  return {
    id: "button",
    name: "Button",
    status: "running",
    source: "api",
    created: "2026-01-01T00:00:00Z",
    ended: null,
    step: 1,
    shares: { control: 50, treatment: 50 },
    spec: {
      arms: [
        { name: "control", share: 50 },
        { name: "treatment", share: 50 },
      ],
    },
    ...change,
  };
}

export function results(change: Partial<Results> = {}): Results {
  return {
    start_date: "2026-01-01T00:00:00Z",
    end_date: null,
    which_to_trust: "",
    variants: {
      control: { exposures: 400, conversions: 30, conversion_rate: 7.5, wilson_interval: [5, 10] },
      treatment: { exposures: 400, conversions: 60, conversion_rate: 15, wilson_interval: [12, 19] },
    },
    analysis: null,
    comparisons: [],
    guardrails: [],
    sample_ratio: { e_value: 0.1, mismatch: false },
    ...change,
  };
}
