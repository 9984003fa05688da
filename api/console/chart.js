// A chart of lines: as wide as its place, read by pointer and by arrow keys, and told in words to who does not see it.

import { draw, h, s } from "./dom.js";
import { cell, shortTime } from "./format.js";
import { ticks, timeLabel, timeTicks } from "./scale.js";

const HEIGHT = 300;
const EDGE = { top: 14, right: 76, bottom: 26, left: 64 };
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 4"];

/**
 * Draws into `place`: `series` is [{name, points: [[x, y]]}] in order of x; `time` says that x is ms. Draws itself again when the
 * place changes its width.
 */
export function lineChart(place, { series, time, label }) {
  const state = { at: null };
  const render = () => draw(place, ...chart(series, time, label, place.clientWidth || 800, state, render));
  const seen = new ResizeObserver(() => {
    if (place.isConnected) render();
    else seen.disconnect();
  });
  seen.observe(place);
  render();
}

function chart(series, time, label, width, state, render) {
  const points = series.flatMap((one) => one.points);
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const scope = {
    x: padded(xs[0], xs.at(-1), 0),
    y: padded(Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1])), 0.06),
  };
  const right = width < 520 ? 14 : EDGE.right;
  const px = (x) => EDGE.left + ((x - scope.x[0]) / (scope.x[1] - scope.x[0])) * (width - EDGE.left - right);
  const py = (y) =>
    HEIGHT - EDGE.bottom - ((y - scope.y[0]) / (scope.y[1] - scope.y[0])) * (HEIGHT - EDGE.top - EDGE.bottom);
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x =
      scope.x[0] + ((event.clientX - box.left - EDGE.left) / (width - EDGE.left - right)) * (scope.x[1] - scope.x[0]);
    state.at = nearest(xs, x);
    render();
  };
  const step = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (!by) return;
    event.preventDefault();
    const now = state.at === null ? (by > 0 ? -1 : xs.length) : xs.indexOf(state.at);
    state.at = xs[Math.min(Math.max(now + by, 0), xs.length - 1)];
    render();
  };
  return [
    readout(series, state.at, time, label),
    s(
      "svg.lines",
      {
        width,
        height: HEIGHT,
        viewBox: `0 0 ${width} ${HEIGHT}`,
        role: "img",
        tabindex: 0,
        "aria-label": `${label}. ${inWords(series)} Arrow keys read the values.`,
        onpointermove: move,
        onpointerleave: () => {
          state.at = null;
          render();
        },
        onkeydown: step,
        onblur: () => {
          state.at = null;
          render();
        },
      },
      axes(scope, px, py, width, right, time),
      series.map((one, i) =>
        s("path", {
          class: `line s${i % 6}`,
          d: line(one.points, px, py),
          "stroke-dasharray": DASHES[i % DASHES.length] || null,
        }),
      ),
      width >= 520 && endLabels(series, py, width - right),
      state.at !== null && [
        s("line", { class: "cursor", x1: px(state.at), x2: px(state.at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
        series.map((one, i) => {
          const y = valueAt(one, state.at);
          return y !== null && s("circle", { class: `dot s${i % 6}`, cx: px(state.at), cy: py(y), r: 3.5 });
        }),
      ],
    ),
  ];
}

const padded = (from, to, by) => {
  const room = to > from ? (to - from) * by : Math.abs(to) * 0.1 || 1;
  return [from - room, to + room];
};

const line = (points, px, py) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");

const valueAt = (one, x) => one.points.find((p) => p[0] === x)?.[1] ?? null;

const nearest = (xs, x) =>
  xs.reduce((best, candidate) => (Math.abs(candidate - x) < Math.abs(best - x) ? candidate : best), xs[0]);

function axes(scope, px, py, width, right, time) {
  const wide = Math.max(Math.floor((width - EDGE.left - right) / 85), 3);
  const { marks, step } = time
    ? timeTicks(scope.x[0], scope.x[1], wide)
    : { marks: ticks(scope.x[0], scope.x[1], wide), step: 0 };
  return s(
    "g.axes",
    { "aria-hidden": "true" },
    ticks(scope.y[0], scope.y[1], 7).map((y) => [
      s("line", { x1: EDGE.left, x2: width - right, y1: py(y), y2: py(y) }),
      s("text", { x: EDGE.left - 8, y: py(y) + 4, "text-anchor": "end" }, number(y)),
    ]),
    marks.map((x) =>
      s("text", { x: px(x), y: HEIGHT - 7, "text-anchor": "middle" }, time ? timeLabel(x, step) : number(x)),
    ),
  );
}

const number = (n) =>
  new Intl.NumberFormat("en", {
    maximumFractionDigits: 6,
    notation: Math.abs(n) >= 1e6 ? "compact" : "standard",
  }).format(n);

/** Names at the ends of the lines, moved apart where they would overlap. */
function endLabels(series, py, x) {
  const ends = series
    .map((one, i) => ({ name: one.name, i, y: py(one.points.at(-1)?.[1] ?? 0) }))
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i += 1) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + 15);
  return ends.map(({ name, i, y }) =>
    s("text", { class: `end s${i % 6}`, x: x + 8, y: y + 4 }, String(name).slice(0, 10)),
  );
}

function readout(series, at, time, label) {
  const head = at === null ? label : time ? shortTime(new Date(at).toISOString()) : number(at);
  return h(
    "p.readout",
    { "aria-live": "polite" },
    h("b", head),
    series.map((one, i) =>
      h(
        "span",
        { class: `key s${i % 6}` },
        s(
          "svg",
          { viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true" },
          s("line", {
            x1: 0,
            x2: 22,
            y1: 4,
            y2: 4,
            class: `line s${i % 6}`,
            "stroke-dasharray": DASHES[i % DASHES.length] || null,
          }),
        ),
        one.name,
        at === null ? "" : h("b", ` ${cell(valueAt(one, at))}`),
      ),
    ),
  );
}

const inWords = (series) =>
  series
    .map((one) => {
      const values = one.points.map((p) => p[1]);
      return `${one.name}: ${values.length} points from ${number(Math.min(...values))} to ${number(Math.max(...values))}.`;
    })
    .join(" ");
