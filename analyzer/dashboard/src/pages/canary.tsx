// One release: the answer on top, what can be done, and the numbers behind it.
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { rollout as fetchRollout, rollouts as fetchRollouts } from "../api/calls";
import { complete } from "../api/complete";
import type { Canary, Rollout, Sample } from "../api/types";
import { Boundary } from "../parts/boundary";
import type { Range } from "../route";
import { marks } from "../series";
import { useNow, useShared } from "../shared";
import { local } from "../words/time";
import { Answer } from "./canary/answer";
import { Charts } from "./canary/charts";
import { Controls } from "./canary/controls";
import { Filters } from "./canary/filters";
import { History } from "./canary/history";
import { Numbers } from "./canary/numbers";
import { Pace } from "./canary/pace";
import { Alarms, Limits, Slos } from "./canary/slos";
import { TrafficParts } from "./canary/traffic";
import { useSamples } from "./samples";

interface Properties {
  id: string;
  range: Range;
}

export function CanaryPage({ id, range }: Properties): JSX.Element {
  const { world } = useShared().view;
  const running = world.canaries.get(id);
  const past = usePast(id, running?.rolloutStarted ?? 0, running?.phase ?? "", range.rollout);
  if (running === undefined) {
    return (
      <p class="none">
        There is no canary {id} (any more). <a href="#/canaries">All canaries</a>
      </p>
    );
  }
  const old = range.rollout !== undefined && range.rollout !== running.rolloutStarted;
  if (old && past.canary === null) return <p class="none">{past.problem ?? "Looking up that rollout…"}</p>;
  const canary = old && past.canary !== null ? past.canary : running;
  const started = old ? (range.rollout ?? 0) : running.rolloutStarted;
  const entry = past.all.find((known) => known.started === started);
  const ended = old ? (entry?.ended ?? canary.time) : null;
  return <Shown {...{ id, range, canary, started, ended, old, all: past.all }} live={world.samples.get(id) ?? []} />;
}

/** The list of rollouts, and the one that is asked for as it was at its end. */
function usePast(
  id: string,
  running: number,
  phase: string,
  asked: number | undefined,
): { all: Rollout[]; canary: Canary | null; problem: string | null } {
  const [all, setAll] = useState<Rollout[]>([]);
  const [canary, setCanary] = useState<Canary | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    fetchRollouts(id).then(setAll, () => setAll([]));
  }, [id, running, phase]);
  useEffect(() => {
    setCanary(null);
    setProblem(null);
    if (asked === undefined || asked === running) return;
    fetchRollout(id, asked).then(
      (report) => setCanary(complete(report.canary)),
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  }, [id, asked, running]);
  return { all, canary, problem };
}

interface ShownProperties extends Properties {
  canary: Canary;
  started: number;
  ended: number | null;
  /** A rollout that is over and followed by another: nothing can be done any more. */
  old: boolean;
  all: Rollout[];
  live: readonly Sample[];
}

function Shown({ id, range, canary, started, ended, old, all, live }: ShownProperties): JSX.Element {
  const { session } = useShared();
  const now = useNow();
  const { samples, problem } = useSamples(id, range, started, ended, live, now);
  const first = samples[0]?.timestamp ?? started;
  // A verdict comes after the last sample: a rollout that has ended takes no more.
  const last = range.to ?? ended ?? Infinity;
  const shown = samples.at(-1)?.timestamp ?? started;
  const found = useMemo(() => marks(canary.history, first, last, shown), [canary.history, first, last, shown]);
  return (
    <>
      <Answer id={id} canary={canary} old={old} />
      {!old && session.role === "operator" && <Controls id={id} canary={canary} />}
      {old && (
        <p class="past">
          This is a past rollout, {local(started)} to {local(ended ?? canary.time)}, from the stored samples.{" "}
          <a href={`#/canaries/${id}`}>To the present</a>
        </p>
      )}
      <Alarms canary={canary} />
      <div class="grid two">
        <TrafficParts canary={canary} />
        <Numbers canary={canary} samples={samples} />
      </div>
      <Pace id={id} range={range} all={all} started={started} samples={samples} />
      {problem !== null && (
        <p class="problem" role="alert">
          The stored samples cannot be had: {problem}
        </p>
      )}
      <Boundary>
        <Charts canary={canary} samples={samples} marks={found} />
      </Boundary>
      <Boundary>
        <Slos canary={canary} samples={samples} />
      </Boundary>
      <Limits canary={canary} />
      <div class="grid two">
        <History history={canary.history} />
        {!old && <Filters canary={canary} />}
      </div>
    </>
  );
}
