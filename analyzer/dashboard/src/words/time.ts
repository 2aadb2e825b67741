// Times: in the viewer's zone, with UTC for whoever compares with a log.

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** `14:03:27`, with the day before it unless that is today. */
export function local(time: number, now = Date.now()): string {
  const when = new Date(time);
  const today = new Date(now).toDateString() === when.toDateString();
  return today ? clock.format(when) : `${day.format(when)}, ${clock.format(when)}`;
}

/** `14:03:27`. */
export const clockOf = (time: number): string => clock.format(new Date(time));

/** `2026-11-25 13:03:27 UTC`. */
export const utc = (time: number): string => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A length: `38 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`. */
export function length(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor((seconds % 86_400) / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}
