// What an operator can do. Every deed is confirmed, with its consequence in numbers and a reason.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { act } from "../../api/calls";
import type { Canary, Deed } from "../../api/types";
import { Confirm } from "../../parts/dialog";
import { useShared } from "../../shared";
import { consequence, deedName, possible } from "../../words/canary";

export function Controls({ id, canary }: { id: string; canary: Canary }): JSX.Element | null {
  const { session, view } = useShared();
  const [asked, setAsked] = useState<Deed | null>(null);
  const deeds = possible(canary);
  if (deeds.length === 0 && asked === null) return null;
  return (
    <div class="controls" role="group" aria-label="Controls">
      {deeds.map((deed) => (
        <button
          key={deed}
          type="button"
          class={deed === "rollback" ? "danger" : deed === "promote" ? "primary" : ""}
          onClick={() => setAsked(deed)}
        >
          {deedName(deed)}
        </button>
      ))}
      {asked !== null && (
        <Confirm
          title={`${deedName(asked)} ${id}?`}
          confirm={deedName(asked)}
          danger={asked === "rollback"}
          act={(reason) => act(id, asked, reason)}
          close={() => setAsked(null)}
        >
          <p>{consequence(canary, asked)}</p>
          {view.link.state !== "live" && (
            <p class="problem">These numbers are stale: this page is not connected now.</p>
          )}
          {session.name !== null && <p class="faint">It is written down as done by {session.name}.</p>}
        </Confirm>
      )}
    </div>
  );
}
