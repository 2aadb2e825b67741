// One experiment: the recommendation on top, the arms, what may be concluded and when, the funnel, the end.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { endExperiment, experiment as fetchExperiment, results as fetchResults, Refusal } from "../api/calls";
import type { Experiment, Results } from "../api/types";
import { Boundary } from "../parts/boundary";
import { Age, When } from "../parts/bits";
import { Confirm } from "../parts/dialog";
import { useShared } from "../shared";
import { count } from "../words/numbers";
import { Arms, Comparisons, Guardrails } from "./experiment/arms";
import { FunnelCard } from "./experiment/funnel";
import { OverTime } from "./experiment/time";
import { StatusBadge } from "./experiments";

/** How often results are asked for while somebody looks. */
const EVERY = 5000;

export function ExperimentPage({ id, steps }: { id: string; steps: string }): JSX.Element {
  const { session, view } = useShared();
  const { experiment, asking } = useExperiment(id);
  const { results, problem } = useResults(id, experiment?.status ?? "", view.link.state === "live");
  if (experiment === undefined) {
    return (
      <p class="none">
        {asking ? "Looking up that experiment…" : `There is no experiment ${id}.`}{" "}
        <a href="#/experiments">All experiments</a>
      </p>
    );
  }
  return (
    <>
      <Head experiment={experiment} results={results} />
      {session.role === "operator" && <End experiment={experiment} results={results} />}
      {problem !== null && (
        <p class="problem" role="alert">
          The results cannot be had: {problem}
        </p>
      )}
      {results !== null && (
        <Boundary>
          <Arms experiment={experiment} results={results} />
          <Comparisons results={results} />
          <Guardrails results={results} />
          <div class="grid two">
            <OverTime experiment={experiment} results={results} />
            <FunnelCard id={id} steps={steps} arms={experiment.spec.arms.map((arm) => arm.name)} />
          </div>
        </Boundary>
      )}
    </>
  );
}

/** From the live view, or asked for once where it ended too long ago to be there. */
function useExperiment(id: string): { experiment: Experiment | undefined; asking: boolean } {
  const { world } = useShared().view;
  const live = world.experiments.get(id);
  const [old, setOld] = useState<Experiment | undefined>(undefined);
  const [asking, setAsking] = useState(true);
  const missing = world.loaded && live === undefined;
  useEffect(() => {
    if (!missing) return;
    let current = true;
    const found = (answer: Experiment | undefined): void => {
      if (!current) return;
      setOld(answer);
      setAsking(false);
    };
    fetchExperiment(id).then(found, () => found(undefined));
    return () => {
      current = false;
    };
  }, [id, missing]);
  return { experiment: live ?? (old?.id === id ? old : undefined), asking };
}

function useResults(id: string, status: string, live: boolean): { results: Results | null; problem: string | null } {
  const [results, setResults] = useState<Results | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let current = true;
    const get = async (): Promise<void> => {
      try {
        const found = await fetchResults(id);
        if (current) {
          setResults(found);
          setProblem(null);
        }
      } catch (error) {
        if (current) setProblem(error instanceof Refusal ? error.message : String(error));
      }
    };
    if (live) void get();
    const timer = live ? setInterval(() => void get(), EVERY) : undefined;
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [id, status, live]);
  return { results, problem };
}

function Head({ experiment, results }: { experiment: Experiment; results: Results | null }): JSX.Element {
  const mismatch = results?.sample_ratio.mismatch === true;
  const { spec } = experiment;
  return (
    <section
      class={`card answer ${mismatch ? "bad" : experiment.status === "running" ? "good" : "done"}`}
      aria-label="What it says"
    >
      <div class="title">
        <h1>{experiment.id}</h1>
        <StatusBadge experiment={experiment} />
        <span class="since">
          began <When time={Date.parse(experiment.created)} /> (
          <Age
            since={Date.parse(experiment.created)}
            until={experiment.ended === null ? null : Date.parse(experiment.ended)}
          />
          )
          {experiment.ended !== null && (
            <>
              , ended <When time={Date.parse(experiment.ended)} />
            </>
          )}
        </span>
      </div>
      <p class="headline">{mismatch ? "Sample ratio mismatch: trust no number below." : recommendation(results)}</p>
      {experiment.name !== experiment.id && <p class="reason">{experiment.name}</p>}
      {spec.hypothesis !== undefined && <p class="reason">Hypothesis: {spec.hypothesis}</p>}
      {spec.owner !== undefined && <p class="faint">Owner: {spec.owner}</p>}
    </section>
  );
}

/** What to do, from the numbers that may be looked at at any time; the classical ones are for one look at the end. */
export function recommendation(results: Results | null): string {
  if (results === null) return "Asking for the results…";
  const harmed = results.guardrails.filter((guard) => guard.harmed);
  if (harmed.length > 0) {
    return `Stop: ${harmed.map((guard) => `${guard.arm} harms ${guard.goal}`).join(", ")}.`;
  }
  const first = results.comparisons[0]?.goal;
  const sure = results.comparisons.filter(
    (one) => one.goal === first && one.significant_at_any_time && one.lift !== null,
  );
  const best = sure.toSorted((a, b) => (b.lift ?? 0) - (a.lift ?? 0))[0];
  if (best !== undefined && best.lift !== null) {
    const by = `${best.lift > 0 ? "+" : "−"}${Math.abs(best.lift).toFixed(1)} %`;
    return best.lift > 0
      ? `${best.arm} is better (${by} ${best.goal}), however often you look: consider rolling it out.`
      : `${best.arm} is worse (${by} ${best.goal}), however often you look: keep control.`;
  }
  const seen = Object.values(results.variants).reduce((sum, variant) => sum + variant.exposures, 0);
  return seen === 0 ? "Nobody has taken part yet." : "No difference is certain yet: let it go on.";
}

/** How an experiment ends that no call may end, by where it comes from. */
const ENDS_ELSEWHERE: Record<string, string> = {
  file: "It is declared in a file: it ends when it is taken out there.",
  cluster: "It is an Experiment object: it ends when that is deleted.",
  canary: "It belongs to a release, and ends with it.",
};

function End({ experiment, results }: { experiment: Experiment; results: Results | null }): JSX.Element | null {
  const [asked, setAsked] = useState(false);
  if (experiment.status === "ended") return null;
  const seen = Object.values(results?.variants ?? {}).reduce((sum, variant) => sum + variant.exposures, 0);
  const elsewhere = ENDS_ELSEWHERE[experiment.source];
  return (
    <div class="controls" role="group" aria-label="Controls">
      <button type="button" class="danger" disabled={elsewhere !== undefined} onClick={() => setAsked(true)}>
        End
      </button>
      {elsewhere !== undefined && <span class="faint">{elsewhere}</span>}
      {asked && (
        <Confirm
          title={`End ${experiment.id}?`}
          confirm="End it"
          danger
          act={(reason) => endExperiment(experiment.id, reason)}
          close={() => setAsked(false)}
        >
          <p>
            {count(seen)} users have taken part. Nobody is assigned any more, for good: its id cannot be used again. The
            results stay.
          </p>
        </Confirm>
      )}
    </div>
  );
}
