// Small drawings that stand beside words, never instead of them.

import { s } from "./dom.js";

const line = {
  fill: "none",
  stroke: "currentColor",
  "stroke-width": 1.6,
  "stroke-linecap": "round",
  "stroke-linejoin": "round",
};
const path = (d) => s("path", { d, ...line });
const disc = (r) => s("circle", { cx: 8, cy: 8, r, fill: "currentColor" });
const ring = (r = 5.5) => s("circle", { cx: 8, cy: 8, r, ...line });

const DRAWINGS = {
  disc: () => [disc(5)],
  ring: () => [ring()],
  target: () => [ring(), disc(2.2)],
  half: () => [ring(), s("path", { d: "M8 2.5a5.5 5.5 0 0 1 0 11z", fill: "currentColor" })],
  check: () => [ring(6), path("M5.4 8.2l1.9 1.9 3.4-3.9")],
  tick: () => [path("M3 8.5l3.2 3.2L13 4.8")],
  cross: () => [path("M4 4l8 8M12 4l-8 8")],
  triangle: () => [path("M8 2.8L14 13.2H2z"), path("M8 6.8v2.8M8 11.4v.1")],
  pause: () => [path("M5.8 4v8M10.2 4v8")],
  dash: () => [path("M4 8h8")],
  overview: () => [path("M2.5 4h11M2.5 8h11M2.5 12h6.5")],
  sql: () => [path("M3 4l4 4-4 4M8.5 12H13")],
  history: () => [ring(6), path("M8 4.8V8l2.2 1.6")],
  deploy: () => [path("M8 12.5v-9M4.4 6.8L8 3.2l3.6 3.6M3 13.5h10")],
  sun: () => [
    s("circle", { cx: 8, cy: 8, r: 2.8, ...line }),
    path("M8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9"),
  ],
  search: () => [s("circle", { cx: 7, cy: 7, r: 4, ...line }), path("M10 10l3.5 3.5")],
  arrow: () => [path("M3 8h10M9.5 4.5L13 8l-3.5 3.5")],
  back: () => [path("M13 8H3M6.5 4.5L3 8l3.5 3.5")],
};

/** A drawing by its name, hidden from readers of the screen: the word beside it says the same. */
export function icon(name) {
  return s("svg.icon", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, DRAWINGS[name]());
}

/** The sign of the product. */
export function mark() {
  return s(
    "svg.mark",
    { viewBox: "0 0 32 32", width: 24, height: 24, "aria-hidden": "true" },
    s("rect", { width: 32, height: 32, rx: 7, fill: "currentColor" }),
    s(
      "g",
      { fill: "none", stroke: "var(--paper)", "stroke-width": 3, "stroke-linecap": "round" },
      s("path", { d: "M7 10h18", opacity: ".45" }),
      s("path", { d: "M7 16h18" }),
      s("path", { d: "M7 22h11" }),
    ),
    s("circle", { cx: 22.5, cy: 22, r: 2.6, fill: "var(--paper)" }),
  );
}
