// The address: which page, which canary, which time. Everything that a link should carry is in the part
// after `#`, so that the analyzer serves one page and never sees it.
import { useEffect, useState } from "preact/hooks";

/** What part of a rollout the charts show. */
export interface Range {
  /** A past rollout, by when it began; the one that runs without it. */
  rollout?: number;
  /** The last so many seconds. */
  last?: number;
  from?: number;
  to?: number;
}

export type Route =
  | { page: "canaries"; search: string; phase: string }
  | { page: "canary"; id: string; range: Range }
  | { page: "experiments"; search: string; phase: string }
  | { page: "experiment"; id: string; steps: string }
  | { page: "unknown" };

const whole = (query: URLSearchParams, name: string): number | undefined => {
  const text = query.get(name);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
};

/** Reads what stands after `#`. */
export function parse(hash: string): Route {
  const [path = "", queryText = ""] = hash.replace(/^#/, "").split("?", 2);
  const query = new URLSearchParams(queryText);
  let parts: string[];
  try {
    parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    return { page: "unknown" };
  }
  const [first, second, third] = parts;
  const filter = { search: query.get("search") ?? "", phase: query.get("phase") ?? "" };
  if (first === undefined || (first === "canaries" && parts.length === 1)) return { page: "canaries", ...filter };
  if (first === "canaries" && second !== undefined && third !== undefined && parts.length === 3) {
    const range: Range = {};
    for (const name of ["rollout", "last", "from", "to"] as const) {
      const value = whole(query, name);
      if (value !== undefined) range[name] = value;
    }
    return { page: "canary", id: `${second}/${third}`, range };
  }
  if (first === "experiments" && parts.length === 1) return { page: "experiments", ...filter };
  if (first === "experiments" && second !== undefined && parts.length === 2) {
    return { page: "experiment", id: second, steps: query.get("steps") ?? "" };
  }
  return { page: "unknown" };
}

/** The address of a state, as `#/canaries/default/shop?last=300`. */
export function write(route: Route): string {
  const query = new URLSearchParams();
  let path: string;
  switch (route.page) {
    case "canaries":
    case "experiments":
      path = route.page;
      if (route.search !== "") query.set("search", route.search);
      if (route.phase !== "") query.set("phase", route.phase);
      break;
    case "canary":
      path = `canaries/${route.id.split("/").map(encodeURIComponent).join("/")}`;
      for (const [name, value] of Object.entries(route.range)) query.set(name, String(value));
      break;
    case "experiment":
      path = `experiments/${encodeURIComponent(route.id)}`;
      if (route.steps !== "") query.set("steps", route.steps);
      break;
    case "unknown":
      path = "canaries";
      break;
  }
  const text = query.toString();
  return `#/${path}${text === "" ? "" : `?${text}`}`;
}

/** Goes there without a new entry in the browser's history: for filters and times. */
export function replace(route: Route): void {
  history.replaceState(null, "", write(route));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Where the page is now. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parse(location.hash));
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
