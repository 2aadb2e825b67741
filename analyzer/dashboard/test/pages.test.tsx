// Pages in a small DOM: what people's texts become, what buttons do, what a viewer sees.
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test, vi } from "vitest";
import type { Canary, Session } from "../src/api/types";
import { paletteOf } from "../src/charts/palette";
import { Canaries, chosen } from "../src/pages/canaries";
import { Answer } from "../src/pages/canary/answer";
import { Controls } from "../src/pages/canary/controls";
import { History } from "../src/pages/canary/history";
import { difference, rows } from "../src/pages/canary/numbers";
import { good, goodTarget } from "../src/pages/canary/slos";
import { forInput } from "../src/pages/canary/pace";
import { ExperimentPage, recommendation } from "../src/pages/experiment";
import { spanOf } from "../src/pages/samples";
import { wording } from "../src/pages/signin";
import { polyline } from "../src/parts/bits";
import { Refusal } from "../src/api/calls";
import { SharedContext } from "../src/shared";
import { nothing } from "../src/state";
import { canary, experiment, results, sample } from "./made";

const HOSTILE = `<script>alert("x")</script>' onload="y" ${"long".repeat(50)}`;
const operator: Session = { role: "operator", name: "kim", expires: null, signInNeeded: false, canSignIn: true };

function show(content: preact.ComponentChild, canaries: Canary[] = [], session: Session = operator): HTMLElement {
  const place = document.createElement("div");
  document.body.append(place);
  const world = {
    ...nothing(),
    loaded: true,
    canaries: new Map(canaries.map((one) => [`${one.namespace}/${one.name}`, one])),
  };
  const view = { world, link: { state: "live" as const }, heard: 0, skew: 0 };
  act(() => {
    render(
      <SharedContext.Provider value={{ view, session, palette: paletteOf("light") }}>{content}</SharedContext.Provider>,
      place,
    );
  });
  return place;
}

