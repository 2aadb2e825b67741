// Who may do what, in a browser: sign-in, roles, ended sessions, foreign origins.
import { createServer } from "node:http";
import { accessible } from "./axe.mjs";
import {
  address,
  ask,
  assert,
  check,
  deed,
  equal,
  noSidewaysScroll,
  open,
  run,
  shots,
  signIn,
  textOf,
  until,
} from "./harness.mjs";

const tokens = JSON.parse(process.env.SERIN_TOKENS ?? "{}");

const headline = (page) => textOf(page, ".headline");
/** What the page itself may call, as a script in it would. */
const post = (page, path) =>
  page.evaluate(async (to) => (await fetch(to, { method: "POST", body: '{"reason":"a test"}' })).status, path);

/** A page of another origin tries what the operator's cookie allows: the socket, and a rollback. */
async function foreignPage(context) {
  const server = createServer((_, answer) => answer.end("<!doctype html><title>foreign</title>")).listen(
    0,
    "127.0.0.1",
  );
  await new Promise((resolve) => server.once("listening", resolve));
  const other = await context.newPage();
  await other.goto(`http://127.0.0.1:${server.address().port}/`);
  const outcome = await other.evaluate(
    (to) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${to.replace("http", "ws")}/v1/live`);
        socket.onmessage = () => resolve("told");
        socket.onclose = () => resolve("refused");
      }),
    address,
  );
  equal(outcome, "refused", "the socket of another origin");
  const path = `${address}/v1/canaries/default/shop/rollback`;
  const body = '{"reason":"a foreign page"}';
  await other.evaluate(
    ([to, text]) => fetch(to, { method: "POST", body: text, mode: "no-cors", credentials: "include" }).then(() => null),
    [path, body],
  );
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const answer = await fetch(path, { method: "POST", body, headers: { cookie, origin: "http://foreign.example" } });
  equal(answer.status, 403, "a rollback with the cookie from another origin");
  const { phase } = await (await fetch(path.replace(/.rollback$/, ""), { headers: { cookie } })).json();
  equal(phase, "Pending", "the phase after both");
  await other.close();
  server.close();
}

/** Notes by which code, and with what words, the page's sockets are closed. */
const noteCloses = (page) =>
  page.addInitScript(() => {
    window.closes = [];
    window.WebSocket = class extends WebSocket {
      constructor(...how) {
        super(...how);
        this.addEventListener("close", ({ code, reason }) => window.closes.push([code, reason]));
      }
    };
  });

/** Signs in for so many seconds, and watches the session end; false where it was over before the page was there. */
async function watchTheEnd(page, seconds) {
  const posted = (answer) => answer.url().endsWith("/v1/session") && answer.request().method() === "POST";
  const answered = page.waitForResponse(posted);
  await signIn(page, tokens.operator, "kim");
  const set = (await (await answered).headerValue("set-cookie")) ?? "";
  assert(set.includes(`Max-Age=${seconds};`), set);
  const said = page.getByText("Your session has ended. Sign in again to go on where you were.");
  const ended = async () => (await said.count()) > 0;
  const seen = await until("the release, or the end", async () =>
    (await page.locator(".headline").count()) > 0 ? "release" : (await ended()) && "end",
  );
  await until("the end", ended, seconds + 30);
  return seen === "release" && set.split(";")[0];
}

await run(async (browser) => {
  const { page, context, errors } = await open(browser);
  await noteCloses(page);
  const place = `${address}/#/canaries/default/shop?last=300`;

  await check("without a token there is a sign-in and nothing else", async () => {
    await page.goto(place);
    await page.getByRole("heading", { name: "Sign in to Serin" }).waitFor();
    await accessible(page, "the sign-in");
    await shots(page, "signin", false);
    await page.setViewportSize({ width: 390, height: 800 });
    await noSidewaysScroll(page, "the sign-in");
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  await check("a wrong token is refused in words", async () => {
    errors.length = 0;
    await signIn(page, "not-a-token-of-this-analyzer");
    await page.getByText("This token is not accepted.").waitFor();
    // Chromium itself writes a line for every answer of 400 and above.
    equal(
      errors.filter((error) => !error.includes("401")),
      [],
      "errors",
    );
    errors.length = 0;
  });

  await check("a viewer sees the page that was asked for, no controls, and is refused by the API", async () => {
    await signIn(page, tokens.viewer);
    await until("the release", async () => (await headline(page)).length > 0);
    assert(page.url() === place, page.url());
    equal(await page.locator(".controls button").count(), 0, "buttons");
    for (const action of ["pause", "promote", "rollback"]) {
      equal(await post(page, `/v1/canaries/default/shop/${action}`), 403, action);
    }
    errors.length = 0;
  });

  await check("the session is a cookie that scripts cannot read, and the token is nowhere", async () => {
    const cookie = (await context.cookies()).find((one) => one.name === "serin-session");
    equal([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"], "the cookie");
    const seen = await page.evaluate(() => [
      document.cookie,
      JSON.stringify(localStorage),
      JSON.stringify(sessionStorage),
      location.href,
    ]);
    assert(!seen.join(" ").includes(tokens.viewer), seen.join(" "));
    equal(seen[0], "", "document.cookie");
  });

  await check("an operator signs in by name and acts, and the history has that name", async () => {
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await signIn(page, tokens.operator, "kim <b>");
    await page.getByRole("button", { name: "Roll back", exact: true }).waitFor();
    await foreignPage(context);
    await deed(page, "Roll back", "a look");
    await until("the name", async () => (await textOf(page, ".history")).includes("(by kim <b>)"));
    equal(errors, [], "errors");
  });

  await check("signed out, there is the sign-in again", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Serin" }).waitFor();
    await signIn(page, tokens.operator, "kim");
    await until("the name", async () => (await textOf(page, ".who")).includes("kim (operator)"));
  });

  await check("a session ends after its length: the analyzer closes the view, and the page says so", async () => {
    // On a busy machine the shortest may be over before the page is there.
    for (const seconds of [4, 20, 60]) {
      await ask("sessionLength", seconds);
      await context.clearCookies();
      await page.reload();
      await page.getByText("This analyzer shows its releases to whoever has a token.").waitFor();
      const cookie = await watchTheEnd(page, seconds);
      if (cookie === false) continue;
      const closes = await page.evaluate(() => window.closes.filter(([code]) => code === 1008));
      equal(closes, [[1008, "the session has ended: sign in again"]], "goodbyes of the analyzer");
      equal(page.url(), place, "the address");
      const api = `${address}/v1/canaries`;
      const headers = { cookie, origin: address };
      equal((await fetch(api, { headers })).status, 401, "reading with the old cookie");
      const pause = { method: "POST", body: '{"reason":"a test"}', headers };
      equal((await fetch(`${api}/default/shop/pause`, pause)).status, 401, "acting with the old cookie");
      await accessible(page, "the sign-in after the end");
      await shots(page, "session-ended", false);
      await ask("sessionLength", 12 * 3600);
      await signIn(page, tokens.operator, "kim");
      await until("the release", async () => (await headline(page)).length > 0);
      equal(page.url(), place, "the address after signing in again");
      return `with ${seconds} s`;
    }
    throw new Error("no session was long enough for the page to come");
  });

  await check("a session whose token is taken away ends, and says so", async () => {
    await ask("revoke");
    await page.getByText("Your session has ended.").waitFor();
    assert(page.url() === place, page.url());
  });

  await check("failed sign-ins are limited", async () => {
    for (let attempt = 0; attempt < 50; attempt++) {
      await signIn(page, `wrong-${attempt}-wrong-wrong`);
      const problem = page.locator(".problem");
      await problem.waitFor();
      if ((await problem.innerText()).startsWith("Too many failed sign-ins: try again in"))
        return `after ${attempt} tries`;
      await until("the answer", async () => !(await page.locator("button[type=submit]").isDisabled()));
    }
    throw new Error("fifty wrong tokens were all tried");
  });
});
