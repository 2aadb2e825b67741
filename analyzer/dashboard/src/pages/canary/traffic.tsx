// Who gets what: the share that is asked for, and what was really served in the last minute.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Canary } from "../../api/types";
import { traffic } from "../../charts/round";
import { Canvas } from "../../charts/chart";
import { Key } from "../../parts/bits";
import { useShared } from "../../shared";
import { count, percent } from "../../words/numbers";

export function TrafficParts({ canary }: { canary: Canary }): JSX.Element {
  const { palette } = useShared();
  const { weight, traffic: seen } = canary;
  const option = useMemo(() => traffic(weight, seen.servedShare, palette), [weight, seen.servedShare, palette]);
  const served = seen.servedShare === null ? "nothing" : percent(seen.servedShare);
  return (
    <section class="card">
      <h3>Traffic</h3>
      <div class="beside">
        <Canvas
          option={option}
          height={150}
          label={`The canary is asked to have ${percent(weight)} and was served ${served}`}
        />
        <dl class="facts">
          <dt>asked for (inner ring)</dt>
          <dd>
            <Key arm="canary" />
            {percent(weight)}
          </dd>
          <dt>served, last minute (outer ring)</dt>
          <dd>
            <Key arm="canary" />
            {percent(seen.servedShare)}
          </dd>
          <dt>in the router</dt>
          <dd>{percent(canary.router.weight)}</dd>
          <dt>users at this weight</dt>
          <dd>
            {count(seen.users.canary)} canary, {count(seen.users.stable)} stable
          </dd>
          <dt>chosen by hand (x-canary)</dt>
          <dd>
            {count(canary.totals.forced.canary.requests)} canary, {count(canary.totals.forced.stable.requests)} stable
          </dd>
        </dl>
      </div>
    </section>
  );
}
