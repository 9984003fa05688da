// The log drawn to scale: for each partition what only the cold tier holds, what both hold, what only the hot one holds, and gaps.

import { h, s } from "./dom.js";

const WIDTH = 1000;

/** The offsets that a drawing spans, over all partitions. */
export function span(partitions) {
  const from = Math.min(...partitions.map((p) => Math.min(p.mirrored_from ?? p.earliest, p.earliest)), Infinity);
  const to = Math.max(...partitions.map((p) => p.end), 0);
  return { from: Number.isFinite(from) ? from : 0, to: Math.max(to, from + 1, 1) };
}

/** Where an offset is drawn, in 0..1000. */
export const x = (offset, { from, to }) => ((Math.min(Math.max(offset, from), to) - from) / (to - from)) * WIDTH;

/** How high each of `n` stripes is in a drawing of `height`, with the gap between them. */
export function stripes(n, height) {
  const gap = n > 12 ? 0 : n > 5 ? 1 : 2;
  return { each: Math.max((height - gap * (n - 1)) / n, 0.2), gap };
}

/** A frame that stretches with its place. */
export const frame = (kind, height, label, ...content) =>
  s(
    `svg.${kind}`,
    {
      viewBox: `0 0 ${WIDTH} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    content,
  );

/** A piece from one offset to another, or nothing where that is empty. */
export function piece(kind, from, to, scope, y, height) {
  if (!(to > from)) return null;
  const [left, right] = [x(from, scope), x(to, scope)];
  return s("rect", { class: kind, x: left, y, width: Math.max(right - left, 0.8), height });
}

/** The tiers of one partition. */
export function tiersOf(p, scope, y, height) {
  const [coldFrom, coldTo] = [p.mirrored_from ?? 0, p.mirrored_to ?? 0];
  const cold = p.mirrored_to !== null;
  return [
    cold && piece("cold", coldFrom, Math.min(coldTo, Math.max(p.earliest, coldFrom)), scope, y, height),
    cold && piece("both", Math.max(p.earliest, coldFrom), coldTo, scope, y, height),
    piece("hot", cold ? Math.max(p.earliest, coldTo) : p.earliest, p.end, scope, y, height),
    p.gaps.map(([from, to]) => piece("gap", from, to, scope, y, height)),
  ];
}

/** All partitions of a topic in one bar. */
export function tierBar(partitions, height = 18) {
  const scope = span(partitions);
  const { each, gap } = stripes(partitions.length, height);
  return h(
    "div.tierbar",
    frame(
      "tiers",
      height,
      tiersInWords(partitions),
      partitions.map((p, i) => tiersOf(p, scope, i * (each + gap), each)),
    ),
  );
}

/** The same for who does not see it. */
export function tiersInWords(partitions) {
  const total = (of) => partitions.reduce((sum, p) => sum + of(p), 0);
  const cold = total((p) => (p.mirrored_to ?? 0) - (p.mirrored_from ?? 0));
  const hot = total((p) => p.end - p.earliest);
  return `${cold} records in the cold tier, ${hot} in the hot tier`;
}

/** What the colours and patterns mean. */
export const legend = () =>
  h(
    "ul.legend",
    { "aria-label": "Legend" },
    [
      ["cold", "cold only"],
      ["both", "cold and hot"],
      ["hot", "hot only"],
      ["gap", "lost"],
    ].map(([kind, words]) =>
      h(
        "li",
        s(
          "svg",
          { viewBox: "0 0 14 10", width: 14, height: 10, "aria-hidden": "true" },
          s("rect", { class: kind, width: 14, height: 10 }),
        ),
        words,
      ),
    ),
  );
