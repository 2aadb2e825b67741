// What happened, newest first.
import type { JSX } from "preact";
import type { Transition } from "../../api/types";
import { Card, PhaseBadge, When } from "../../parts/bits";
import { percent } from "../../words/numbers";

export function History({ history }: { history: readonly Transition[] }): JSX.Element {
  return (
    <Card title="History">
      {history.length === 0 && <p class="none">Nothing has happened yet.</p>}
      <ol class="history" aria-label="History, newest first" tabIndex={0}>
        {history.toReversed().map((line) => (
          <li key={`${line.time} ${line.step} ${line.phase} ${line.reason}`}>
            <div>
              <When time={line.time} /> <PhaseBadge phase={line.phase} /> {percent(line.weight)}
            </div>
            <div class="reason">
              {line.reason}
              {line.by !== null && <span class="faint"> (by {line.by})</span>}
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}
