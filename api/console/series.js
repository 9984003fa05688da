// Rows as lines: which column is the axis, which is measured, and which tells the lines apart.

import { isTime } from "./format.js";

/** More lines than these cannot be told apart. */
const MAX_SERIES = 8;

/** What each column of these rows could be. */
export function rolesOf(rows) {
  const names = Object.keys(rows[0] ?? {});
  const all = (name, test) =>
    rows.every((row) => row[name] === null || test(row[name])) && rows.some((row) => row[name] !== null);
  return {
    times: names.filter((name) => all(name, isTime)),
    numbers: names.filter((name) => all(name, (v) => typeof v === "number")),
    texts: names.filter(
      (name) =>
        all(name, (v) => typeof v === "string" && !isTime(v)) &&
        new Set(rows.map((row) => row[name])).size <= MAX_SERIES,
    ),
  };
}

/** The lines: x a time or a number, y a number, one line for each value of `by`. */
export function seriesOf(rows, x, y, by) {
  const groups = new Map();
  for (const row of rows) {
    const at = typeof row[x] === "number" ? row[x] : Date.parse(row[x]);
    if (row[y] === null || row[y] === undefined || Number.isNaN(at)) continue;
    const name = by ? String(row[by]) : y;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push([at, row[y]]);
  }
  return [...groups]
    .slice(0, MAX_SERIES)
    .map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) }));
}
