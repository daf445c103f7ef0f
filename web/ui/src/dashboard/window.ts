// Which rows of a long list of equal heights are worth having in the page. Short lists are there whole, so that the
// browser's own search finds every name.

/** Lists shorter than this are not windowed. */
export const wholeBelow = 200;

const step = 8;

export interface Span {
  from: number; // first row, from 0
  to: number; // behind the last one
  before: number; // px of rows left out above
  after: number; // px of rows left out below
}

/**
 * The span of rows to render. top is where the list begins relative to the top edge of what is seen (negative when scrolled),
 * seen the height of what is seen.
 */
export function span(count: number, height: number, top: number, seen: number, overscan = 8): Span {
  if (count < wholeBelow || height <= 0) return { from: 0, to: count, before: 0, after: 0 };
  const first = Math.floor(-top / height);
  const rows = Math.ceil(seen / height) + 1;
  // In steps, so that most scrolling changes nothing.
  const from = Math.max(0, Math.min(count, Math.floor((first - overscan) / step) * step));
  const to = Math.max(from, Math.min(count, Math.ceil((first + rows + overscan) / step) * step));
  return { from, to, before: from * height, after: (count - to) * height };
}
