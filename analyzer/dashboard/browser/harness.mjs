// What the browser's scripts share: a headless Chromium, checks with a sentence each, and questions to the
// test that started the script (tests/src/browser.rs): a line `@ask NAME ARGUMENT` on stdout, the answer as
// one line of JSON on stdin.
import { chromium } from "playwright-core";
import { createInterface } from "node:readline";

/** Where the analyzer is, as http://127.0.0.1:PORT. */
export const address = process.env.SERIN_URL ?? "";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test; it answers when what is asked for is done. */
export async function ask(what, argument = null) {
  process.stdout.write(`@ask ${what} ${JSON.stringify(argument)}\n`);
  const { value, done } = await lines.next();
  if (done) throw new Error(`nobody answers "${what}": run this with cargo test -p serin-tests --test dashboard`);
  return JSON.parse(value);
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(found, wanted, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  assert(one === other, `${what}: found ${one}, wanted ${other}`);
}

/** Tries until `attempt` neither throws nor says false. */
export async function until(what, attempt, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    let why = "it is not so";
    try {
      const found = await attempt();
      if (found !== false) return found;
    } catch (error) {
      why = error.message;
    }
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** One sentence that holds. */
export async function check(sentence, attempt) {
  const begin = Date.now();
  try {
    const said = await attempt();
    const more = typeof said === "string" ? `: ${said}` : "";
    console.log(`holds  ${sentence}${more} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
  } catch (error) {
    throw new Error(`DOES NOT HOLD  ${sentence}: ${error.message}`, { cause: error });
  }
}

export async function launch() {
  const executablePath = process.env.SERIN_CHROMIUM;
  assert(executablePath, "SERIN_CHROMIUM is not set: scripts/get-browser prints a path");
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const args = [...sandbox, "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  return chromium.launch({ executablePath, args });
}

/** A page that notes every error and every breach of the content policy. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: "light",
    ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => errors.push(`page: ${error.message}`));
  page.on("dialog", (dialog) => {
    errors.push(`a dialog of the browser: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    const own = url.protocol === "data:" || url.host === new URL(address).host;
    if (!own) errors.push(`a request to another host: ${request.url()}`);
  });
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(
        `content policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      ),
    ),
  );
  return { context, page, errors };
}

/** The text of the first element that fits. */
export const textOf = (page, selector) => page.locator(selector).first().innerText();

/** Goes to a place of the page without loading it anew. */
export const go = (page, hash) => page.evaluate((to) => void (location.hash = to), hash);

/** Whether a page is no wider than the window. */
export async function noSidewaysScroll(page, what) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(content <= window, `${what} is ${content} px wide in a window of ${window} px`);
}

/** Both sizes and both themes. */
export const LOOKS = [
  [1440, "light"],
  [1440, "dark"],
  [390, "light"],
  [390, "dark"],
];

/** Pictures in both sizes and themes for people to look at, where $SERIN_SHOTS names a folder. */
export async function shots(page, name, fullPage = true) {
  const folder = process.env.SERIN_SHOTS;
  if (!folder) return;
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage });
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

/** The cells of the table that compares both versions: metric, stable, canary, difference. */
export const table = (page) =>
  page
    .getByRole("region", { name: "The last minute, as a table" })
    .locator("tbody tr")
    .evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText)));

/** Signs in where the page asks for it. */
export async function signIn(page, token, name = "") {
  await page.getByLabel("Viewer or operator token").fill(token);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Presses a button of the controls, gives a reason, and confirms. */
export async function deed(page, button, reason) {
  await page.getByRole("button", { name: button, exact: true }).click();
  const dialog = page.locator("dialog");
  await dialog.locator("textarea").fill(reason);
  const text = await dialog.innerText();
  await dialog.locator("button[type=submit]").click();
  await dialog.waitFor({ state: "detached" });
  return text;
}

/** Runs a script to its end; the exit code says how it went. */
export async function run(script) {
  const browser = await launch();
  try {
    await script(browser);
  } catch (error) {
    console.log(error.message);
    process.exitCode = 1;
  } finally {
    await browser.close();
    // Whatever a script has left open must not keep it.
    process.exit(process.exitCode ?? 0);
  }
}
