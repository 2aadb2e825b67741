// Small pieces that several pages use.
import type { ComponentChildren, JSX } from "preact";
import type { Canary, Phase, Sample } from "../api/types";
import { useNow } from "../shared";
import { health } from "../words/canary";
import { percent, rate } from "../words/numbers";
import { length, local, utc } from "../words/time";

/** A time in the viewer's zone; UTC stands in its title. */
export function When({ time }: { time: number }): JSX.Element {
  return (
    <time dateTime={new Date(time).toISOString()} title={utc(time)}>
      {local(time)}
    </time>
  );
}

/** How long ago something was. */
export function Age({ since, until }: { since: number; until?: number | null }): JSX.Element {
  const now = useNow();
  return <span title={utc(since)}>{length((until ?? now) - since)}</span>;
}

const PHASES: Record<Phase, string> = {
  Pending: "idle",
  Progressing: "good",
  Paused: "wait",
  Promoting: "good",
  Succeeded: "done",
  Failed: "bad",
};

export const PhaseBadge = ({ phase }: { phase: Phase }): JSX.Element => (
  <span class={`badge ${PHASES[phase]}`}>{phase}</span>
);

/** What the judge thinks, in a word; the reason stands beside it. */
export function Health({ canary }: { canary: Canary }): JSX.Element {
  const { word, tone } = health(canary);
  return <span class={`badge ${tone}`}>{word}</span>;
}

/** The canary's share of users, with the steps still to come. */
export function WeightBar({ canary }: { canary: Canary }): JSX.Element {
  const { weight, router, settings } = canary;
  const behind = router.weight !== null && router.weight !== weight ? `; the router has ${percent(router.weight)}` : "";
  return (
    <span class="weight" role="img" aria-label={`${percent(weight)} of users${behind}`}>
      <span class="track">
        <span class="fill" style={{ width: `${Math.min(100, Math.max(0, weight))}%` }} />
        {settings.ramp
          .filter((step) => step > 0 && step < 100)
          .map((step) => (
            <span key={step} class="tick" style={{ left: `${step}%` }} />
          ))}
      </span>
      <span class="figure">{percent(weight)}</span>
    </span>
  );
}

const WIDTH = 120;
const HEIGHT = 28;

/** The points of a line through those values that are there. */
export function polyline(values: readonly (number | null)[], top: number): string {
  const step = values.length > 1 ? WIDTH / (values.length - 1) : 0;
  const points = values.flatMap((value, place) =>
    value === null
      ? []
      : [`${(place * step).toFixed(1)},${(HEIGHT - 2 - (Math.min(value, top) / top) * (HEIGHT - 4)).toFixed(1)}`],
  );
  return points.join(" ");
}

/** The error rates of both versions over the last samples. */
export function Sparkline({ samples }: { samples: readonly Sample[] }): JSX.Element {
  const shown = samples.slice(-60);
  const rates = (arm: "stable" | "canary"): (number | null)[] => shown.map((sample) => sample.versions[arm].error_rate);
  const [stable, canary] = [rates("stable"), rates("canary")];
  const top = Math.max(1, ...[...stable, ...canary].map((value) => value ?? 0));
  const label = `Error rates: canary ${rate(canary.at(-1))}, stable ${rate(stable.at(-1))}`;
  return (
    <svg class="spark" role="img" aria-label={label} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
      <polyline class="stable" points={polyline(stable, top)} />
      <polyline class="canary" points={polyline(canary, top)} />
    </svg>
  );
}

/** Stands before a version's name wherever both are there. */
export const Key = ({ arm }: { arm: "stable" | "canary" }): JSX.Element => (
  <span class={`key ${arm}`} aria-hidden="true" />
);

/** A titled block. */
export function Card({
  title,
  children,
  wide,
}: {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
}): JSX.Element {
  return (
    <section class={wide === true ? "card wide" : "card"}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}
