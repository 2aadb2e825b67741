// One chart: ECharts with only the parts that the page uses, drawn on a canvas, without animation.
import { BoxplotChart, GaugeChart, LineChart, PieChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import type { EChartsCoreOption, EChartsType } from "echarts/core";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

use([
  BoxplotChart,
  GaugeChart,
  LineChart,
  PieChart,
  GridComponent,
  MarkLineComponent,
  TooltipComponent,
  CanvasRenderer,
]);

interface Properties {
  title: string;
  /** What the chart says, for who cannot see it. */
  label: string;
  option: EChartsCoreOption;
  height?: number;
  /** What its lines are; below the title. */
  note?: string;
  /** Shown instead of an empty chart. */
  empty?: string | undefined;
  /** Drawn below it. */
  below?: JSX.Element;
}

export function Chart({ title, label, option, height = 220, note, empty, below }: Properties): JSX.Element {
  return (
    <figure class="chart card">
      <figcaption>
        <h3>{title}</h3>
        {note !== undefined && <p class="note">{note}</p>}
      </figcaption>
      {empty === undefined ? (
        <>
          <Canvas label={label} option={option} height={height} />
          {below}
        </>
      ) : (
        <p class="none">{empty}</p>
      )}
    </figure>
  );
}

/** The drawing alone. */
export function Canvas({
  label,
  option,
  height,
}: {
  label: string;
  option: EChartsCoreOption;
  height: number;
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const made = init(element, null, { renderer: "canvas" });
    chart.current = made;
    const resized = new ResizeObserver(() => made.resize());
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.current = null;
      made.dispose();
    };
  }, []);
  useEffect(() => {
    chart.current?.setOption({ animation: false, ...option }, { notMerge: true });
  }, [option]);
  return <div ref={place} class="canvas" role="img" aria-label={label} style={{ height: `${height}px` }} />;
}
