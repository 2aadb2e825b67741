// The frame of the page: who looks, the live socket, and which page is shown.
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Refusal, session as fetchSession, signOut } from "./api/calls";
import type { View } from "./api/live";
import { Live, liveAddress, waitBefore } from "./api/live";
import type { Session } from "./api/types";
import { paletteOf } from "./charts/palette";
import { Canaries } from "./pages/canaries";
import { CanaryPage } from "./pages/canary";
import { ExperimentPage } from "./pages/experiment";
import { Experiments } from "./pages/experiments";
import { SignIn } from "./pages/signin";
import { Boundary } from "./parts/boundary";
import { Header, Stale } from "./parts/header";
import type { Route } from "./route";
import { useRoute } from "./route";
import { SharedContext } from "./shared";
import { nothing } from "./state";
import { useTheme } from "./theme";

const IDLE: View = { world: nothing(), link: { state: "connecting" }, heard: 0, skew: 0 };

export function App(): JSX.Element {
  const route = useRoute();
  const { theme, choice, choose } = useTheme();
  const palette = paletteOf(theme);
  const { session, problem, setSession, ask } = useSession();
  const [wanted, setWanted] = useState(false);
  const [ended, setEnded] = useState(false);
  const signedOut = useCallback(() => {
    setEnded(true);
    ask();
  }, [ask]);
  const who = `${session?.role ?? "none"} ${session?.expires ?? ""}`;
  const view = useLive(session !== null && !session.signInNeeded, who, signedOut);

  useEffect(() => {
    document.title = titleOf(route);
  }, [route]);

  const shared = useMemo(() => (session === null ? null : { view, session, palette }), [view, session, palette]);
  if (session === null || shared === null) {
    return (
      <main id="content" class="signin">
        <p class={problem === null ? "none" : "problem"} role="status">
          {problem === null ? "Asking the analyzer…" : `${problem} This page tries again by itself.`}
        </p>
      </main>
    );
  }
  if (session.signInNeeded || wanted) {
    const why = session.signInNeeded
      ? ended
        ? "Your session has ended. Sign in again to go on where you were."
        : "This analyzer shows its releases to whoever has a token."
      : "Everybody may look here. To act, sign in with an operator token.";
    const done = (now: Session): void => {
      setWanted(false);
      setEnded(false);
      setSession(now);
    };
    return <SignIn why={why} done={done} cancel={session.signInNeeded ? undefined : () => setWanted(false)} />;
  }
  return (
    <SharedContext.Provider value={shared}>
      <Header
        page={route.page}
        choice={choice}
        choose={choose}
        signIn={() => setWanted(true)}
        signOut={() => void signOut().then(setSession, ask)}
      />
      <Stale />
      <main id="content" tabIndex={-1} class={view.link.state === "lost" ? "old" : ""}>
        <Boundary key={JSON.stringify(route.page)}>
          {view.world.loaded ? <Page route={route} /> : <p class="none">Waiting for the analyzer's first numbers…</p>}
        </Boundary>
      </main>
    </SharedContext.Provider>
  );
}

function Page({ route }: { route: Route }): JSX.Element {
  switch (route.page) {
    case "canaries":
      return <Canaries route={route} />;
    case "canary":
      return <CanaryPage key={route.id} id={route.id} range={route.range} />;
    case "experiments":
      return <Experiments route={route} />;
    case "experiment":
      return <ExperimentPage key={route.id} id={route.id} steps={route.steps} />;
    case "unknown":
      return (
        <p class="none">
          There is no such page. <a href="#/canaries">All canaries</a>
        </p>
      );
  }
}

function titleOf(route: Route): string {
  switch (route.page) {
    case "canary":
    case "experiment":
      return `${route.id} · Serin`;
    case "canaries":
      return "Canaries · Serin";
    case "experiments":
      return "Experiments · Serin";
    case "unknown":
      return "Serin";
  }
}

/** Who looks: asked until there is an answer, and again when somebody says so. */
function useSession(): {
  session: Session | null;
  problem: string | null;
  setSession: (session: Session) => void;
  ask: () => void;
} {
  const [session, setSession] = useState<Session | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState(0);
  const attempt = useRef(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let current = true;
    const get = async (): Promise<void> => {
      try {
        const found = await fetchSession();
        if (!current) return;
        attempt.current = 0;
        setProblem(null);
        setSession(found);
      } catch (error) {
        if (!current) return;
        setProblem(error instanceof Refusal ? error.message : String(error));
        timer = setTimeout(() => void get(), waitBefore(attempt.current++, Math.random()));
      }
    };
    void get();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [asked]);
  const ask = useCallback(() => setAsked((number) => number + 1), []);
  return { session, problem, setSession, ask };
}

/** The live view, for as long as somebody may look. Whoever else looks has another socket. */
function useLive(allowed: boolean, who: string, signedOut: () => void): View {
  const [view, setView] = useState<View>(IDLE);
  useEffect(() => {
    if (!allowed) return;
    const live = new Live(liveAddress(location), (changed) => {
      setView(changed);
      if (changed.link.state === "signedOut") signedOut();
    });
    live.start();
    return () => live.stop();
  }, [allowed, who, signedOut]);
  return view;
}
