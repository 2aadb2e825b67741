// The chart of an experiment.
import type { EChartsCoreOption } from "echarts/core";
import { evidence } from "../words/numbers";
import { clockOf } from "../words/time";
import type { Palette } from "./palette";

/** Always-valid p-values over time, one line for each arm, on a logarithmic scale with 0.05. */
export function pValues(
  looks: readonly { time: number; p: Record<string, number> }[],
  arms: readonly string[],
  palette: Palette,
): EChartsCoreOption {
  const text = { color: palette.faint, fontSize: 11 };
  const lowest = Math.min(0.01, ...looks.flatMap((look) => Object.values(look.p)));
  const lines = arms.map((arm, place) => {
    const color = palette.arms[(place + 1) % palette.arms.length];
    const points = looks.map((look) => [look.time, look.p[arm] === undefined ? null : Math.max(look.p[arm], 1e-12)]);
    return {
      name: arm,
      type: "line",
      data: points,
      showSymbol: looks.length < 3,
      lineStyle: { color, width: 2 },
      itemStyle: { color },
    };
  });
  const limit = {
    silent: true,
    symbol: "none",
    data: [
      {
        yAxis: 0.05,
        label: { formatter: "0.05", position: "insideEndTop", color: palette.bad },
        lineStyle: { color: palette.bad, type: "dashed" },
      },
    ],
  };
  return {
    grid: { left: 8, right: 14, top: 16, bottom: 4, containLabel: true },
    xAxis: {
      type: "time",
      axisLabel: { ...text, hideOverlap: true, formatter: clockOf },
      axisLine: { lineStyle: { color: palette.rule } },
    },
    yAxis: {
      type: "log",
      min: 10 ** Math.floor(Math.log10(Math.max(lowest, 1e-12))),
      max: 1,
      axisLabel: { ...text, formatter: evidence },
      splitLine: { lineStyle: { color: palette.rule } },
    },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: palette.card,
      borderColor: palette.rule,
      textStyle: { color: palette.text, fontSize: 12 },
      valueFormatter: (value: unknown) => (typeof value === "number" ? evidence(value) : "–"),
    },
    series: lines.map((line, place) => (place === 0 ? { ...line, markLine: limit } : line)),
  };
}
