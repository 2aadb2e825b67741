// Light or dark: as the system wants it, or as the person chose on this machine.
import { useEffect, useState } from "preact/hooks";
import type { Theme } from "./charts/palette";

export type Choice = Theme | "system";
const KEY = "serin-theme";

function stored(): Choice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
    return "system";
  }
}

const system = (): MediaQueryList => window.matchMedia("(prefers-color-scheme: dark)");

/** The theme that is drawn, the choice, and how to choose. */
export function useTheme(): { theme: Theme; choice: Choice; choose: (choice: Choice) => void } {
  const [choice, setChoice] = useState(stored);
  const [systemDark, setSystemDark] = useState(() => system().matches);
  useEffect(() => {
    const query = system();
    const changed = (): void => setSystemDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  const theme: Theme = choice === "system" ? (systemDark ? "dark" : "light") : choice;
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  const choose = (next: Choice): void => {
    setChoice(next);
    try {
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // As above.
    }
  };
  return { theme, choice, choose };
}
