// Which rows of a long list of equal heights are worth having in the page. Short lists are there whole, so that the
// browser's own search finds every name.

/** Lists shorter than this are not windowed. */
export const wholeBelow = 200;

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
export function span(count: number, height: number, top: number, seen: number, overscan = 12): Span {
  if (count < wholeBelow || height <= 0) return { from: 0, to: count, before: 0, after: 0 };
  const first = Math.floor(-top / height);
  const rows = Math.ceil(seen / height) + 1;
  const from = Math.max(0, Math.min(count, first - overscan));
  const to = Math.max(from, Math.min(count, first + rows + overscan));
  return { from, to, before: from * height, after: (count - to) * height };
}
