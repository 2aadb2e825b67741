// The top of every page: where one is, whether it is live, who looks, light or dark.
import type { JSX } from "preact";
import type { Choice } from "../theme";
import { useShared } from "../shared";
import { When } from "./bits";

interface Properties {
  page: string;
  choice: Choice;
  choose: (choice: Choice) => void;
  signIn: () => void;
  signOut: () => void;
}

export function Header({ page, choice, choose, signIn, signOut }: Properties): JSX.Element {
  const { session, view } = useShared();
  const current = (name: string): { "aria-current"?: "page" } =>
    page.startsWith(name) ? { "aria-current": "page" } : {};
  return (
    <header>
      <a class="skip" href="#content" onClick={skip}>
        To the content
      </a>
      <a class="name" href="#/canaries">
        Serin
      </a>
      <nav aria-label="Pages">
        <a href="#/canaries" {...current("canar")}>
          Canaries
        </a>
        <a href="#/experiments" {...current("experiment")}>
          Experiments
        </a>
      </nav>
      <span class="link" data-state={view.link.state}>
        <span class="dot" aria-hidden="true" />
        {{ live: "live", connecting: "connecting", lost: "not live", signedOut: "signed out" }[view.link.state]}
      </span>
      <label class="theme">
        <span class="unseen">Colours</span>
        <select value={choice} onChange={(event) => choose(event.currentTarget.value as Choice)}>
          <option value="system">as the system</option>
          <option value="light">light</option>
          <option value="dark">dark</option>
        </select>
      </label>
      <span class="who">
        <span title="What you may do">
          {session.name === null ? session.role : `${session.name} (${session.role})`}
        </span>
        {session.canSignIn && session.role !== "operator" && (
          <button type="button" class="quiet" onClick={signIn}>
            Sign in
          </button>
        )}
        {session.canSignIn && session.expires !== null && (
          <button type="button" class="quiet" onClick={signOut}>
            Sign out
          </button>
        )}
      </span>
    </header>
  );
}

/** The address is the route, so the link must not change it. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** Says that what is shown is old, and since when. */
export function Stale(): JSX.Element | null {
  const { link } = useShared().view;
  if (link.state !== "lost") return null;
  return (
    <p class="stale" role="alert">
      <strong>
        Stale since <When time={link.since} />.
      </strong>{" "}
      {link.why} Everything below is as it was then; this page tries again by itself.
    </p>
  );
}
