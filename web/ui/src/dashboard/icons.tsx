// A few line icons; each stands beside words or has them as its label.
import type { JSX } from "preact";

const paths = {
  hand: "M8 12V6.5a1.5 1.5 0 0 1 3 0V11m0-1V4.5a1.5 1.5 0 0 1 3 0V11m0-4.5a1.5 1.5 0 0 1 3 0V15c0 4-2.5 6-6 6-3 0-4.5-1.2-6-3.5L3.6 14a1.5 1.5 0 0 1 2.5-1.6L8 14.5",
  chat: "M4 5h16v11H9l-5 4z",
  lost: "M3 3l18 18M9 17a4.5 4.5 0 0 1 6 0M5 12.5A10 10 0 0 1 9 10.2M19 12.5a10 10 0 0 0-5-2.6M2 9a15 15 0 0 1 4-2.6M22 9a15 15 0 0 0-11-4",
  alert: "M12 4L2.5 20h19zM12 10v4m0 3v.01",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3.5 2",
  door: "M13 4H6v16h7M10 12h10m-4-4l4 4-4 4",
  server: "M4 5h16v6H4zM4 13h16v6H4zM7.5 8v.01M7.5 16v.01",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
  mute: "M6 16V11a6 6 0 0 1 9-5.2M18 12v4l2 2H8M10 21h4M3 3l18 18",
  close: "M6 6l12 12M18 6L6 18",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L20 20",
  people:
    "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6M16 5.5a3.2 3.2 0 0 1 0 6M18 14.5c2 .8 3.200 2.700 3.500 5.500",
  window: "M4 6h10v0M4 6v14h14v-8M13 4h7v7M20 4l-9 9",
  pause: "M8 5v14M16 5v14",
  check: "M5 12.500l4.500 4.500L19 7.500",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
