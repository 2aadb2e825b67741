// A release, watched and steered with the page alone, while the test beside it looks at Envoy's traffic.
import { accessible } from "./axe.mjs";
import {
  LOOKS,
  address,
  ask,
  assert,
  check,
  deed,
  equal,
  go,
  noSidewaysScroll,
  open,
  run,
  shots,
  table,
  textOf,
  until,
} from "./harness.mjs";

const SHOP = "#/canaries/default/shop";
const HOSTILE = `<script>alert("v")</script>' onerror="alert(1)" ${"x".repeat(150)}`;

const get = async (path) => (await fetch(address + path)).json();
const shop = () => get("/v1/canaries/default/shop");
const whole = new Intl.NumberFormat("en-GB");

async function numbers(page) {
  await check("numbers on the page equal the API's", () =>
    until(
      "page and API to say the same",
      async () => {
        const { traffic, summary, totals } = await shop();
        const cells = new Map((await table(page)).map(([name, stable, canary]) => [name, [stable, canary]]));
        const { stable, canary } = summary.window;
        const rate = (arm) => (arm.error_rate === null ? "–" : `${arm.error_rate.toFixed(2)} %`);
        equal(
          cells.get("Requests/min"),
          [traffic.requestsPerMinute.stable, traffic.requestsPerMinute.canary].map((n) => whole.format(n)),
          "requests",
        );
        equal(cells.get("Error Rate"), [rate(stable), rate(canary)], "error rates");
        const sums = await page.getByText("In the whole rollout").innerText();
        const wanted = `${whole.format(totals.stable.requests)} requests of stable with ${whole.format(totals.stable.errors)} errors, ${whole.format(totals.canary.requests)} of the canary with ${whole.format(totals.canary.errors)}`;
        assert(sums.includes(wanted), `${sums} has not ${wanted}`);
      },
      30,
    ),
  );
}

