// What the page knows: the analyzer's last snapshot with the deltas after it, and how fresh that is.
import type { Canary, Experiment, Filter, Frame, Sample } from "./api/types";
import { idOf } from "./api/types";

/** Samples kept for each canary; more come from the store. */
const SAMPLES = 2000;

export interface World {
  /** Whether a snapshot has come at all. */
  loaded: boolean;
  canaries: Map<string, Canary>;
  experiments: Map<string, Experiment>;
  filters: Filter[];
  /** The analyzer's clock when `filters` was so. */
  filtersTime: number;
  planRevision: number;
  samples: Map<string, Sample[]>;
  sequence: number;
  /** The analyzer's clock in the last frame. */
  time: number;
}

export const nothing = (): World => ({
  loaded: false,
  canaries: new Map(),
  experiments: new Map(),
  filters: [],
  filtersTime: 0,
  planRevision: 0,
  samples: new Map(),
  sequence: 0,
  time: 0,
});

/** Adds samples that are newer than those that are there. */
export function withSamples(known: readonly Sample[], fresh: readonly Sample[]): Sample[] {
  const last = known.at(-1)?.timestamp ?? -Infinity;
  return [...known, ...fresh.filter((sample) => sample.timestamp > last)].slice(-SAMPLES);
}

/** The world after a frame; none where a frame is missing in between, so that a new snapshot is needed. */
export function after(world: World, frame: Frame): World | null {
  const snapshot = frame.type === "snapshot";
  if (!snapshot && (!world.loaded || frame.sequence !== world.sequence + 1)) return null;
  const base = snapshot ? nothing() : world;
  const canaries = new Map(base.canaries);
  const experiments = new Map(base.experiments);
  const samples = new Map(base.samples);
  for (const canary of frame.canaries ?? []) canaries.set(idOf(canary), canary);
  for (const id of frame.removedCanaries ?? []) {
    canaries.delete(id);
    samples.delete(id);
  }
  for (const experiment of frame.experiments ?? []) experiments.set(experiment.id, experiment);
  for (const id of frame.removedExperiments ?? []) experiments.delete(id);
  for (const [id, fresh] of Object.entries(frame.samples ?? {})) {
    samples.set(id, withSamples(samples.get(id) ?? [], fresh));
  }
  return {
    loaded: true,
    canaries,
    experiments,
    samples,
    filters: frame.filters ?? base.filters,
    filtersTime: frame.filters === undefined ? base.filtersTime : frame.time,
    planRevision: frame.planRevision ?? base.planRevision,
    sequence: frame.sequence,
    time: frame.time,
  };
}
