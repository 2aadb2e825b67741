// The arms and what they came to, each against control.
import type { JSX } from "preact";
import type { Comparison, Experiment, Results } from "../../api/types";
import { Card } from "../../parts/bits";
import { Table } from "../../parts/table";
import { count, evidence, percent, rate, whole } from "../../words/numbers";

/** From left to right where a value lies between 0 and `top`, in percent of the width. */
const place = (value: number, top: number): string => `${(100 * Math.min(Math.max(value, 0), top)) / top}%`;

export function Arms({ experiment, results }: { experiment: Experiment; results: Results }): JSX.Element {
  const arms = experiment.spec.arms.map((arm) => ({ ...arm, seen: results.variants[arm.name] }));
  const top = Math.max(0.01, ...arms.map(({ seen }) => seen?.wilson_interval[1] ?? 0)) * 1.05;
  return (
    <Card title={`Arms: ${results.comparisons[0]?.goal ?? "conversions"}`}>
      <Table
        label="Arms"
        heads={[
          "Arm",
          "Share",
          "Exposures",
          "Conversions",
          "Rate",
          "95 % (Wilson)",
          <span key="drawn" class="unseen">
            Drawn
          </span>,
        ]}
      >
        {arms.map(({ name, seen }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{percent(experiment.shares[name])}</td>
            <td>{whole(seen?.exposures ?? 0)}</td>
            <td>{whole(seen?.conversions ?? 0)}</td>
            <td>{rate(seen?.conversion_rate)}</td>
            <td>
              {seen === undefined
                ? "–"
                : `${seen.wilson_interval[0].toFixed(2)} to ${rate(seen.wilson_interval[1])}`}
            </td>
            <td>
              {seen !== undefined && (
                <span class="interval" aria-hidden="true">
                  <span
                    class="range"
                    style={{
                      left: place(seen.wilson_interval[0], top),
                      right: `calc(100% - ${place(seen.wilson_interval[1], top)})`,
                    }}
                  />
                  <span class="point" style={{ left: place(seen.conversion_rate, top) }} />
                </span>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function lift(comparison: Comparison): string {
  const [low, high] = comparison.lift_interval;
  if (comparison.lift === null) return "–";
  const sign = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
  const bounds =
    low === null && high === null
      ? "not bounded yet"
      : `${low === null ? "−100" : sign(low)} to ${high === null ? "open" : `${sign(high)} %`}`;
  return `${sign(comparison.lift)} % (${bounds})`;
}

export function Comparisons({ results }: { results: Results }): JSX.Element | null {
  if (results.comparisons.length === 0) return null;
  return (
    <Card title="Against control">
      <Table
        label="Comparisons"
        heads={[
          "Goal",
          "Arm",
          "Lift (95 %, at any time)",
          "p, at any time",
          "p, one look",
          "Users still needed for one look",
        ]}
      >
        {results.comparisons.map((one) => (
          <tr key={`${one.goal} ${one.arm}`}>
            <th scope="row">{one.goal}</th>
            <td>{one.arm}</td>
            <td>{lift(one)}</td>
            <td class={one.significant_at_any_time ? "certain" : ""}>
              {evidence(one.always_valid_p_value_holm)}
              {one.significant_at_any_time && " ✓ certain"}
            </td>
            <td>{evidence(one.p_value_holm)}</td>
            <td>
              {one.sample_size === null
                ? "–"
                : `${count(one.sample_size.missing)} of ${count(one.sample_size.per_arm)} an arm`}
            </td>
          </tr>
        ))}
      </Table>
      <p class="note">
        Looking daily, and free to stop: trust "p, at any time" and the lift's interval. One look at a size fixed
        beforehand: "p, one look". With a sample ratio mismatch trust none of them.
      </p>
      {results.analysis !== null && <p class="note">For one look at the end: {results.analysis.recommendation}</p>}
    </Card>
  );
}

export function Guardrails({ results }: { results: Results }): JSX.Element | null {
  if (results.guardrails.length === 0) return null;
  return (
    <Card title="Guardrails">
      <ul class="alarms">
        {results.guardrails.map((guard) => (
          <li key={`${guard.goal} ${guard.arm}`}>
            <span class={`badge ${guard.harmed ? "bad" : "good"}`}>
              {guard.harmed ? "harmed" : "not harmed so far"}
            </span>{" "}
            <strong>{guard.goal}</strong> in {guard.arm}: E = {evidence(guard.e_value)}, harm from 20 on.
          </li>
        ))}
      </ul>
    </Card>
  );
}
