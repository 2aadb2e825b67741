// What every part of the page may need: the live view, who looks, and in which colours.
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { View } from "./api/live";
import type { Session } from "./api/types";
import type { Palette } from "./charts/palette";

export interface Shared {
  view: View;
  session: Session;
  palette: Palette;
}

export const SharedContext = createContext<Shared | null>(null);

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (shared === null) throw new Error("a part of the page stands outside of it");
  return shared;
}

/** The analyzer's clock, once a second. Without a connection it stands still, as everything that is shown does. */
export function useNow(): number {
  const { skew, link } = useShared().view;
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (link.state === "lost" ? link.since : now) + skew;
}
