// Addresses: whatever is written reads back as it was, and nonsense is no page.
import { expect, test } from "vitest";
import type { Route } from "../src/route";
import { parse, write } from "../src/route";

test("what is written reads back", () => {
  const routes: Route[] = [
    { page: "canaries", search: "a b&c=#?", phase: "Failed" },
    { page: "canary", id: "default/shop", range: { last: 300 } },
    { page: "canary", id: "default/shop", range: { rollout: 1_795_634_298_010, from: 1, to: 2 } },
    { page: "experiment", id: "button", steps: "exposure,cart" },
    { page: "experiments", search: "", phase: "" },
  ];
  for (const route of routes) expect(parse(write(route))).toEqual(route);
});

test("an empty address is the list of canaries", () => {
  for (const hash of ["", "#", "#/", "#/canaries"])
    expect(parse(hash)).toEqual({ page: "canaries", search: "", phase: "" });
});

test("nonsense is no page, and times that are no numbers are left out", () => {
  for (const hash of ["#/nothing", "#/canaries/one", "#/canaries/a/b/c", "#/experiments/%E0%A4%A"]) {
    expect(parse(hash)).toEqual({ page: "unknown" });
  }
  expect(parse("#/canaries/a/b?last=-5&from=1e9&to=<script>")).toEqual({ page: "canary", id: "a/b", range: {} });
});
