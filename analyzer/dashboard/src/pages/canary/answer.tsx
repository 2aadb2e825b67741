// The one clear answer: where the release is, what the judge thinks, what comes next and when.
import type { JSX } from "preact";
import type { Canary } from "../../api/types";
import { Age, Health, Key, PhaseBadge, WeightBar, When } from "../../parts/bits";
import { useNow } from "../../shared";
import { headline, health, next, odds } from "../../words/canary";
import { evidence, percent } from "../../words/numbers";

export function Answer({ id, canary, old }: { id: string; canary: Canary; old: boolean }): JSX.Element {
  const now = useNow();
  const { tone } = health(canary);
  const { evidence: found, window } = canary.summary;
  const errors = canary.words.errors === null ? odds(found.odds_ratio) : sentence(canary.words.errors);
  const slow = canary.words.latency === null ? null : sentence(canary.words.latency);
  // Once everybody is to have the canary its users are compared with nobody, and nothing is rolled back for evidence.
  const judged = canary.phase !== "Promoting" && canary.phase !== "Succeeded";
  const compared = window.stable.requests + window.canary.requests > 0;
  return (
    <section class={`card answer ${tone}`} aria-label="Where the release is">
      <div class="title">
        <h1>{id}</h1>
        <PhaseBadge phase={canary.phase} />
        <span class="versions">
          <Key arm="stable" />
          {canary.stableVersion} <span aria-label="to">→</span> <Key arm="canary" />
          {canary.canaryVersion}
        </span>
        <span class="since">
          began <When time={canary.rolloutStarted} /> (
          <Age since={canary.rolloutStarted} until={old ? canary.time : null} />)
        </span>
      </div>
      <p class="headline" aria-live="polite">
        {headline(canary)}.
      </p>
      {!old && <p class="next">{next(canary, now)}</p>}
      <p class="reason">
        <Health canary={canary} /> {canary.verdict.reason}
      </p>
      {compared && (errors !== null || slow !== null) && (
        <p class="words">
          {errors} {slow}
        </p>
      )}
      {compared && judged && (
        <p class="words faint">
          Evidence against the canary: errors E = {evidence(found.errors)}, slowness E = {evidence(found.slow)}; a
          rollback at {evidence(found.threshold)}.
        </p>
      )}
      <WeightBar canary={canary} />
      {canary.router.error !== null && (
        <p class="problem" role="alert">
          The router has {percent(canary.router.weight)} and does not take the weight: {canary.router.error}
        </p>
      )}
    </section>
  );
}

/** With a capital letter and a full stop. */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return begun.endsWith(".") ? begun : `${begun}.`;
}
