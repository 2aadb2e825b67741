// How far users get: the steps are part of the address.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { funnel as fetchFunnel } from "../../api/calls";
import type { Funnel } from "../../api/types";
import { Card } from "../../parts/bits";
import { replace } from "../../route";
import { useShared } from "../../shared";
import { length } from "../../words/time";
import { percent, whole } from "../../words/numbers";

export function FunnelCard({ id, steps, arms }: { id: string; steps: string; arms: readonly string[] }): JSX.Element {
  const [text, setText] = useState(steps);
  const [funnel, setFunnel] = useState<Funnel | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let current = true;
    setFunnel(null);
    setProblem(null);
    if (steps === "") return;
    fetchFunnel(id, steps).then(
      (found) => current && setFunnel(found),
      (error: unknown) => current && setProblem(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      current = false;
    };
  }, [id, steps]);
  return (
    <Card title="Funnel">
      <form
        class="filter"
        onSubmit={(event) => {
          event.preventDefault();
          replace({ page: "experiment", id, steps: text.trim() });
        }}
      >
        <label>
          <span>Steps, between commas</span>
          <input
            value={text}
            placeholder="exposure,cart,conversion"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Show</button>
      </form>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {steps === "" && (
        <p class="note">Actions that came by the API: exposure, the conversions, and events of your own.</p>
      )}
      {funnel !== null && (
        <div class="walks">
          {arms.map((arm, place) => (
            <Walk key={arm} arm={arm} colour={place} steps={funnel.arms[arm] ?? []} />
          ))}
        </div>
      )}
    </Card>
  );
}

function Walk({ arm, colour, steps }: { arm: string; colour: number; steps: Funnel["arms"][string] }): JSX.Element {
  const { palette } = useShared();
  return (
    <div class="walk">
      <h4>{arm}</h4>
      <ol>
        {steps.map((step) => (
          <li key={step.step}>
            <span class="step">
              {step.step}: {whole(step.users)} users
              {step.fromFirst !== null && `, ${percent(step.fromFirst)} of the first`}
              {step.dropOff !== null && `, ${percent(step.dropOff)} lost`}
              {step.medianSeconds !== null && `, after ${length(step.medianSeconds * 1000)}`}
            </span>
            <span class="track" aria-hidden="true">
              <span
                class="fill"
                style={{ width: `${step.fromFirst ?? 0}%`, background: palette.arms[colour % palette.arms.length] }}
              />
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}
