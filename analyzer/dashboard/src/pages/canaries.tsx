// All releases at a glance.
import type { JSX } from "preact";
import type { Canary, Phase, Sample } from "../api/types";
import { idOf } from "../api/types";
import { Age, Health, Key, PhaseBadge, Sparkline, WeightBar } from "../parts/bits";
import { Filter } from "../parts/filter";
import type { Route } from "../route";
import { replace, write } from "../route";
import { useShared } from "../shared";
import { finds } from "../words/search";

const PHASES: Phase[] = ["Pending", "Progressing", "Paused", "Promoting", "Succeeded", "Failed"];

/** What needs somebody comes first. */
const ORDER: Phase[] = ["Failed", "Paused", "Progressing", "Promoting", "Pending", "Succeeded"];

/** Those that a search and a phase leave, those first that need somebody. */
export function chosen(canaries: readonly Canary[], search: string, phase: string): Canary[] {
  const texts = (canary: Canary): string[] => [
    idOf(canary),
    canary.stableVersion,
    canary.canaryVersion,
    canary.phase,
    canary.verdict.reason,
  ];
  return canaries
    .filter((canary) => (phase === "" || canary.phase === phase) && finds(search, texts(canary)))
    .sort((a, b) => ORDER.indexOf(a.phase) - ORDER.indexOf(b.phase) || idOf(a).localeCompare(idOf(b)));
}

export function Canaries({ route }: { route: Extract<Route, { page: "canaries" }> }): JSX.Element {
  const { world } = useShared().view;
  const all = [...world.canaries.values()];
  const shown = chosen(all, route.search, route.phase);
  return (
    <>
      <div class="top">
        <h1>Canaries</h1>
        <Filter
          search={route.search}
          choice={route.phase}
          choices={PHASES}
          all="all phases"
          changed={(search, phase) => replace({ page: "canaries", search, phase })}
        />
      </div>
      {all.length === 0 && world.loaded && <Nothing />}
      {all.length > 0 && shown.length === 0 && <p class="none">None of the {all.length} canaries is like that.</p>}
      <ul class="rows" aria-label="Canaries">
        {shown.map((canary) => (
          <Row key={idOf(canary)} canary={canary} samples={world.samples.get(idOf(canary)) ?? []} />
        ))}
      </ul>
    </>
  );
}

function Row({ canary, samples }: { canary: Canary; samples: readonly Sample[] }): JSX.Element {
  const id = idOf(canary);
  const own = samples.filter((sample) => sample.timestamp >= canary.rolloutStarted);
  return (
    <li class="card row">
      <div class="what">
        <a href={write({ page: "canary", id, range: {} })}>{id}</a>
        <PhaseBadge phase={canary.phase} />
      </div>
      <div class="versions">
        <Key arm="stable" />
        {canary.stableVersion} <span aria-label="to">→</span> <Key arm="canary" />
        {canary.canaryVersion}
      </div>
      <WeightBar canary={canary} />
      <div class="verdict">
        <Health canary={canary} /> <span class="reason">{canary.verdict.reason}</span>
      </div>
      <Sparkline samples={own} />
      <div class="age">
        <Age since={canary.rolloutStarted} />
      </div>
    </li>
  );
}

const Nothing = (): JSX.Element => (
  <section class="card start">
    <h2>No canary yet</h2>
    <p>Describe a release, and it shows up here by itself:</p>
    <ul>
      <li>
        in Kubernetes: <code>kubectl apply -f canary.yaml</code>, with a <code>kind: Canary</code>;
      </li>
      <li>
        elsewhere: add the same document to the file of <code>serin serve --config</code>, then send the program SIGHUP.
      </li>
    </ul>
    <p>
      <code>serin check canary.yaml</code> finds what would not work before anything is touched.
    </p>
  </section>
);
