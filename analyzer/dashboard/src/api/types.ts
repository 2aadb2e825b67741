// What the analyzer sends, as far as the page uses it. Times are milliseconds since 1970, rates and
// weights are percent, latencies are seconds.

export type Phase = "Pending" | "Progressing" | "Paused" | "Promoting" | "Succeeded" | "Failed";
export type Outcome = "continue" | "hold" | "pause" | "fail";
export type Deed = "pause" | "resume" | "promote" | "rollback";
export type Interval = [number, number];
export type Arm = "stable" | "canary";

export interface PerArm<T> {
  stable: T;
  canary: T;
}

export interface ArmSummary {
  requests: number;
  errors: number;
  error_rate: number | null;
  error_rate_interval: Interval | null;
  latency_p50: number | null;
  latency_p95: number | null;
  latency_p99: number | null;
  overdue: number;
  units: number;
  erring_units: number;
  slow_units: number;
}

export interface Evidence {
  errors: number | null;
  slow: number | null;
  threshold: number;
  odds_ratio: Interval | null;
}

export interface Transition {
  time: number;
  phase: Phase;
  weight: number;
  step: number;
  reason: string;
  by: string | null;
}

export interface Standing {
  score: number;
  budget_left: number;
  burn: { long: number; short: number };
}

export interface Slo {
  name: string;
  objective: "availability" | "latency" | "errorRate";
  /** Percent of requests: at least so many are good; of an error rate, at most so many fail. */
  target: number;
  /** Seconds, of a latency. */
  threshold: number | null;
}

export interface Anomaly {
  type: string;
  severity: "low" | "medium" | "high";
  version?: Arm;
  message: string;
}

export interface Alert {
  kind: string;
  subject: string;
  severity: string;
  text: string;
  since: number;
}

export interface Settings {
  ramp: number[];
  promotionInterval: number;
  analysisInterval: number;
  maxErrorRate: number;
  maxLatencyIncrease: number;
  minRequestCount: number;
  falseRollbackRate: number;
  promotion: string;
}

export interface Traffic {
  requestsPerMinute: PerArm<number>;
  servedShare: number | null;
  users: PerArm<number>;
  usersSince: number;
  canaryUsersLastMinute: number;
}

export interface Limit {
  name: string;
  stable: number | null;
  canary: number | null;
  state: string;
  reason: string | null;
  onBreach: string;
}

export interface Source {
  source: string;
  up: boolean;
  since: number;
  problem: string | null;
}

export interface Canary {
  namespace: string;
  name: string;
  phase: Phase;
  weight: number;
  nextWeight: number | null;
  step: number;
  stableVersion: string;
  canaryVersion: string;
  verdict: { outcome: Outcome; rule: string; reason: string };
  router: { weight: number | null; error: string | null };
  summary: {
    window: PerArm<ArmSummary>;
    step_requests: PerArm<number>;
    evidence: Evidence;
    sample_ratio: number | null;
    last_report: number | null;
    slow_edge: number;
  };
  sources: Source[];
  metrics: Limit[];
  totals: PerArm<{ requests: number; errors: number }> & { forced: PerArm<{ requests: number; errors: number }> };
  history: Transition[];
  time: number;
  settings: Settings;
  rolloutStarted: number;
  stepStarted: number;
  next: { tick: number; what: "raise" | "finish" | null; weight: number | null; earliest: number | null };
  traffic: Traffic;
  words: { errors: string | null; latency: string | null };
  slo: PerArm<Record<string, Standing>>;
  slos: Slo[];
  anomalies: Anomaly[];
  alerts: Alert[];
}

export interface SampleOfVersion {
  requests: number;
  errors: number;
  error_rate: number | null;
  error_rate_interval: Interval | null;
  latency_p50: number | null;
  latency_p95: number | null;
  latency_p99: number | null;
  latency?: [number, number][];
  cpu_percent: number | null;
  memory_bytes: number | null;
}

export interface Sample {
  timestamp: number;
  step: number;
  weight: number;
  evidence: Evidence;
  versions: PerArm<SampleOfVersion>;
  slo?: PerArm<Record<string, Standing>>;
  anomalies?: Anomaly[];
}

export interface Filter {
  instance: string;
  node: string;
  planRevision: number;
  pending: boolean;
  lastSeen: number;
  intervalMs: number;
}

export interface Rollout {
  started: number;
  ended: number | null;
  kind: "running" | "rollback" | "success";
  stableVersion: string;
  canaryVersion: string;
  weight: number;
  reason: string;
}

export interface RolloutReport {
  kind: string;
  time: number;
  started: number;
  canary: Canary;
  samples: Sample[];
}

export interface Experiment {
  id: string;
  name: string;
  status: "scheduled" | "running" | "ended";
  source: string;
  created: string;
  ended: string | null;
  step: number;
  shares: Record<string, number>;
  spec: {
    hypothesis?: string;
    owner?: string;
    arms: { name: string; share: number }[];
    goals?: { name: string; guardrail?: string }[];
    end?: string;
  };
}

export interface Variant {
  exposures: number;
  conversions: number;
  conversion_rate: number;
  wilson_interval: Interval;
}

export interface Comparison {
  goal: string;
  arm: string;
  p_value_holm: number | null;
  always_valid_p_value: number;
  always_valid_p_value_holm: number;
  significant_at_any_time: boolean;
  lift: number | null;
  lift_interval: [number | null, number | null];
  sample_size: { minimum_effect: number; per_arm: number; missing: number } | null;
}

export interface Results {
  start_date: string;
  end_date: string | null;
  which_to_trust: string;
  variants: Record<string, Variant>;
  analysis: { recommendation: string } | null;
  comparisons: Comparison[];
  guardrails: { goal: string; arm: string; role: string; e_value: number; harmed: boolean }[];
  sample_ratio: { e_value: number; mismatch: boolean };
}

/** How an experiment stood at a time. */
export interface ExperimentPoint {
  time: number;
  step: number;
  arms: Record<string, { exposures: number; converted: Record<string, number> }>;
  comparisons: { goal: string; arm: string; alwaysValidPValue: number; lift: number | null }[];
}

export interface Funnel {
  arms: Record<
    string,
    { step: string; users: number; dropOff: number | null; fromFirst: number | null; medianSeconds: number | null }[]
  >;
}

export interface Session {
  role: "none" | "viewer" | "operator";
  name: string | null;
  expires: number | null;
  signInNeeded: boolean;
  canSignIn: boolean;
}

export interface Frame {
  type: "snapshot" | "delta";
  sequence: number;
  time: number;
  role?: "viewer" | "operator";
  canaries?: Canary[];
  removedCanaries?: string[];
  experiments?: Experiment[];
  removedExperiments?: string[];
  filters?: Filter[];
  planRevision?: number;
  samples?: Record<string, Sample[]>;
}

/** `<namespace>/<name>`. */
export const idOf = (canary: { namespace: string; name: string }): string => `${canary.namespace}/${canary.name}`;
