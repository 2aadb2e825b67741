// Charts that are round: the traffic's parts, and gauges.
import type { EChartsCoreOption } from "echarts/core";
import { percent } from "../words/numbers";
import type { Palette } from "./palette";

/** Two rings: what was asked for inside, what was really served outside. */
export function traffic(asked: number, served: number | null, palette: Palette): EChartsCoreOption {
  const ring = (name: string, part: number, radius: [string, string], opacity: number): Record<string, unknown> => ({
    name,
    type: "pie",
    radius,
    silent: true,
    startAngle: 90,
    label: { show: false },
    labelLine: { show: false },
    itemStyle: { borderColor: palette.card, borderWidth: 2, opacity },
    data: [
      { name: "canary", value: part, itemStyle: { color: palette.canary } },
      { name: "stable", value: 100 - part, itemStyle: { color: palette.stable } },
    ],
  });
  const rings = [ring("asked for", asked, ["38%", "58%"], 0.55)];
  if (served !== null) rings.push(ring("served", served, ["64%", "92%"], 1));
  return { series: rings };
}

/** Where a gauge begins, so that its target stands at three quarters. */
export const gaugeStart = (target: number): number => Math.max(0, 100 - 4 * (100 - target));

/** A score against its target, both in percent. */
export function gauge(score: number | null, target: number, palette: Palette): EChartsCoreOption {
  const min = gaugeStart(target);
  const part = (target - min) / (100 - min);
  const kept = score === null || score >= target;
  return {
    series: [
      {
        type: "gauge",
        min,
        max: 100,
        startAngle: 200,
        endAngle: -20,
        radius: "118%",
        center: ["50%", "66%"],
        progress: { show: false },
        axisLine: {
          lineStyle: {
            width: 12,
            color: [
              [part, palette.rule],
              [1, palette.goodSoft],
            ],
          },
        },
        pointer: { width: 4, length: "68%", itemStyle: { color: score === null ? "transparent" : palette.text } },
        anchor: { show: score !== null, size: 8, itemStyle: { color: palette.text } },
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { show: false },
        title: { show: false },
        detail: {
          formatter: () => percent(score),
          color: kept ? palette.text : palette.bad,
          fontSize: 17,
          fontWeight: 600,
          offsetCenter: [0, "42%"],
        },
        data: [{ value: Math.max(min, score ?? min) }],
        silent: true,
      },
    ],
  };
}
