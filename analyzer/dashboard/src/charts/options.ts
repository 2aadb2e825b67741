// What each chart of a release shows: samples in, an ECharts option out. Tooltips are drawn on the canvas:
// as HTML they would need inline styles, which the page's policy forbids.
import type { EChartsCoreOption } from "echarts/core";
import type { Arm, Interval, Sample, SampleOfVersion } from "../api/types";
import type { Mark, Point } from "../series";
import { box, distribution, extent, histogram, series } from "../series";
import { evidence, latency, percent, rate } from "../words/numbers";
import { clockOf } from "../words/time";
import type { Palette } from "./palette";

type Part = Record<string, unknown>;

/** What all charts over time have in common. */
export interface Frame {
  samples: readonly Sample[];
  marks: readonly Mark[];
  palette: Palette;
}

const colour = (palette: Palette, arm: Arm): string => palette[arm];

function axes({ samples, marks, palette }: Frame, y: Part): Part {
  const text = { color: palette.faint, fontSize: 11 };
  const line = { lineStyle: { color: palette.rule } };
  return {
    grid: { left: 8, right: 22, top: 24, bottom: 4, containLabel: true },
    xAxis: {
      type: "time",
      axisLabel: { ...text, hideOverlap: true, formatter: clockOf },
      axisLine: line,
      axisTick: { show: false },
      splitNumber: 4,
      // Marks may stand after the last sample.
      max: Math.max(samples.at(-1)?.timestamp ?? 0, marks.at(-1)?.time ?? 0) || undefined,
    },
    yAxis: { type: "value", axisLabel: text, splitLine: line, splitNumber: 4, ...y, ...label(text, y) },
  };
}

const label = (text: Part, y: Part): Part => ({ axisLabel: { ...text, ...(y["axisLabel"] as Part | undefined) } });

function tooltip(palette: Palette, write: (value: number) => string): Part {
  return {
    trigger: "axis",
    renderMode: "richText",
    confine: true,
    backgroundColor: palette.card,
    borderColor: palette.rule,
    textStyle: { color: palette.text, fontSize: 12 },
    axisPointer: { label: { formatter: ({ value }: { value: number }) => clockOf(value) } },
    valueFormatter: (value: unknown) => (typeof value === "number" ? write(value) : "–"),
  };
}

function line(name: string, color: string, data: readonly Point[], more: Part = {}): Part {
  return {
    name,
    type: "line",
    data,
    showSymbol: data.length < 3,
    symbolSize: 4,
    lineStyle: { color, width: 2 },
    itemStyle: { color },
    connectNulls: false,
    ...more,
  };
}

/** The vertical lines at weight changes and verdicts, and perhaps a horizontal one at a limit. */
function markLine(palette: Palette, marks: readonly Mark[], limit?: { value: number; text: string }): Part {
  const vertical = marks.map((mark) => {
    const verdict = mark.kind !== "weight";
    const color = { weight: palette.faint, verdict: palette.text, failure: palette.bad }[mark.kind];
    return {
      xAxis: mark.time,
      label: { formatter: mark.text, color, fontSize: 10, position: "end", distance: 3 },
      lineStyle: { color, type: verdict ? "solid" : "dotted", width: verdict ? 2 : 1 },
    };
  });
  const horizontal =
    limit === undefined
      ? []
      : [
          {
            yAxis: limit.value,
            label: { formatter: limit.text, position: "insideEndTop", color: palette.bad, fontSize: 11 },
            lineStyle: { color: palette.bad, type: "dashed", width: 1.5 },
          },
        ];
  return { silent: true, symbol: "none", animation: false, data: [...vertical, ...horizontal] };
}

/** The band between the bounds of an interval: two stacked series, of which the lower is not drawn. */
function band(
  name: string,
  color: string,
  samples: readonly Sample[],
  of: (sample: Sample) => Interval | null,
): Part[] {
  const low = samples.map((sample): Point => [sample.timestamp, of(sample)?.[0] ?? null]);
  const width = samples.map((sample): Point => {
    const interval = of(sample);
    return [sample.timestamp, interval === null ? null : interval[1] - interval[0]];
  });
  const hidden = { stack: name, stackStrategy: "all", showSymbol: false, silent: true, tooltip: { show: false }, z: 1 };
  const nothing = { lineStyle: { opacity: 0 }, itemStyle: { color, opacity: 0 } };
  return [
    { name: `${name} from`, type: "line", data: low, ...hidden, ...nothing },
    { name: `${name} to`, type: "line", data: width, ...hidden, ...nothing, areaStyle: { color, opacity: 0.16 } },
  ];
}

/** Error rates with the confidence bands of the last minute, and the limit. */
export function errorRates(frame: Frame, limit: number): EChartsCoreOption {
  const { samples, marks, palette } = frame;
  const arms: Arm[] = ["stable", "canary"];
  const highest = Math.max(...samples.flatMap((sample) => arms.map((arm) => sample.versions[arm].error_rate ?? 0)), 0);
  // The limit is always to be seen, and a first sample's wide band does not press everything flat.
  const top = Math.min(100, Math.max(limit * 1.3, highest * 1.15));
  const bands = arms.flatMap((arm) =>
    band(arm, colour(palette, arm), samples, (sample) => clipped(sample.versions[arm], top)),
  );
  const lines = arms.map((arm) =>
    line(
      arm,
      colour(palette, arm),
      series(samples, arm, (version) => version.error_rate),
    ),
  );
  const last = { ...lines[1], markLine: markLine(palette, marks, { value: limit, text: `limit ${percent(limit)}` }) };
  return {
    ...axes(frame, {
      min: 0,
      max: Number(top.toPrecision(2)),
      axisLabel: { formatter: percent, showMaxLabel: false },
    }),
    tooltip: tooltip(palette, rate),
    series: [...bands, lines[0], last],
  };
}

