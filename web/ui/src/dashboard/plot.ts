// The charting library and how charts look here; a bundle of its own.
import uPlot from "uplot";
import type { PlotProps } from "./chart";

export interface PlotHandle {
  update(props: PlotProps): void;
  destroy(): void;
}

/** From the wanted begin, or the first bin's, to the end of the last bin; in seconds. */
function span({ at, from }: PlotProps): [number, number] {
  const first = at[0] ?? 0;
  const last = at[at.length - 1] ?? 0;
  const bin = at.length > 1 ? (at[1] ?? 0) - first : 60_000;
  return [Math.min(first, from ?? first) / 1000, (last + bin) / 1000];
}

export function plot(box: HTMLElement, first: PlotProps): PlotHandle {
  let props = first;
  let chart: uPlot | undefined;
  const data = (): uPlot.AlignedData => [props.at.map((ms) => ms / 1000), ...props.series.map((s) => [...s.values])];
  const draw = (): void => {
    chart?.destroy();
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
      gap: 4,
    };
    chart = new uPlot(
      {
        width: Math.max(120, box.clientWidth),
        height: props.height,
        legend: { show: false },
        cursor: { show: false },
        padding: [6, 20, 0, 0],
        scales: {
          x: { range: () => span(props) },
          y: { range: (_u, _min, max) => [0, Math.max(4, max * 1.15)] },
        },
        axes: [
          {
            ...axis,
            size: 20,
            space: 60,
            incrs: [1, 2, 5, 10, 15, 30, 60, 120, 360, 1440].map((m) => m * 60),
            values: [
              [3600, "{HH}:{mm}", null, null, null, null, null, null, 1],
              [1, "{HH}:{mm}", null, null, null, null, null, null, 1],
            ],
            grid: { show: false },
          },
          {
            ...axis,
            size: 34,
            space: props.height < 100 ? 18 : 28,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
          },
        ],
        series: [
          {},
          ...props.series.map((s) => {
            const hue = color(s.color);
            const one: uPlot.Series = { label: s.label, stroke: hue, width: 2, points: { show: false } };
            const bars = uPlot.paths.bars;
            if (s.bars && bars) {
              one.fill = hue;
              one.width = 0;
              one.paths = bars({ size: [0.75, 14, 1], align: 1 });
            } else {
              one.points = { show: true, size: 4, fill: hue };
            }
            return one;
          }),
        ],
      },
      data(),
      box,
    );
  };
  draw();
  const watch = new ResizeObserver(() => {
    if (chart && Math.abs(chart.width - box.clientWidth) > 1 && box.clientWidth > 0)
      chart.setSize({ width: box.clientWidth, height: props.height });
  });
  watch.observe(box);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  return {
    update(next) {
      props = next;
      chart?.setData(data());
    },
    destroy() {
      watch.disconnect();
      dark.removeEventListener("change", draw);
      chart?.destroy();
      chart = undefined;
    },
  };
}
