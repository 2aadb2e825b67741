// Objectives with their error budgets, limits on metrics, anomalies and alerts.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Canary, Sample, Slo, Standing } from "../../api/types";
import { Canvas } from "../../charts/chart";
import { gauge, gaugeStart } from "../../charts/round";
import { Card, Key, When } from "../../parts/bits";
import { Table } from "../../parts/table";
import { useShared } from "../../shared";
import { latency, percent } from "../../words/numbers";

export function Slos({ canary, samples }: { canary: Canary; samples: readonly Sample[] }): JSX.Element | null {
  if (canary.slos.length === 0) return null;
  const slo = samples.at(-1)?.slo ?? canary.slo;
  return (
    <section class="card" aria-label="Service level objectives">
      <h3>Service level objectives</h3>
      <p class="note">
        The part of the canary's requests that were good in this rollout. The green part of the arc is as asked for.
      </p>
      <div class="gauges">
        {canary.slos.map((objective) => (
          <Gauge
            key={objective.name}
            slo={objective}
            canary={slo.canary[objective.name] ?? null}
            stable={slo.stable[objective.name] ?? null}
          />
        ))}
      </div>
    </section>
  );
}

/** What an objective asks for, in words. */
export function wanted(slo: Slo): string {
  switch (slo.objective) {
    case "availability":
      return `at least ${percent(slo.target)} of requests succeed`;
    case "latency":
      return `at least ${percent(slo.target)} of requests take less than ${latency(slo.threshold)}`;
    case "errorRate":
      return `at most ${percent(slo.target)} of requests fail`;
  }
}

/** The part of requests that should be good, in percent. */
export const goodTarget = (slo: Slo): number => (slo.objective === "errorRate" ? 100 - slo.target : slo.target);

/** The part of requests that were good in the whole rollout, in percent: what the budget's rest says. */
export const good = (slo: Slo, standing: Standing): number =>
  100 - (100 - goodTarget(slo)) * (1 - standing.budget_left / 100);

function Gauge({ slo, canary, stable }: { slo: Slo; canary: Standing | null; stable: Standing | null }): JSX.Element {
  const { palette } = useShared();
  const target = goodTarget(slo);
  const value = canary === null ? null : good(slo, canary);
  const option = useMemo(() => gauge(value, target, palette), [value, target, palette]);
  const left = canary?.budget_left ?? null;
  return (
    <div class="gauge">
      <h4>{slo.name}</h4>
      <Canvas
        option={option}
        height={110}
        label={`${slo.name}: ${percent(value)} of the canary's requests are good, target ${percent(target)}`}
      />
      <p class="ends" aria-hidden="true">
        <span>{percent(gaugeStart(target))}</span>
        <span>target {percent(target)}</span>
        <span>100 %</span>
      </p>
      <p class="wanted">{wanted(slo)}</p>
      <dl class="facts">
        <dt>
          <Key arm="canary" />
          error budget left
        </dt>
        <dd class={left !== null && left < 0 ? "worse" : ""}>{percent(left)}</dd>
        <dt>
          <Key arm="canary" />
          burns
        </dt>
        <dd>{canary === null ? "–" : `${Number(canary.burn.short.toFixed(1))} × as fast as allowed`}</dd>
        <dt>
          <Key arm="canary" />
          score
        </dt>
        <dd>{percent(canary?.score)}</dd>
        <dt>
          <Key arm="stable" />
          stable's score, budget left
        </dt>
        <dd>
          {percent(stable?.score)}, {percent(stable?.budget_left)}
        </dd>
      </dl>
    </div>
  );
}

/** What is firing, and what is unusual. Nothing is drawn where all is quiet. */
export function Alarms({ canary }: { canary: Canary }): JSX.Element | null {
  const { alerts, anomalies } = canary;
  if (alerts.length === 0 && anomalies.length === 0) return null;
  return (
    <Card title="Alerts and anomalies">
      <ul class="alarms">
        {alerts.map((alert) => (
          <li key={`${alert.kind} ${alert.subject}`}>
            <span class={`badge ${alert.severity === "info" ? "idle" : alert.severity === "warning" ? "wait" : "bad"}`}>
              {alert.severity}
            </span>{" "}
            <strong>{alert.kind}</strong> {alert.text}{" "}
            <span class="faint">
              since <When time={alert.since} />
            </span>
          </li>
        ))}
        {anomalies.map((anomaly) => (
          <li key={`${anomaly.type} ${anomaly.version ?? ""} ${anomaly.message}`}>
            <span class={`badge ${anomaly.severity === "high" ? "wait" : "idle"}`}>{anomaly.severity}</span>{" "}
            <strong>anomaly</strong> {anomaly.message}
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** The user's own limits on metrics, and sources that are down. */
export function Limits({ canary }: { canary: Canary }): JSX.Element | null {
  const down = canary.sources.filter((source) => !source.up);
  if (canary.metrics.length === 0 && down.length === 0) return null;
  return (
    <Card title="Limits on metrics, and sources">
      {down.map((source) => (
        <p key={source.source} class="problem">
          {source.source}: no answer since <When time={source.since} />, {source.problem}
        </p>
      ))}
      {canary.metrics.length > 0 && (
        <Table label="Limits" heads={["Metric", "Stable", "Canary", "State", "A breach means"]}>
          {canary.metrics.map((limit) => (
            <tr key={limit.name}>
              <th scope="row">{limit.name}</th>
              <td>{limit.stable === null ? "–" : Number(limit.stable.toPrecision(4))}</td>
              <td>{limit.canary === null ? "–" : Number(limit.canary.toPrecision(4))}</td>
              <td class={limit.state === "broken" ? "long worse" : "long"}>
                {limit.state}
                {limit.reason !== null && `: ${limit.reason}`}
              </td>
              <td>{limit.onBreach}</td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}
