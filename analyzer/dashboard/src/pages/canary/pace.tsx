// Which time the charts show. It is part of the address, so that it can be shared.
import type { JSX } from "preact";
import type { Rollout, Sample } from "../../api/types";
import type { Range } from "../../route";
import { replace, write } from "../../route";
import { local } from "../../words/time";

const LAST: [seconds: number, name: string][] = [
  [60, "1 min"],
  [300, "5 min"],
  [1800, "30 min"],
  [7200, "2 h"],
];

interface Properties {
  id: string;
  range: Range;
  all: readonly Rollout[];
  started: number;
  samples: readonly Sample[];
}

export function Pace({ id, range, all, started, samples }: Properties): JSX.Element {
  const whole: Range = range.rollout === undefined ? {} : { rollout: range.rollout };
  const address = (part: Range): string => write({ page: "canary", id, range: { ...whole, ...part } });
  const all_ = range.last === undefined && range.from === undefined && range.to === undefined;
  const current = (is: boolean): { "aria-current"?: "true" } => (is ? { "aria-current": "true" } : {});
  const [first, last] = [samples[0]?.timestamp, samples.at(-1)?.timestamp];
  return (
    <div class="pace" role="group" aria-label="Time that the charts show">
      <a href={address({})} {...current(all_)}>
        Whole rollout
      </a>
      {LAST.map(([seconds, name]) => (
        <a key={seconds} href={address({ last: seconds })} {...current(range.last === seconds)}>
          {name}
        </a>
      ))}
      <Ends id={id} range={range} whole={whole} first={first} last={last} />
      {all.length > 1 && (
        <label>
          <span class="unseen">Rollout</span>
          <select
            value={String(started)}
            onChange={(event) => {
              const chosen = Number(event.currentTarget.value);
              const running = all.find((rollout) => rollout.started === chosen)?.ended === null;
              location.hash = write({ page: "canary", id, range: running ? {} : { rollout: chosen } });
            }}
          >
            {all.map((rollout) => (
              <option key={rollout.started} value={String(rollout.started)}>
                {`${shorten(rollout.stableVersion)} → ${shorten(rollout.canaryVersion)}, ${local(rollout.started)}, ${KINDS[rollout.kind]}`}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

const KINDS: Record<Rollout["kind"], string> = { running: "running", rollback: "rolled back", success: "succeeded" };
const shorten = (text: string): string => (text.length > 24 ? `${text.slice(0, 22)}…` : text);

/** A time of one's own: both ends, in the viewer's zone. */
function Ends({
  id,
  range,
  whole,
  first,
  last,
}: {
  id: string;
  range: Range;
  whole: Range;
  first: number | undefined;
  last: number | undefined;
}): JSX.Element {
  const end = (name: "from" | "to", shown: number | undefined): JSX.Element => (
    <label>
      <span class="unseen">{name}</span>
      <input
        type="datetime-local"
        step="1"
        aria-label={name}
        value={shown === undefined ? "" : forInput(shown)}
        onChange={(event) => {
          const time = new Date(event.currentTarget.value).getTime();
          const { last: _, ...rest } = range;
          const next: Range = { ...whole, ...rest };
          if (Number.isFinite(time)) next[name] = time;
          else delete next[name];
          replace({ page: "canary", id, range: next });
        }}
      />
    </label>
  );
  return (
    <span class="ends">
      {end("from", range.from ?? first)}
      <span aria-hidden="true">–</span>
      {end("to", range.to ?? last)}
    </span>
  );
}

/** As a `datetime-local` input wants it: the viewer's zone, without one written. */
export function forInput(time: number): string {
  const local = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}
