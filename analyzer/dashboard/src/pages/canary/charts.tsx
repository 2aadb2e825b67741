// The charts of a release, all over the same time.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Canary, Sample } from "../../api/types";
import { Canvas, Chart } from "../../charts/chart";
import { boxes, distributions, errorRates, evidences, latencies } from "../../charts/options";
import { Key } from "../../parts/bits";
import type { Mark } from "../../series";
import { useShared } from "../../shared";
import { evidence, latency, percent, rate } from "../../words/numbers";

interface Properties {
  canary: Canary;
  samples: readonly Sample[];
  marks: readonly Mark[];
}

export function Charts({ canary, samples, marks }: Properties): JSX.Element {
  const { palette } = useShared();
  const limit = canary.settings.maxErrorRate;
  // Drawn again when a sample has come, not with every second's numbers.
  const drawn = useMemo(() => {
    const frame = { samples, marks, palette };
    return {
      errors: errorRates(frame, limit),
      latency: latencies(frame),
      boxes: boxes(frame),
      distributions: distributions(frame),
      evidence: evidences(frame),
    };
  }, [samples.length, samples[0]?.timestamp, samples.at(-1)?.timestamp, marks.length, palette, limit]);
  const last = samples.at(-1);
  const empty = samples.length === 0 ? "No samples in this time yet." : undefined;
  const asked = samples.some(({ versions: { stable, canary: other } }) => stable.requests + other.requests > 0);
  const idle = empty ?? (asked ? undefined : "No requests in this time yet.");
  const measured = samples.some(({ versions: { stable, canary: other } }) =>
    [stable, other].some((version) => (version.latency ?? []).length > 0),
  );
  const unmeasured = empty ?? (measured ? undefined : "No latencies in this time.");
  const versions = last?.versions;
  return (
    <>
      <p class="legend">
        <span>
          <Key arm="stable" />
          stable {canary.stableVersion}
        </span>
        <span>
          <Key arm="canary" />
          canary {canary.canaryVersion}
        </span>
      </p>
      <div class="grid two">
        <Chart
          title="Error rate"
          note="Bands: 95 % confidence of the last minute. Dashed: the limit."
          label={`Error rate over time. Last: stable ${rate(versions?.stable.error_rate)}, canary ${rate(versions?.canary.error_rate)}, limit ${percent(limit)}`}
          option={drawn.errors}
          empty={idle}
        />
        <Chart
          title="Latency"
          note="Solid: p95. Dashed: p99. Dotted: p50."
          label={`Latency over time. Last p95: stable ${latency(versions?.stable.latency_p95)}, canary ${latency(versions?.canary.latency_p95)}`}
          option={drawn.latency}
          empty={idle}
        />
        <Chart
          title="Evidence against the canary (E)"
          note="Logarithmic. Solid: errors. Dashed: slowness. Red: where it rolls back."
          label={`Evidence over time. Last: errors ${evidence(last?.evidence.errors)}, slowness ${evidence(last?.evidence.slow)}, threshold ${evidence(last?.evidence.threshold)}`}
          option={drawn.evidence}
          empty={empty}
        />
        <Chart
          title="Distribution of latencies"
          note="Box: the middle half, with the median; whiskers: 5 % to 95 %. Below: percent of requests by how long they took, up to 99.5 %."
          label="Box plots of both versions' latencies"
          option={drawn.boxes}
          height={70}
          empty={unmeasured}
          below={
            <Canvas
              label="The distributions of both versions' latencies, over each other"
              option={drawn.distributions}
              height={150}
            />
          }
        />
      </div>
    </>
  );
}
