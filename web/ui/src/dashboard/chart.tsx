// A chart that is loaded when it is first wanted.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { PlotHandle } from "./plot";

export interface Series {
  label: string;
  color: string; // a custom property of the style sheet
  bars?: boolean; // counts of a bin; else a line
  values: readonly number[];
}
export interface PlotProps {
  height: number;
  label: string;
  at: readonly number[]; // ms, begins of bins
  from?: number; // ms: the axis begins no later
  series: readonly Series[];
}

export function Plot(props: PlotProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const handle = useRef<PlotHandle | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    let gone = false;
    void import("./plot").then(({ plot }) => {
      if (!gone && box.current) handle.current = plot(box.current, latest.current);
    });
    return () => {
      gone = true;
      handle.current?.destroy();
    };
  }, []);
  useEffect(() => handle.current?.update(props));

  return (
    <div>
      <div class="plot" ref={box} role="img" aria-label={props.label} style={{ minBlockSize: `${props.height}px` }} />
      <ul class="legend plain small">
        {props.series.map((s) => (
          <li key={s.label}>
            <span class="legend-mark" style={{ background: `var(${s.color})` }} aria-hidden="true" />
            {s.label}
          </li>
        ))}
      </ul>
    </div>
  );
}
