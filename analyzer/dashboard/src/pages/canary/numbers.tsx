// The last minute of both versions side by side, and which is better.
import type { JSX } from "preact";
import type { Arm, Canary, Sample, SampleOfVersion } from "../../api/types";
import { Key } from "../../parts/bits";
import { Table } from "../../parts/table";
import { bytes, count, latency, percent, points, rate, signed, whole } from "../../words/numbers";

interface Row {
  name: string;
  stable: number | null;
  canary: number | null;
  write: (value: number) => string;
  /** How the difference is written, where not like the values. */
  apart?: (size: number) => string;
  /** Whether less is better; null where neither is. */
  lessIsBetter: boolean | null;
}

/** The rows of the table. */
export function rows(canary: Canary, samples: readonly Sample[]): Row[] {
  const { window } = canary.summary;
  const { requestsPerMinute } = canary.traffic;
  const last = (of: (version: SampleOfVersion) => number | null, arm: Arm): number | null => {
    const sample = samples.at(-1);
    return sample === undefined ? null : of(sample.versions[arm]);
  };
  const measured = (
    name: string,
    of: (version: SampleOfVersion) => number | null,
    write: (value: number) => string,
  ): Row => ({
    name,
    stable: last(of, "stable"),
    canary: last(of, "canary"),
    write,
    lessIsBetter: true,
  });
  return [
    {
      name: "Requests/min",
      stable: requestsPerMinute.stable,
      canary: requestsPerMinute.canary,
      write: count,
      lessIsBetter: null,
    },
    {
      name: "Error Rate",
      stable: window.stable.error_rate,
      canary: window.canary.error_rate,
      write: rate,
      apart: points,
      lessIsBetter: true,
    },
    {
      name: "P95 Latency",
      stable: window.stable.latency_p95,
      canary: window.canary.latency_p95,
      write: latency,
      lessIsBetter: true,
    },
    { ...measured("CPU", (version) => version.cpu_percent, percent), apart: points },
    measured("Memory", (version) => version.memory_bytes, bytes),
  ];
}

/** The canary against stable: what stands in the cell, and how it is coloured. */
export function difference(row: Row): { text: string; tone: "better" | "worse" | "same" } {
  if (row.stable === null || row.canary === null) return { text: "–", tone: "same" };
  const by = row.canary - row.stable;
  const text = signed(by, row.apart ?? row.write);
  if (row.lessIsBetter === null || row.write(row.canary) === row.write(row.stable)) return { text, tone: "same" };
  return by < 0 === row.lessIsBetter
    ? { text: `▼ ${text} better`, tone: "better" }
    : { text: `▲ ${text} worse`, tone: "worse" };
}

const head = (arm: Arm, name: string): JSX.Element => (
  <span class="together">
    <Key arm={arm} />
    {name}
  </span>
);

export function Numbers({ canary, samples }: { canary: Canary; samples: readonly Sample[] }): JSX.Element {
  const cell = (row: Row, value: number | null): string => (value === null ? "–" : row.write(value));
  return (
    <section class="card">
      <h3>The last minute</h3>
      <Table
        label="The last minute"
        heads={["Metric", head("stable", "Stable"), head("canary", "Canary"), "Difference"]}
      >
        {rows(canary, samples).map((row) => {
          const { text, tone } = difference(row);
          return (
            <tr key={row.name}>
              <th scope="row">{row.name}</th>
              <td>{cell(row, row.stable)}</td>
              <td>{cell(row, row.canary)}</td>
              <td class={`long ${tone}`}>{text}</td>
            </tr>
          );
        })}
      </Table>
      <p class="note">
        In the whole rollout: {whole(canary.totals.stable.requests)} requests of stable with{" "}
        {whole(canary.totals.stable.errors)} errors, {whole(canary.totals.canary.requests)} of the canary with{" "}
        {whole(canary.totals.canary.errors)}.
      </p>
    </section>
  );
}
