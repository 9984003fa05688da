// The SQL page: a question, its answer as rows or as lines, and the answer as CSV.

import { get, paths, Problem, quoted, relation, send, sql as ask } from "../api.js";
import { draw, h } from "../dom.js";
import { editor, placeOf, pointer } from "../editor.js";
import { duration, plural } from "../format.js";
import { button, failure, panel } from "../parts.js";
import { world } from "../world.js";
import { answer, drawLines, lines } from "../answer.js";

const KEPT = "rekap.sql";

export function sql(place, { query, signal }) {
  const state = {
    text: query.get("q") ?? kept() ?? "",
    rows: null,
    took: null,
    busy: false,
    error: null,
    view: "rows",
    lines: {},
    columns: new Map(),
    run: null,
    touched: false,
  };
  const render = () => {
    draw(place, ...content(state, actions));
    drawLines(state);
  };
  const actions = {
    edit: (text) => {
      state.text = text;
      state.touched = true;
      state.error = null;
      render();
    },
    run: async () => {
      state.run?.abort();
      state.run = new AbortController();
      keep(state.text);
      Object.assign(state, { busy: true, error: null });
      render();
      const began = performance.now();
      try {
        state.rows = await ask(state.text, { signal: state.run.signal });
        state.took = performance.now() - began;
        state.lines = {};
      } catch (error) {
        if (error.name !== "AbortError") state.error = error;
      }
      state.busy = false;
      if (!signal.aborted) render();
    },
    stop: () => state.run?.abort(),
    csv: () =>
      download(state).catch((error) => {
        state.error = error;
        render();
      }),
    view: (view) => {
      state.view = view;
      render();
    },
    lines: (part, name) => {
      state.lines[part] = name;
      render();
    },
    insert: (name) => {
      state.text = state.text.trim() ? `${state.text.trimEnd()} ${name}` : `SELECT * FROM ${name} LIMIT 100`;
      render();
      document.getElementById("query").focus();
    },
  };
  const tables = () => {
    const first = world.jobs?.find((j) => j.serves);
    if (!state.touched && !state.text && first) state.text = `SELECT * FROM ${relation(first.job)} LIMIT 100`;
    return readColumns(state, signal).then(() => !signal.aborted && render());
  };
  world.addEventListener("change", tables, { signal });
  signal.addEventListener("abort", () => state.run?.abort());
  render();
  tables();
  document.getElementById("query").focus();
}

const kept = () => {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
};
const keep = (text) => {
  try {
    localStorage.setItem(KEPT, text);
  } catch {
    /* a browser that keeps nothing */
  }
};

async function readColumns(state, signal) {
  for (const job of world.jobs ?? []) {
    const known = state.columns.get(job.job);
    if (!job.serves || known?.version === job.serving) continue;
    const about = await get(paths.table(job.job), { signal }).catch(() => null);
    if (about) state.columns.set(job.job, { version: about.version, columns: about.columns });
  }
}

async function download({ text }) {
  const response = await send("POST", "/v1/sql", { body: JSON.stringify({ query: text, format: "csv" }) });
  const href = URL.createObjectURL(await response.blob());
  const link = h("a", { href, download: "rekap.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

function content(state, actions) {
  const { text, error, rows, busy } = state;
  const place = placeOf(error);
  return [
    h(
      "header.head",
      h("h1", "SQL"),
      h(
        "p.lead",
        "One SELECT over ",
        h("code", "live.<alias>"),
        ", ",
        h("code", 'version."<alias>@3"'),
        " or ",
        h("code", "log.<topic>"),
        ".",
      ),
    ),
    h(
      "div.with-side",
      h(
        "div",
        editor({
          id: "query",
          label: "Query",
          value: text,
          rows: 8,
          onchange: actions.edit,
          onrun: actions.run,
          place,
        }),
        h(
          "div.actions.below",
          button(busy ? "Running …" : "Run", {
            kind: "primary",
            onclick: actions.run,
            disabled: busy || !text.trim(),
            "aria-keyshortcuts": "Control+Enter",
          }),
          busy && button("Stop", { onclick: actions.stop }),
          h("small", h("kbd", "Ctrl"), " ", h("kbd", "Enter")),
        ),
        error && [failure(error), error instanceof Problem && pointer(text, place)],
        rows &&
          !error &&
          panel(
            "Answer",
            {
              note: `${plural(rows.length, "row")} in ${duration(state.took)}`,
              actions: [
                h(
                  "div.switch",
                  { role: "group", "aria-label": "Show as" },
                  ["rows", "chart"].map((view) =>
                    button(view === "rows" ? "Rows" : "Chart", {
                      kind: "small",
                      "aria-pressed": String(state.view === view),
                      onclick: () => actions.view(view),
                    }),
                  ),
                ),
                button("Download CSV", { kind: "small", onclick: actions.csv }),
              ],
            },
            state.view === "rows" ? answer(rows) : lines(state, actions),
          ),
      ),
      tables(state, actions),
    ),
  ];
}

function tables({ columns }, { insert }) {
  return h(
    "aside.side",
    { "aria-label": "Tables" },
    h("h2", "Tables"),
    columns.size === 0 && h("p.none", "Nothing serves yet."),
    [...columns].map(([job, { version, columns: list }]) =>
      h(
        "details",
        { open: columns.size <= 3 },
        h(
          "summary",
          h(
            "button.pick",
            {
              type: "button",
              onclick: (e) => {
                e.preventDefault();
                insert(relation(job));
              },
            },
            `live.${job}`,
          ),
          h("small", ` v${version}`),
        ),
        h(
          "ul",
          list.map((c) =>
            h(
              "li",
              h(
                "button.pick",
                { type: "button", onclick: () => insert(/^[a-z_][a-z0-9_]*$/.test(c.name) ? c.name : quoted(c.name)) },
                c.name,
              ),
              h("small", ` ${c.type}${c.key ? " · key" : ""}`),
            ),
          ),
        ),
      ),
    ),
  );
}
