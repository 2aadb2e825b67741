// axe-core on the page as it is: nothing serious, nothing critical.
import { createRequire } from "node:module";
import { assert } from "./harness.mjs";

const source = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const { readFile } = await import("node:fs/promises");
const axe = await readFile(source, "utf8");

export async function accessible(page, what) {
  // Evaluated by the debugger, which the page's policy does not concern.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const bad = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const text = bad.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`,
  );
  assert(bad.length === 0, `${what}: ${text.join("\n")}`);
  return found.violations.length;
}
