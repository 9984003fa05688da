// A served table: its lines over time, and its rows page by page.

import { get, paths, Problem, quoted, relation, sql, send } from "../api.js";
import { lineChart } from "../chart.js";
import { draw, h } from "../dom.js";
import { bytes, cell, count, duration, positions } from "../format.js";
import { button, choice, commandLine, empty, facts, failure, field, grid, panel, waiting } from "../parts.js";
import { setQuery } from "../router.js";
import { binOf } from "../scale.js";
import { seriesOf } from "../series.js";

const PAGE = 25;
/** Points of a line, at most; fewer where the window is narrow. */
const BINS = 400;
const MAX_SERIES = 8;

export function table(place, { params, query, signal }) {
  const state = {
    name: params.table,
    about: null,
    rows: null,
    cursors: [""],
    next: null,
    filters: {},
    measure: query.get("measure"),
    by: query.get("by"),
    error: null,
    chart: null,
    version: null,
  };
  const render = () => draw(place, ...content(state, actions));
  const guarded =
    (task) =>
    async (...args) => {
      try {
        await task(...args);
      } catch (error) {
        if (error.name === "AbortError") return;
        state.error = error;
      }
      if (!signal.aborted) {
        render();
        state.drawn?.();
      }
    };
  const readRows = guarded(async () => {
    await rowsOf(state, signal);
    state.error = null;
  });
  const chart = guarded(async () => {
    await chartOf(state, signal);
  });
  const actions = {
    readRows,
    page: (by) => {
      if (by > 0) state.cursors.push(state.next);
      else state.cursors.pop();
      readRows();
    },
    filter: (name, value) => {
      state.filters[name] = value;
      state.cursors = [""];
      readRows();
    },
    measure: (name) => {
      state.measure = name;
      setQuery({ measure: name });
      chart();
    },
    by: (name) => {
      state.by = name;
      setQuery({ by: name });
      chart();
    },
  };
  render();
  guarded(async () => {
    state.about = await get(paths.table(state.name), { signal });
    await Promise.all([rowsOf(state, signal), chartOf(state, signal)]);
  })();
}

async function rowsOf(state, signal) {
  const cursor = state.cursors.at(-1);
  const filters = Object.entries(state.filters).filter(([, value]) => value !== "");
  const search = new URLSearchParams([["limit", PAGE], ...(cursor ? [["cursor", cursor]] : []), ...filters]);
  const response = await send("GET", `${paths.table(state.name)}/rows?${search}`, { signal });
  const page = await response.json();
  Object.assign(state, {
    rows: page.rows,
    next: page.next_cursor ?? null,
    version: response.headers.get("rekap-version"),
  });
}

const columns = (about, ...types) => about.columns.filter((c) => types.some((type) => c.type.startsWith(type)));

/** The lines of one measure over the time column, cut into so many bins that each still has a place on the screen. */
async function chartOf(state, signal) {
  const { about } = state;
  const time = columns(about, "timestamp").find((c) => c.key) ?? columns(about, "timestamp")[0];
  const measures = columns(about, "double", "bigint", "decimal").filter((c) => !c.key);
  const texts = columns(about, "text").filter((c) => c.key);
  if (!time || !measures.length || about.rows === 0) {
    state.chart = null;
    return;
  }
  const measure = measures.find((c) => c.name === state.measure) ?? measures[0];
  const by = state.by === "" ? null : (texts.find((c) => c.name === state.by) ?? texts[0] ?? null);
  const from = relation(state.name);
  const [ends] = await sql(`SELECT min(${quoted(time.name)}) AS a, max(${quoted(time.name)}) AS b FROM ${from}`, {
    signal,
  });
  const bin = binOf(Date.parse(ends.a), Date.parse(ends.b), Math.min(BINS, Math.max(window.innerWidth / 3, 100)));
  const names = by
    ? (
        await sql(
          `SELECT ${quoted(by.name)} AS name FROM ${from} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ${MAX_SERIES}`,
          { signal },
        )
      )
        .map((r) => r.name)
        .filter((n) => n !== null)
        .sort()
    : [];
  const only = by ? `WHERE ${quoted(by.name)} IN (${names.map((n) => `'${n.replaceAll("'", "''")}'`).join(", ")})` : "";
  const keys = by ? `, ${quoted(by.name)} AS line` : "";
  const rows =
    names.length || !by
      ? await sql(
          `SELECT date_bin(${bin.sql}, ${quoted(time.name)}) AS at${keys}, avg(${quoted(measure.name)}) AS value FROM ${from} ${only} GROUP BY 1${by ? ", 2" : ""} ORDER BY 1`,
          { signal },
        )
      : [];
  const series = seriesOf(rows, "at", "value", by ? "line" : null).sort((a, b) => String(a.name).localeCompare(b.name));
  state.chart = {
    series: by ? series : series.map((one) => ({ ...one, name: measure.name })),
    measures,
    texts,
    measure: measure.name,
    by: by?.name ?? "",
    time: time.name,
    bin: bin.ms,
  };
  state.drawn = () => {
    const place = document.getElementById("chart");
    if (place && state.chart.series.length)
      lineChart(place, {
        series: state.chart.series,
        time: true,
        label: `${measure.name} over ${time.name}${by ? ` by ${by.name}` : ""}`,
      });
    state.drawn = null;
  };
}

