// The always-valid p-value over time, as the analyzer kept it, and further while one looks.
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { experimentSeries } from "../../api/calls";
import type { Experiment, ExperimentPoint, Results } from "../../api/types";
import { Chart } from "../../charts/chart";
import { pValues } from "../../charts/experiment";
import { useShared } from "../../shared";

export interface Look {
  time: number;
  /** The always-valid p-value of the first goal, by arm. */
  p: Record<string, number>;
}

/** What a look at the results says. */
export function look(results: Results, time: number): Look {
  const goal = results.comparisons[0]?.goal;
  const own = results.comparisons.filter((one) => one.goal === goal);
  return { time, p: Object.fromEntries(own.map((one) => [one.arm, one.always_valid_p_value])) };
}

/** The looks that the analyzer kept, those of the first goal. */
export function kept(points: readonly ExperimentPoint[], goal: string | undefined): Look[] {
  return points.map((point) => {
    const own = point.comparisons.filter((one) => one.goal === goal);
    return { time: point.time, p: Object.fromEntries(own.map((one) => [one.arm, one.alwaysValidPValue])) };
  });
}

export function OverTime({ experiment, results }: { experiment: Experiment; results: Results }): JSX.Element {
  const { palette } = useShared();
  const [stored, setStored] = useState<ExperimentPoint[]>([]);
  const [own, setOwn] = useState<Look[]>([]);
  const goal = results.comparisons[0]?.goal;
  useEffect(() => {
    experimentSeries(experiment.id).then(
      ({ points }) => setStored(points),
      () => setStored([]),
    );
  }, [experiment.id, experiment.status]);
  useEffect(() => {
    if (experiment.status === "running") setOwn((before) => [...before, look(results, Date.now())].slice(-2000));
  }, [results, experiment.status]);
  const looks = useMemo(() => [...kept(stored, goal), ...own], [stored, goal, own]);
  const arms = experiment.spec.arms.slice(1).map((arm) => arm.name);
  const option = useMemo(() => pValues(looks, arms, palette), [looks, arms.join(), palette]);
  return (
    <Chart
      title="p-value that may be looked at at any time"
      note="Logarithmic. Dashed: 0.05, certain from there down."
      label="The always-valid p-value over time"
      option={option}
      empty={looks.length === 0 ? "Nothing yet." : undefined}
    />
  );
}
