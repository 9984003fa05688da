// The answer to a question in SQL, as rows or as lines.

import { lineChart } from "./chart.js";
import { h } from "./dom.js";
import { cell, count } from "./format.js";
import { choice, empty, field, grid } from "./parts.js";
import { rolesOf, seriesOf } from "./series.js";

/** Rows that are drawn; the download has all. */
const SHOWN = 500;

/** The rows themselves. */
export function answer(rows) {
  if (!rows.length) return empty("No rows", "The query is fine and gives nothing.", null);
  const names = Object.keys(rows[0]);
  const numeric = (name) => rows.slice(0, 50).some((row) => typeof row[name] === "number");
  return [
    grid(
      "Answer",
      names.map((name) => ({
        head: name,
        kind: numeric(name) ? "num" : "",
        cell: (row) => (row[name] === null ? h("span.none", "NULL") : cell(row[name])),
      })),
      rows.slice(0, SHOWN),
    ),
    rows.length > SHOWN && h("p.quiet", `The first ${count(SHOWN)} of ${count(rows.length)}; the download has all.`),
  ];
}

function chosen({ rows, lines: set }) {
  const { times, numbers, texts } = rolesOf(rows);
  const x = set.x ?? times[0] ?? numbers[0];
  const measures = numbers.filter((name) => name !== x);
  const y = measures.includes(set.y) ? set.y : measures[0];
  const by = set.by === "" ? null : texts.includes(set.by) ? set.by : (texts[0] ?? null);
  return { axes: [...times, ...numbers], measures, texts, x, y, by, time: times.includes(x) };
}

/** The same as lines: which column is what can be chosen. */
export function lines(state, actions) {
  if (!state.rows.length) return empty("No rows", "Nothing to draw.", null);
  const { axes, measures, texts, x, y, by } = chosen(state);
  if (!x || !y)
    return empty("Nothing to draw", "A chart needs a time or a number for its axis, and a number to measure.", null);
  const pick = (part, options, now) =>
    choice(
      options.map((name) => [name, name || "none"]),
      now ?? "",
      (name) => actions.lines(part, name),
    );
  return [
    h(
      "div.filters",
      field("Axis", pick("x", axes, x)),
      field("Measure", pick("y", measures, y)),
      texts.length > 0 && field("Lines by", pick("by", [...texts, ""], by)),
    ),
    h("div.chart", { id: "answer-chart", "data-own": true }),
  ];
}

/** Draws the chart into its place, once that is there. */
export function drawLines(state) {
  const place = document.getElementById("answer-chart");
  if (!place) return;
  const { x, y, by, time } = chosen(state);
  const series = seriesOf(state.rows, x, y, by);
  const drawn = JSON.stringify([x, y, by]);
  if (place.drawn === drawn && place.rows === state.rows) return;
  Object.assign(place, { drawn, rows: state.rows });
  if (series.length) lineChart(place, { series, time, label: `${y} over ${x}${by ? ` by ${by}` : ""}` });
}
