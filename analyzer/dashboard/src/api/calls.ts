// The analyzer's HTTP API. A call that fails throws a Refusal with the analyzer's own words.
import type {
  Canary,
  Deed,
  Experiment,
  ExperimentPoint,
  Funnel,
  Results,
  Rollout,
  RolloutReport,
  Sample,
  Session,
} from "./types";

/** Why a call failed: the status (0: no answer at all), and what the analyzer says. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Seconds after which to try again, where the analyzer says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, headers: { accept: "application/json" }, credentials: "same-origin" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, "content-type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Refusal(0, "The analyzer does not answer.");
  }
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => null)) as { detail?: string } | null;
    const after = Number(answer.headers.get("retry-after"));
    throw new Refusal(
      answer.status,
      problem?.detail ?? `The analyzer answers ${answer.status}.`,
      after > 0 ? after : null,
    );
  }
  return (await answer.json()) as T;
}

/** `<namespace>/<name>` as a path. */
const pathOf = (id: string): string => `/v1/canaries/${id.split("/").map(encodeURIComponent).join("/")}`;
const experimentPath = (id: string): string => `/v1/experiments/${encodeURIComponent(id)}`;

/** A part of a canary's life; open ends reach to its beginning and to now. */
export interface Span {
  from?: number | undefined;
  to?: number | undefined;
}

function spanQuery(span: Span, most: number): string {
  const query = new URLSearchParams({ most: String(most), latency: "true" });
  if (span.from !== undefined) query.set("from", String(Math.floor(span.from)));
  if (span.to !== undefined) query.set("to", String(Math.ceil(span.to)));
  return query.toString();
}

export const session = (): Promise<Session> => call("GET", "/v1/session");
export const signOut = (): Promise<Session> => call("DELETE", "/v1/session");
export const signIn = (token: string, name: string): Promise<Session> =>
  call("POST", "/v1/session", name.trim() === "" ? { token } : { token, name: name.trim() });

export const act = (id: string, deed: Deed, reason: string): Promise<Canary> =>
  call("POST", `${pathOf(id)}/${deed}`, { reason });
export const samples = (id: string, span: Span, most = 400): Promise<Sample[]> =>
  call("GET", `${pathOf(id)}/samples?${spanQuery(span, most)}`);
export const rollouts = (id: string): Promise<Rollout[]> => call("GET", `${pathOf(id)}/rollouts`);
export const rollout = (id: string, started: number): Promise<RolloutReport> =>
  call("GET", `${pathOf(id)}/report?format=json&rollout=${started}`);

/** One experiment, also where the live view no longer has it. */
export const experiment = (id: string): Promise<Experiment> => call("GET", experimentPath(id));
export const results = (id: string): Promise<Results> => call("GET", `${experimentPath(id)}/results`);
export const experimentSeries = (id: string): Promise<{ points: ExperimentPoint[] }> =>
  call("GET", `${experimentPath(id)}/series`);
export const funnel = (id: string, steps: string): Promise<Funnel> =>
  call("GET", `${experimentPath(id)}/funnel?${new URLSearchParams({ steps })}`);
export const endExperiment = (id: string, reason: string): Promise<Experiment> =>
  call("POST", `${experimentPath(id)}/end`, { reason });

/** What `/v1/live` says to a plain request: 426 when a socket would be taken. A socket's refusal cannot be read. */
export async function liveStatus(): Promise<{ status: number; detail: string }> {
  try {
    const answer = await fetch("/v1/live", { credentials: "same-origin" });
    const problem = (await answer.json().catch(() => null)) as { detail?: string } | null;
    return { status: answer.status, detail: problem?.detail ?? "" };
  } catch {
    return { status: 0, detail: "" };
  }
}