await run(async (browser) => {
  const { page, errors } = await open(browser);
  const headline = () => textOf(page, ".headline");
  const says = (text, seconds) =>
    until(`"${text}"`, async () => assert((await headline()).includes(text), await headline()), seconds);

  await check("the list shows the release and leads to it", async () => {
    await page.goto(address);
    await page.getByRole("link", { name: "default/shop" }).click();
    await says("v2 at 10 %");
    assert((await page.title()).startsWith("default/shop"), await page.title());
  });

  await check("a change by the API shows at once", async () => {
    const begin = Date.now();
    const answer = await fetch(`${address}/v1/canaries/default/shop/pause`, {
      method: "POST",
      body: JSON.stringify({ reason: "a look" }),
    });
    equal(answer.status, 200, "pause");
    const answered = Date.now();
    await says("paused", 10);
    return `${Date.now() - answered} ms after the answer, ${Date.now() - begin} ms after the call`;
  });

  await check("resumed and paused on the page, both versions keep their users", async () => {
    await deed(page, "Resume", "it is over");
    await says("v2 at 10 %, h");
    equal((await shop()).phase, "Progressing", "phase");
    await deed(page, "Pause", "maintenance");
    await says("paused");
    const served = await ask("versions");
    equal(Object.keys(served).sort(), ["v1", "v2"], "versions that answer");
    await shots(page, "paused");
    await deed(page, "Resume", HOSTILE);
    await says("v2 at 10 %, h");
  });

  await check("a rollback that is cancelled does nothing", async () => {
    const before = await shop();
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    const dialog = page.locator("dialog");
    assert(
      /10 % of users, at most [\d,.k ]+ in the last minute, go back to v1 at once/.test(await dialog.innerText()),
      await dialog.innerText(),
    );
    await accessible(page, "the dialog");
    await shots(page, "dialog", false);
    await dialog.locator("textarea").fill("no");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    const after = await shop();
    equal([after.phase, after.history.length], [before.phase, before.history.length], "phase and history");
  });

  await ask("quiet");
  await numbers(page);
  await shots(page, "progressing");
  await check("numbers on the page equal the load's", async () => {
    const { stable, canary } = await ask("counted");
    const sums = await page.getByText("In the whole rollout").innerText();
    const wanted = `${whole.format(stable[0])} requests of stable with ${whole.format(stable[1])} errors, ${whole.format(canary[0])} of the canary with ${whole.format(canary[1])}`;
    assert(sums.includes(wanted), `${sums} has not ${wanted}`);
  });
  await ask("load");

  await check("promoted on the page, everybody goes to the canary", async () => {
    const text = await deed(page, "Promote", "a hotfix");
    assert(/90 % of users, about [\d,.k ]+ seen at this weight so far, leave v1/.test(text), text);
    const begin = Date.now();
    await says("v2 has everybody", 30);
    const took = Date.now() - begin;
    equal(Object.keys(await ask("versions")), ["v2"], "versions that answer");
    await shots(page, "succeeded");
    return `shown ${took} ms after the dialog closed`;
  });

  await check("rolled back on the page, everybody is on stable", async () => {
    await deed(page, "Roll back", HOSTILE);
    await says("v2 was rolled back", 30);
    equal(Object.keys(await ask("versions")), ["v1"], "versions that answer");
    equal(await page.locator(".controls button").count(), 0, "buttons after the end");
    await shots(page, "failed");
  });

  await ask("experiment", HOSTILE);
  await ask("release", HOSTILE);
  await check("hostile texts are text on every page, and break no layout", async () => {
    await says(HOSTILE.slice(0, 40), 30);
    for (const [width, theme] of LOOKS) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: theme });
      for (const [hash, seen] of [
        ["#/canaries", "default/shop"],
        [SHOP, "History"],
        ["#/experiments", "button"],
        ["#/experiments/button", "Against control"],
      ]) {
        await go(page, hash);
        await until(`${hash}`, async () => (await page.locator("main").innerText()).includes(seen));
        await noSidewaysScroll(page, `${hash} (${theme})`);
        await accessible(page, `${hash} (${width} px, ${theme})`);
      }
    }
    equal(await page.locator("main script, main [onerror]").count(), 0, "elements that came from texts");
    await go(page, SHOP);
    await page.setViewportSize({ width: 1440, height: 900 });
    assert((await textOf(page, ".history")).includes(HOSTILE), "the reason is not in the history as it was");
    await shots(page, "hostile");
  });

  await check("an experiment is ended on the page", async () => {
    await go(page, "#/experiments/button");
    const text = await deed(page, "End", HOSTILE);
    assert(text.includes("20 users have taken part"), text);
    await until("its end", async () => (await textOf(page, ".title .badge")) === "ended");
    equal((await get("/v1/experiments/button")).status, "ended", "the API's word");
    equal(await page.locator(".controls button").count(), 0, "buttons after the end");
  });

  await check("the keyboard alone is enough for the way to a release and to its dialog", async () => {
    await go(page, "#/canaries");
    await page.getByRole("link", { name: "default/shop" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Pause", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor();
    equal(await page.evaluate(() => document.activeElement?.closest("dialog") !== null), true, "focus in the dialog");
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
  });

  await check("a past rollout is there with its samples, and by its link", async () => {
    const all = await get("/v1/canaries/default/shop/rollouts");
    const old = all.find((rollout) => rollout.canaryVersion === "v2");
    assert(old !== undefined && old.kind === "rollback", JSON.stringify(all));
    await page.goto(`${address}/${SHOP}?rollout=${old.started}`);
    await says("v2 was rolled back");
    await page.getByText("This is a past rollout").waitFor();
    equal(await page.locator(".controls button").count(), 0, "buttons on a past rollout");
    await until("the charts", async () =>
      equal(await page.locator("figure .none").count(), 0, "charts without samples"),
    );
    await shots(page, "past");
    await page.getByRole("link", { name: "To the present" }).click();
    await says(HOSTILE.slice(0, 40));
  });

  await check("no error in the console, no breach of the policy, no request to another host", async () => {
    equal(errors, [], "errors");
  });

  await check("the analyzer killed: the page says so; restarted: it recovers by itself", async () => {
    await ask("kill");
    await page.getByText("Stale since").waitFor();
    await shots(page, "stale", false);
    assert((await textOf(page, ".link")).includes("not live"), await textOf(page, ".link"));
    await ask("restart");
    await until("the page to be live again", async () => (await textOf(page, ".link")) === "live", 30);
    equal(await page.getByText("Stale since").count(), 0, "stale marks");
    const { time } = await shop();
    assert(time > 0, "the API answers");
  });
});