function content(state, actions) {
  const { name, about, error } = state;
  if (!about) {
    if (error instanceof Problem && error.code === "NOT_SERVING")
      return [
        h("h1", name),
        empty(
          "Nothing serves yet",
          "The table appears once a version is promoted; a first version is promoted by itself.",
          `rekap watch ${name}`,
        ),
      ];
    return [h("h1", name), error ? failure(error) : waiting(`table ${name}`)];
  }
  const job = name.split("@")[0];
  return [
    h(
      "header.head",
      h(
        "div.head-row",
        h("h1", name),
        h(
          "div.actions",
          h("a.button", { href: `/jobs/${job}` }, "Job"),
          h(
            "a.button",
            { href: `/sql?q=${encodeURIComponent(`SELECT * FROM ${relation(name)} LIMIT 100`)}` },
            "Ask in SQL",
          ),
        ),
      ),
      facts([
        ["Answered by", `v${state.version ?? about.version}`],
        ["Rows", count(about.rows)],
        ["On disk", bytes(about.bytes)],
        ["Key", about.key.join(", ")],
        ["Stands at", positions(about.positions)],
      ]),
    ),
    error && failure(error),
    state.chart &&
      panel(
        "Over time",
        {
          note: `averages over ${duration(state.chart.bin)}`,
          actions: [
            choice(
              state.chart.measures.map((c) => [c.name, c.name]),
              state.chart.measure,
              actions.measure,
              { "aria-label": "Measure" },
            ),
            state.chart.texts.length > 0 &&
              choice(
                [...state.chart.texts.map((c) => [c.name, `by ${c.name}`]), ["", "all together"]],
                state.chart.by,
                actions.by,
                { "aria-label": "Lines by" },
              ),
          ],
        },
        h("div.chart", { id: "chart", "data-own": true }),
      ),
    panel(
      "Rows",
      { note: "in key order; each page is one snapshot" },
      filters(state, actions),
      state.rows ? rows(state, actions) : waiting("rows"),
    ),
    commandLine(`rekap rows ${name}`),
  ];
}

/** The first key column can be filtered at once, the next ones once those before have a value. */
function filters({ about, filters: set }, { filter }) {
  const usable = about.key.filter((_, i) => about.key.slice(0, i).every((before) => set[before]));
  return h(
    "div.filters",
    usable.map((name) =>
      field(
        name,
        h("input", {
          type: "text",
          value: set[name] ?? "",
          placeholder: "any",
          onchange: (e) => filter(name, e.target.value.trim()),
        }),
      ),
    ),
  );
}

const rows = ({ about, rows: page, cursors, next }, { page: turn }) => [
  page.length
    ? grid(
        "Rows",
        about.columns.map((c) => ({
          head: [c.name, h("small", c.type)],
          kind: /bigint|double|decimal/.test(c.type) ? "num" : "",
          cell: (row) => (row[c.name] === null ? h("span.none", "NULL") : cell(row[c.name])),
        })),
        page,
      )
    : empty("No rows", "Nothing has this key.", null),
  h(
    "div.pager",
    button("Previous", { disabled: cursors.length === 1, onclick: () => turn(-1) }),
    h("span", `page ${cursors.length}`),
    button("Next", { disabled: !next, onclick: () => turn(1) }),
  ),
];