afterEach(() => {
  for (const place of document.body.children) render(null, place);
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

test("hostile texts are text", () => {
  const bad = canary({ canaryVersion: HOSTILE, verdict: { outcome: "hold", rule: "data", reason: HOSTILE } });
  const line = { time: 1, phase: "Paused" as const, weight: 5, step: 1, reason: HOSTILE, by: HOSTILE };
  const list = <Canaries route={{ page: "canaries", search: "", phase: "" }} />;
  for (const content of [<Answer id="default/shop" canary={bad} old={false} />, <History history={[line]} />, list]) {
    const place = show(content, [bad]);
    expect(place.textContent).toContain(HOSTILE);
    expect(place.querySelector("script")).toBeNull();
    expect(place.querySelector("[onload]")).toBeNull();
  }
});

test("without a canary the list says how to begin", () => {
  const place = show(<Canaries route={{ page: "canaries", search: "", phase: "" }} />);
  expect(place.textContent).toContain("No canary yet");
});

test("a search looks at names, versions and reasons, and failures come first", () => {
  const all = [canary(), canary({ name: "web", phase: "Failed", canaryVersion: "v9" })];
  expect(chosen(all, "", "").map((one) => one.name)).toEqual(["web", "shop"]);
  expect(chosen(all, "V9 default", "").map((one) => one.name)).toEqual(["web"]);
  expect(chosen(all, "", "Progressing").map((one) => one.name)).toEqual(["shop"]);
  expect(chosen(all, "nothing like it", "")).toEqual([]);
});

async function press(button: Element | null | undefined): Promise<void> {
  await act(async () => {
    (button as HTMLButtonElement).click();
    await Promise.resolve();
  });
}

test("an experiment that ended too long ago for the live view is asked for by its address", async () => {
  const old = experiment({ id: "old", status: "ended", ended: "2026-01-02T00:00:00Z" });
  vi.stubGlobal("fetch", (path: string) =>
    Promise.resolve(
      path === "/v1/experiments/old"
        ? new Response(JSON.stringify(old))
        : new Response(JSON.stringify({ detail: "there is none" }), { status: 404 }),
    ),
  );
  const shown = show(<ExperimentPage id="old" steps="" />);
  await vi.waitFor(() => expect(shown.querySelector(".badge")?.textContent).toBe("ended"));
  const missing = show(<ExperimentPage id="none" steps="" />);
  await vi.waitFor(() => expect(missing.textContent).toContain("There is no experiment none."));
});

test("a rollback wants a reason, and cancelled it asks nobody", async () => {
  const calls: unknown[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    calls.push([path, init.body]);
    return Promise.resolve(new Response("{}"));
  });
  const place = show(<Controls id="default/shop" canary={canary()} />, [canary()]);
  const rollback = (): Element | undefined =>
    [...place.querySelectorAll("button")].find((one) => one.textContent === "Roll back");
  await press(rollback());
  const dialog = place.querySelector("dialog");
  expect(dialog?.textContent).toContain("25 % of users, at most 1,240 in the last minute, go back to v1");
  const confirm = dialog?.querySelector<HTMLButtonElement>("button[type=submit]");
  expect(confirm?.disabled).toBe(true);
  await press([...(dialog?.querySelectorAll("button") ?? [])].find((one) => one.textContent === "Cancel"));
  expect(place.querySelector("dialog")).toBeNull();
  expect(calls).toEqual([]);

  await press(rollback());
  const reason = place.querySelector("textarea") as HTMLTextAreaElement;
  await act(() => {
    reason.value = "support calls";
    reason.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await press(place.querySelector("dialog button[type=submit]"));
  expect(calls).toEqual([["/v1/canaries/default/shop/rollback", '{"reason":"support calls"}']]);
});

test("the difference is said in words and symbols, not in colour alone", () => {
  const [requests, errors, p95, cpu] = rows(
    canary({
      summary: {
        ...canary().summary,
        window: {
          stable: { ...canary().summary.window.stable, error_rate: 0.5, latency_p95: 0.03 },
          canary: canary().summary.window.canary,
        },
      },
    }),
    [sample(1)],
  );
  expect(requests === undefined ? null : difference(requests)).toEqual({ text: "−1,260", tone: "same" });
  expect(errors === undefined ? null : difference(errors)).toEqual({ text: "▲ +0.50 points worse", tone: "worse" });
  expect(p95 === undefined ? null : difference(p95)).toEqual({ text: "▼ −10 ms better", tone: "better" });
  expect(cpu === undefined ? null : difference(cpu)).toEqual({ text: "–", tone: "same" });
});

test("a gauge shows the good part that the error budget implies", () => {
  const burn = { long: 0, short: 0 };
  const availability = { name: "a", target: 99.9, objective: "availability" as const, threshold: null };
  expect(good(availability, { score: 100, budget_left: 50, burn })).toBeCloseTo(99.95);
  expect(good(availability, { score: 90, budget_left: -100, burn })).toBeCloseTo(99.8);
  expect(goodTarget({ name: "e", target: 1, objective: "errorRate", threshold: null })).toBe(99);
});

test("a recommendation comes from numbers that may be looked at at any time", () => {
  const one = {
    goal: "buy",
    arm: "treatment",
    p_value_holm: 0.01,
    always_valid_p_value: 0.2,
    always_valid_p_value_holm: 0.2,
    significant_at_any_time: false,
    lift: 40,
    lift_interval: [-10, 90] as [number, number],
    sample_size: null,
  };
  expect(recommendation(results({ comparisons: [one] }))).toBe("No difference is certain yet: let it go on.");
  expect(recommendation(results({ comparisons: [{ ...one, significant_at_any_time: true }] }))).toContain(
    "treatment is better (+40.0 % buy)",
  );
  const guard = { goal: "refund", arm: "treatment", role: "guardrail_more", e_value: 30, harmed: true };
  expect(recommendation(results({ comparisons: [one], guardrails: [guard] }))).toBe("Stop: treatment harms refund.");
});

test("a time that is asked for stays within its rollout", () => {
  expect(spanOf({}, 1000, null, 9000)).toEqual({ from: 1000, to: undefined });
  expect(spanOf({ last: 5 }, 1000, null, 9000)).toEqual({ from: 4000, to: undefined });
  expect(spanOf({ last: 5 }, 1000, 7000, 9000)).toEqual({ from: 2000, to: 7000 });
  expect(spanOf({ from: 10, to: 99_000 }, 1000, 7000, 9000)).toEqual({ from: 1000, to: 7000 });
  expect(new Date(forInput(1_795_634_298_000)).getTime()).toBe(1_795_634_298_000);
});

test("a failed sign-in says what to do", () => {
  expect(wording(new Refusal(401, "x"))).toBe("This token is not accepted.");
  expect(wording(new Refusal(429, "x", 12))).toBe("Too many failed sign-ins: try again in 12 s.");
});

test("a sparkline leaves out what is not known", () => {
  expect(polyline([0, null, 1], 1)).toBe("0.0,26.0 120.0,2.0");
});
