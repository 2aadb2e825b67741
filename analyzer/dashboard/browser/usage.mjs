// CPU and memory of both versions, which other sources than the filters know, in the table of one release.
import { address, assert, check, equal, open, run, table, until } from "./harness.mjs";

const percent = (value) => `${Number(value.toFixed(2))} %`;
const mebibytes = (value) => `${Number((value / 2 ** 20).toFixed(value >= 100 * 2 ** 20 ? 0 : 1))} MiB`;

const points = (value) => `${value.toFixed(2)} points`;

/** What a row should say of two numbers of which the lower is the better one. */
function row(name, stable, canary, write, apart = write) {
  const by = apart(Math.abs(canary - stable));
  const difference = canary < stable ? `▼ −${by} better` : `▲ +${by} worse`;
  return [name, write(stable), write(canary), difference];
}

await run(async (browser) => {
  const { page, errors } = await open(browser);
  await page.goto(`${address}/#/canaries/default/shop`);

  await check("CPU and memory on the page equal the API's, with the difference in words", () =>
    until("page and API to say the same", async () => {
      const samples = await (await fetch(`${address}/v1/canaries/default/shop/samples`)).json();
      const { stable, canary } = samples.at(-1).versions;
      assert(stable.memory_bytes === 100e6 && canary.memory_bytes === 200e6, "Prometheus does not say it yet");
      const rows = (await table(page)).filter(([name]) => name === "CPU" || name === "Memory");
      equal(
        rows,
        [
          row("CPU", stable.cpu_percent, canary.cpu_percent, percent, points),
          row("Memory", stable.memory_bytes, canary.memory_bytes, mebibytes),
        ],
        "the rows",
      );
      equal(rows[1], ["Memory", "95.4 MiB", "191 MiB", "▲ +95.4 MiB worse"], "memory");
      return rows.map((cells) => cells.join(", ")).join("; ");
    }, 60),
  );

  await check("better and worse have colours of their own", async () => {
    const colour = (cell) => page.locator("td", { hasText: cell }).first().evaluate((td) => getComputedStyle(td).color);
    const colours = [await colour(/better$/), await colour(/worse$/), await colour(/^95.4 MiB$/)];
    equal(new Set(colours).size, 3, `different colours of ${colours.join(", ")}`);
  });

  equal(errors, [], "errors");
});