/** The bounds as far as they are drawn; none where there were no requests, about which they say nothing. */
function clipped({ requests, error_rate_interval: interval }: SampleOfVersion, top: number): Interval | null {
  return interval === null || requests === 0 ? null : [Math.min(interval[0], top), Math.min(interval[1], top)];
}

const QUANTILES: [name: string, of: (version: SampleOfVersion) => number | null, style: Part][] = [
  ["p50", (version) => version.latency_p50, { type: "dotted", width: 1.5 }],
  ["p95", (version) => version.latency_p95, { type: "solid", width: 2 }],
  ["p99", (version) => version.latency_p99, { type: "dashed", width: 1.2 }],
];

/** p50, p95 and p99 of both versions over time. */
export function latencies(frame: Frame): EChartsCoreOption {
  const { samples, marks, palette } = frame;
  const lines = (["stable", "canary"] as const).flatMap((arm) =>
    QUANTILES.map(([name, of, style]) => {
      const color = colour(palette, arm);
      return line(`${arm} ${name}`, color, series(samples, arm, of), { lineStyle: { color, ...style } });
    }),
  );
  return {
    ...axes(frame, { min: 0, axisLabel: { formatter: latency } }),
    tooltip: tooltip(palette, latency),
    series: [...lines.slice(0, -1), { ...lines.at(-1), markLine: markLine(palette, marks) }],
  };
}

/** Both versions' latencies as boxes: the middle half, the median, and from 5 % to 95 %. */
export function boxes({ samples, palette }: Frame): EChartsCoreOption {
  const arms: Arm[] = ["stable", "canary"];
  const data = arms.map((arm) => {
    const value = box(histogram(samples, arm));
    const itemStyle = { color: palette.card, borderColor: colour(palette, arm), borderWidth: 2 };
    return { value: value ?? ["-", "-", "-", "-", "-"], itemStyle };
  });
  const text = { color: palette.faint, fontSize: 11 };
  const rule = { lineStyle: { color: palette.rule } };
  return {
    grid: { left: 56, right: 20, top: 4, bottom: 4 },
    xAxis: {
      axisLabel: { show: false },
      axisTick: { show: false },
      splitLine: { show: false },
      ...latencyAxis(samples),
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: arms,
      axisLabel: { ...text, color: palette.text },
      axisLine: rule,
      axisTick: { show: false },
    },
    series: [{ type: "boxplot", data, boxWidth: [12, 22], layout: "vertical", silent: true }],
  };
}

/** Which part of the requests took how long, both versions over each other. */
export function distributions({ samples, palette }: Frame): EChartsCoreOption {
  const lines = (["stable", "canary"] as const).map((arm) => {
    const color = colour(palette, arm);
    const data = distribution(histogram(samples, arm));
    return {
      name: arm,
      type: "line",
      step: "middle",
      data,
      showSymbol: false,
      lineStyle: { color, width: 1.5 },
      itemStyle: { color },
      areaStyle: { color, opacity: 0.14 },
    };
  });
  const text = { color: palette.faint, fontSize: 11 };
  const rule = { lineStyle: { color: palette.rule } };
  return {
    grid: { left: 56, right: 20, top: 8, bottom: 22 },
    xAxis: {
      axisLabel: { ...text, formatter: latency, hideOverlap: true },
      splitLine: { show: false },
      axisLine: rule,
      ...latencyAxis(samples),
    },
    yAxis: { type: "value", min: 0, axisLabel: { ...text, formatter: percent }, splitLine: rule, splitNumber: 4 },
    tooltip: {
      ...tooltip(palette, percent),
      axisPointer: { label: { formatter: ({ value }: { value: number }) => latency(value) } },
    },
    series: lines,
  };
}

/** The same axis for boxes and distributions; logarithmic where latencies differ much. */
function latencyAxis(samples: readonly Sample[]): Part {
  const ends = extent([histogram(samples, "stable"), histogram(samples, "canary")]);
  if (ends === null) return { type: "value" };
  const [min, max] = ends;
  return { type: min > 0 && max / min > 30 ? "log" : "value", min, max, splitNumber: 4 };
}

/** E-values on a logarithmic scale, with the threshold. */
export function evidences(frame: Frame): EChartsCoreOption {
  const { samples, marks, palette } = frame;
  const points = (of: (sample: Sample) => number | null): Point[] =>
    samples.map((sample) => {
      const value = of(sample);
      return [sample.timestamp, value === null ? null : Math.max(value, 1e-3)];
    });
  const threshold = samples.at(-1)?.evidence.threshold ?? 20;
  const errors = points((sample) => sample.evidence.errors);
  const slow = points((sample) => sample.evidence.slow);
  const highest = Math.max(...[...errors, ...slow].map(([, value]) => value ?? 0), threshold);
  const slowLine = line("slowness", palette.second, slow, {
    lineStyle: { color: palette.second, width: 1.5, type: "dashed" },
  });
  return {
    ...axes(frame, {
      type: "log",
      min: 0.01,
      max: 10 ** Math.ceil(Math.log10(highest * 2)),
      axisLabel: { formatter: evidence },
    }),
    tooltip: tooltip(palette, evidence),
    series: [
      slowLine,
      line("errors", palette.first, errors, {
        markLine: markLine(palette, marks, { value: threshold, text: `rolls back at ${evidence(threshold)}` }),
      }),
    ],
  };
}
