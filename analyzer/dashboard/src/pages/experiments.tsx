// All experiments at a glance.
import type { JSX } from "preact";
import type { Experiment } from "../api/types";
import { Age } from "../parts/bits";
import { Filter } from "../parts/filter";
import type { Route } from "../route";
import { replace, write } from "../route";
import { useShared } from "../shared";
import { percent } from "../words/numbers";
import { finds } from "../words/search";

const STATES = ["running", "scheduled", "ended"] as const;
const TONES: Record<Experiment["status"], string> = { running: "good", scheduled: "idle", ended: "done" };

/** Of those that have ended the live view has so many, the last ones (analyzer/src/engine/live.rs). */
const ENDED = 100;

export const StatusBadge = ({ experiment }: { experiment: Experiment }): JSX.Element => (
  <span class={`badge ${TONES[experiment.status]}`}>{experiment.status}</span>
);

export function chosen(experiments: readonly Experiment[], search: string, status: string): Experiment[] {
  const texts = (one: Experiment): string[] => [one.id, one.name, one.spec.hypothesis ?? "", one.spec.owner ?? ""];
  return experiments
    .filter((one) => (status === "" || one.status === status) && finds(search, texts(one)))
    .sort((a, b) => STATES.indexOf(a.status) - STATES.indexOf(b.status) || a.id.localeCompare(b.id));
}

export function Experiments({ route }: { route: Extract<Route, { page: "experiments" }> }): JSX.Element {
  const { world } = useShared().view;
  const all = [...world.experiments.values()];
  const shown = chosen(all, route.search, route.phase);
  return (
    <>
      <div class="top">
        <h1>Experiments</h1>
        <Filter
          search={route.search}
          choice={route.phase}
          choices={STATES}
          all="all states"
          changed={(search, phase) => replace({ page: "experiments", search, phase })}
        />
      </div>
      {all.length === 0 && (
        <section class="card start">
          <h2>No experiment yet</h2>
          <p>
            Create one with <code>POST /v1/experiments</code>, or as <code>kind: Experiment</code>: two arms, their
            shares, and a goal. It shows up here by itself.
          </p>
        </section>
      )}
      {all.length > 0 && shown.length === 0 && <p class="none">None of the {all.length} experiments is like that.</p>}
      <ul class="rows" aria-label="Experiments">
        {shown.map((experiment) => (
          <li key={experiment.id} class="card row experiment">
            <div class="what">
              <a href={write({ page: "experiment", id: experiment.id, steps: "" })}>{experiment.id}</a>
              <StatusBadge experiment={experiment} />
            </div>
            <div class="verdict">
              {experiment.name !== experiment.id && <strong>{experiment.name} </strong>}
              <span class="reason">{experiment.spec.hypothesis}</span>
            </div>
            <div class="versions">
              {experiment.spec.arms.map((arm) => `${arm.name} ${percent(experiment.shares[arm.name])}`).join(", ")}
            </div>
            <div class="age">
              <Age
                since={Date.parse(experiment.created)}
                until={experiment.ended === null ? null : Date.parse(experiment.ended)}
              />
            </div>
          </li>
        ))}
      </ul>
      {all.filter(({ status }) => status === "ended").length >= ENDED && (
        <p class="note">
          Of those that have ended, the last {ENDED} are here. <code>serin experiment list</code> has all, and an
          older one's address still shows it.
        </p>
      )}
    </>
  );
}
