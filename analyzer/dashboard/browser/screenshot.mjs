// The README's picture: the demo's release a while after its second step. The argument is the file.
import { address, launch, textOf, until } from "./harness.mjs";

const [file = "dashboard.png"] = process.argv.slice(2);
const browser = await launch();
try {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  await page.goto(`${address}/#/canaries/default/shop`);
  await until("the second step", async () => /at 25 %/.test(await textOf(page, ".headline")), 240);
  await new Promise((resolve) => setTimeout(resolve, 30_000));
  await page.screenshot({ path: file, clip: { x: 0, y: 0, width: 1360, height: 890 }, fullPage: true });
} finally {
  await browser.close();
  process.stdin.destroy();
}
