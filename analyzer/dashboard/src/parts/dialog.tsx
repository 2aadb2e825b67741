// Asks before something is done: says what it means, wants a reason, and does nothing when it is closed.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Refusal } from "../api/calls";

interface Properties {
  title: string;
  /** The button that does it. */
  confirm: string;
  danger?: boolean;
  children: ComponentChildren;
  act: (reason: string) => Promise<unknown>;
  close: () => void;
}

export function Confirm({ title, confirm, danger, children, act, close }: Properties): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) element.showModal();
  }, []);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (reason.trim() === "" || busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await act(reason.trim());
      close();
    } catch (error) {
      setProblem(error instanceof Refusal ? error.message : String(error));
      setBusy(false);
    }
  };

  return (
    <dialog
      ref={dialog}
      class="confirm"
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-what`}
      onClose={close}
    >
      <form method="dialog" onSubmit={(event) => void submit(event)}>
        <h2 id={`${id}-title`}>{title}</h2>
        <div id={`${id}-what`} class="what">
          {children}
        </div>
        <label for={`${id}-reason`}>Reason, for the history and the audit</label>
        <textarea
          id={`${id}-reason`}
          required
          maxLength={1000}
          rows={2}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
        {problem !== null && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={danger === true ? "danger" : "primary"} disabled={busy || reason.trim() === ""}>
            {busy ? "Asking the analyzer…" : confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}
