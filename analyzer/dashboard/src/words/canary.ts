// A release in words: the one answer for whoever is on call, and what a button would do.
import type { Canary, Deed, Interval } from "../api/types";
import { count, percent } from "./numbers";
import { length } from "./time";

export type Tone = "good" | "wait" | "bad" | "done" | "idle";

/** The state in one word, with how to colour it. */
export function health(canary: Canary): { word: string; tone: Tone } {
  switch (canary.phase) {
    case "Failed":
      return { word: "rolled back", tone: "bad" };
    case "Succeeded":
      return { word: canary.weight > 0 ? "has everybody" : "nothing to release", tone: "done" };
    case "Paused":
      return { word: "paused", tone: "wait" };
    case "Promoting":
      return { word: "being promoted", tone: "good" };
    case "Pending":
      return { word: "waiting to begin", tone: "idle" };
    case "Progressing":
      break;
  }
  switch (canary.verdict.outcome) {
    case "continue":
      return { word: "healthy", tone: "good" };
    case "hold":
      return { word: "held", tone: "wait" };
    case "pause":
      return { word: "paused", tone: "wait" };
    case "fail":
      return { word: "failing", tone: "bad" };
  }
}

/** `v2 at 25 %, healthy`. */
export function headline(canary: Canary): string {
  const { word } = health(canary);
  switch (canary.phase) {
    case "Failed":
      return `${canary.canaryVersion} was rolled back: everybody is on ${canary.stableVersion}`;
    case "Succeeded":
      return canary.weight > 0
        ? `${canary.canaryVersion} has everybody`
        : `Everybody is on ${canary.stableVersion}: nothing to release`;
    case "Pending":
    case "Progressing":
    case "Paused":
    case "Promoting":
      return `${canary.canaryVersion} at ${percent(canary.weight)}, ${word}`;
  }
}

/** What comes next, and when: `Next step 45 % in 38 s`. */
export function next(canary: Canary, now: number): string {
  const { weight, earliest } = canary.next;
  switch (canary.phase) {
    case "Failed":
      return "A new canary version starts another release.";
    case "Succeeded":
      if (canary.weight === 0) return "A new canary version starts a release.";
      return `It stays so until ${canary.canaryVersion} is the stable version too.`;
    case "Paused":
      return "It stays at this weight until somebody resumes it.";
    case "Promoting":
      return "Stable takes over this version; then the weight goes back to 0 %.";
    case "Pending":
    case "Progressing":
      break;
  }
  const what =
    weight === null || canary.next.what === "finish"
      ? "Promotion"
      : canary.phase === "Pending"
        ? `First step ${percent(weight)}`
        : `Next step ${percent(weight)}`;
  if (canary.verdict.outcome !== "continue") {
    return `${what} once nothing is held against it any more.`;
  }
  if (earliest === null) return `${what} when the judge agrees.`;
  const left = earliest - now;
  return left > 0 ? `${what} in ${length(left)}.` : `${what} at the next look.`;
}

/** The odds of erring in words; none while they say nothing. */
export function odds(interval: Interval | null): string | null {
  if (interval === null) return null;
  const [low, high] = interval;
  const times = (value: number): string =>
    value >= 100 ? count(Math.round(value)) : value.toFixed(value >= 10 ? 0 : 1);
  if (low < 0.01 && high > 1000) return null;
  if (low < 0.01) return `Canary users err at most ${times(high)} times as often as stable users.`;
  if (high > 1000) return `Canary users err at least ${times(low)} times as often as stable users.`;
  return `Canary users err ${times(low)} to ${times(high)} times as often as stable users.`;
}

/** Which deeds the phase allows. The analyzer decides; this only hides what it would refuse. */
export function possible(canary: Canary): Deed[] {
  switch (canary.phase) {
    case "Pending":
      return ["rollback"];
    case "Progressing":
      return ["pause", "promote", "rollback"];
    case "Paused":
      return ["resume", "promote", "rollback"];
    case "Promoting":
      return ["rollback"];
    case "Succeeded":
      return canary.weight > 0 ? ["rollback"] : [];
    case "Failed":
      return [];
  }
}

/** What a deed would do, in numbers. */
export function consequence(canary: Canary, deed: Deed): string {
  const { canaryVersion, stableVersion, weight, traffic } = canary;
  const lastMinute = `at most ${count(traffic.canaryUsersLastMinute)} in the last minute`;
  switch (deed) {
    case "rollback":
      if (canary.phase === "Promoting") {
        return `${percent(weight)} of users, ${lastMinute}, go to the stable Deployment at once. It is being given ${canaryVersion}'s pods, and a rollback does not take that back: bring it to ${stableVersion} first if users must leave ${canaryVersion}.`;
      }
      return weight > 0
        ? `${percent(weight)} of users, ${lastMinute}, go back to ${stableVersion} at once. ${canaryVersion} keeps none.`
        : `No users are on ${canaryVersion} now. The release ends and everybody stays on ${stableVersion}.`;
    case "promote": {
      const rest = 100 - weight;
      const skipped = canary.settings.ramp.filter((step) => step > weight && step < 100);
      const steps = skipped.length > 0 ? ` It skips ${skipped.map(percent).join(", ")}.` : "";
      return `${percent(rest)} of users, about ${count(traffic.users.stable)} seen at this weight so far, leave ${stableVersion}: everybody goes to ${canaryVersion} at once.${steps}`;
    }
    case "pause":
      return `${canaryVersion} keeps its ${percent(weight)} of users, ${lastMinute}, until somebody resumes it. A failure still rolls back.`;
    case "resume":
      return `The release goes on from ${percent(weight)}; the step's interval begins anew.`;
  }
}

/** How a deed is called on its button. */
export const deedName = (deed: Deed): string =>
  ({ pause: "Pause", resume: "Resume", promote: "Promote", rollback: "Roll back" })[deed];
