// A release whose stable version takes over the canary's pods: only a mesh knows this phase.
import { accessible } from "./axe.mjs";
import {
  address,
  assert,
  check,
  equal,
  go,
  noSidewaysScroll,
  open,
  run,
  shots,
  signIn,
  textOf,
  until,
} from "./harness.mjs";

await run(async (browser) => {
  const { page, errors } = await open(browser);
  await page.goto(`${address}/#/canaries/default/canary-demo`);
  await signIn(page, process.env.SERIN_TOKEN ?? "", "kim");

  await check("a release that is being promoted says what it waits for, and offers the way back alone", async () => {
    await until("the phase", async () =>
      assert((await textOf(page, ".headline")) === "v2 at 100 %, being promoted.", await textOf(page, ".headline")),
    );
    const answer = await textOf(page, ".answer");
    assert(answer.includes("still rolling out"), answer);
    assert(answer.includes("Stable takes over this version; then the weight goes back to 0 %."), answer);
    equal(await page.locator(".controls button").allInnerTexts(), ["Roll back"], "buttons");
    assert(!answer.includes("Evidence"), `nothing is compared any more: ${answer}`);
    await accessible(page, "a promotion");
    await shots(page, "promoting");
    await page.setViewportSize({ width: 390, height: 900 });
    await noSidewaysScroll(page, "a promotion");
    await page.setViewportSize({ width: 1440, height: 900 });
    await go(page, "#/canaries");
    await until("the row", async () => (await textOf(page, ".row")).includes("being promoted"));
    await shots(page, "promoting-list");
  });

  // Chromium itself writes a line for the answer that asks for a sign-in.
  equal(
    errors.filter((error) => !error.includes("401")),
    [],
    "errors",
  );
});
