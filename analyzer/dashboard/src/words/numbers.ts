// Numbers as people read them. Everything that is not a number is a dash.

const DASH = "–";
const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

const isNumber = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

/** Three significant digits at least, without an exponent: `0.042`, `4.26`, `42.6`, `426`. */
function significant(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

/** A count: `950`, `1,240`, `12.4 k`, `3.21 M`. */
export function count(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  if (Math.abs(value) >= 1e9) return `${significant(value / 1e9)} bn`;
  if (Math.abs(value) >= 1e6) return `${significant(value / 1e6)} M`;
  if (Math.abs(value) >= 1e4) return `${significant(value / 1e3)} k`;
  return grouped.format(value);
}

/** A count in full: `12,412`. */
export const whole = (value: number | null | undefined): string => (isNumber(value) ? grouped.format(value) : DASH);

/** A part, without needless zeros: `5 %`, `0.42 %`, `99.99 %`; beyond a hundred, as debts are, whole: `−1,958 %`. */
export function percent(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  const size = Math.abs(value) > 100 ? grouped.format(Math.abs(value)) : String(Number(Math.abs(value).toFixed(2)));
  return `${value < 0 && size !== "0" ? "−" : ""}${size} %`;
}

/** A part with two decimals, where rates stand below one another: `0.40 %`. */
export const rate = (value: number | null | undefined): string => (isNumber(value) ? `${value.toFixed(2)} %` : DASH);

/** How far two parts lie apart: `0.40 points`; in percent one would take it for a part of the smaller one. */
export const points = (value: number): string => `${value.toFixed(2)} points`;

/** A latency in seconds: `8.96 ms`, `1.25 s`. */
export function latency(seconds: number | null | undefined): string {
  if (!isNumber(seconds)) return DASH;
  if (seconds >= 1) return `${significant(seconds)} s`;
  return seconds >= 1e-3 || seconds === 0 ? `${significant(seconds * 1e3)} ms` : `${significant(seconds * 1e6)} µs`;
}

/** Bytes: `214 MiB`. */
export function bytes(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
  return `${significant(value / 1024 ** power)} ${units[power] ?? "B"}`;
}

/** An E-value or a p-value, which may be very large or small: `0.97`, `20`, `3.4e+6`. */
export function evidence(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e4 || size < 1e-3)) return value.toExponential(1);
  return significant(value);
}

/** With its sign: `+0.42`. */
export const signed = (value: number, write: (size: number) => string): string =>
  `${value < 0 ? "−" : value > 0 ? "+" : "±"}${write(Math.abs(value))}`;
