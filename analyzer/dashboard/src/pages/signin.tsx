// Signing in: a token becomes a cookie that scripts cannot read. The token is kept nowhere.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Refusal, signIn } from "../api/calls";
import type { Session } from "../api/types";

interface Properties {
  /** Why it is asked for. */
  why: string;
  done: (session: Session) => void;
  /** Where reading needs no token, one may go back. */
  cancel?: (() => void) | undefined;
}

export function SignIn({ why, done, cancel }: Properties): JSX.Element {
  const [token, setToken] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      const session = await signIn(token, name);
      setToken("");
      done(session);
    } catch (error) {
      setProblem(wording(error));
      setBusy(false);
    }
  };
  return (
    <main id="content" class="signin" tabIndex={-1}>
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1>Sign in to Serin</h1>
        <p>{why}</p>
        <label for="token">Viewer or operator token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <label for="name">Your name, for the history and the audit</label>
        <input
          id="name"
          autocomplete="username"
          maxLength={100}
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        {problem !== null && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="buttons">
          {cancel !== undefined && (
            <button type="button" onClick={cancel}>
              Cancel
            </button>
          )}
          <button type="submit" class="primary" disabled={busy || token === ""}>
            Sign in
          </button>
        </div>
      </form>
    </main>
  );
}

/** A failed sign-in for people. */
export function wording(error: unknown): string {
  if (!(error instanceof Refusal)) return String(error);
  if (error.status === 401) return "This token is not accepted.";
  if (error.status === 429) {
    const wait = error.retryAfter === null ? "later" : `in ${error.retryAfter} s`;
    return `Too many failed sign-ins: try again ${wait}.`;
  }
  return error.message;
}
