// The pieces that all pages are made of.

import { Problem } from "./api.js";
import { h, s } from "./dom.js";
import { icon } from "./icons.js";
import { toast } from "./toast.js";

/** A part of a page under a heading of its own. */
export function panel(title, { id, note, actions } = {}, ...content) {
  const label = id ?? title.toLowerCase().replaceAll(/[^a-z]+/g, "-");
  return h(
    "section.panel",
    { "data-key": `panel-${label}`, "aria-labelledby": `${label}-title` },
    h(
      "header.panel-head",
      h("h2", { id: `${label}-title` }, title),
      note && h("p.note", note),
      actions && h("div.actions", actions),
    ),
    content,
  );
}

/** Names and values in columns. */
export const facts = (pairs, kind = "") =>
  h(
    "dl.facts",
    { class: kind },
    pairs.filter(Boolean).map(([name, value]) => h("div", h("dt", name), h("dd", value))),
  );

/** How far something is. */
export const meter = (share, label) =>
  h(
    "div.meter",
    {
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.floor(share * 100),
    },
    h("span", { style: { width: `${share * 100}%` } }),
  );

/** Something to press. */
export const button = (words, { kind = "", ...more } = {}) =>
  h("button.button", { type: "button", class: kind, ...more }, words);

/** A text of the server's, with what it puts in backticks as code. */
export const told = (text) =>
  String(text ?? "")
    .split("`")
    .map((part, i) => (i % 2 ? h("code", part) : part));

/** A link to a runbook page within the console. */
export const runbook = (type) => {
  const page = /\/docs\/runbooks\/([a-z-]+)\.md$/.exec(type ?? "")?.[1];
  return page && h("a", { href: `/runbooks/${page}` }, "Runbook: ", page);
};

/** A rejection with its remedy, or any other failure. */
export function failure(error) {
  const known = error instanceof Problem;
  return h(
    "div.failure",
    { role: "alert" },
    h("p.failure-title", icon("triangle"), known ? error.title : "Not done", known && h("code", error.code)),
    h("p", told(known ? error.detail : error.message)),
    known && error.remedy && h("p.remedy", h("strong", "What to do: "), told(error.remedy)),
    known && error.runbook && h("p", runbook(error.runbook)),
  );
}

/** Nothing to show, and what to do about that. */
export const empty = (title, text, command) =>
  h("div.empty", h("p.empty-title", title), h("p", text), command && commandLine(command));

/** A command to copy. */
export function commandLine(text) {
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    toast("Copied");
  };
  return h(
    "div.command",
    h("code", text),
    button("Copy", { kind: "small", "aria-label": `Copy: ${text}`, onclick: copy }),
  );
}

/**
 * A table: each column is {head, cell(row), kind?, lead?}; `key(row)` names a row. It scrolls by itself where it is too wide; one that
 * `stacks` becomes a list of cards on a narrow screen, with roles that say that it is a table still.
 */
export function grid(label, columns, rows, { key, rowClass, caption, stacks } = {}) {
  const role = (name) => (stacks ? name : null);
  const row = (it, i) =>
    h(
      "tr",
      { "data-key": key ? `r-${key(it, i)}` : null, class: rowClass?.(it) ?? "", role: role("row") },
      columns.map((c) =>
        h(
          c.lead ? "th" : "td",
          {
            scope: c.lead ? "row" : null,
            class: c.kind ?? "",
            role: role(c.lead ? "rowheader" : "cell"),
            "data-head": stacks ? c.head : null,
          },
          c.cell(it, i),
        ),
      ),
    );
  return h(
    "div.scroll",
    { role: "region", "aria-label": label, tabindex: 0 },
    h(
      "table",
      { class: stacks ? "stacks" : "", role: role("table") },
      caption && h("caption", caption),
      h(
        "thead",
        { role: role("rowgroup") },
        h(
          "tr",
          { role: role("row") },
          columns.map((c) => h("th", { scope: "col", class: c.kind ?? "", role: role("columnheader") }, c.head)),
        ),
      ),
      h("tbody", { role: role("rowgroup") }, rows.map(row)),
    ),
  );
}

/** A line of the last values, without axes. */
export function spark(values, label) {
  if (values.length < 2) return null;
  const top = Math.max(...values, 1);
  const points = values.map((v, i) => `${(i / (values.length - 1)) * 100},${22 - (v / top) * 20}`).join(" ");
  return s(
    "svg.spark",
    { viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": label },
    s("polyline", { points, "vector-effect": "non-scaling-stroke" }),
  );
}

/** A labelled control. */
export const field = (label, control, hint) => h("label.field", h("span", label), control, hint && h("small", hint));

/** A choice. */
export const choice = (options, value, onchange, more = {}) =>
  h(
    "select",
    { onchange: (e) => onchange(e.target.value), ...more, value },
    options.map(([key, words]) => h("option", { value: key, selected: String(key) === String(value) }, words)),
  );

/** Places for content that is on its way. */
export const waiting = (what) => h("p.waiting", { role: "status" }, `Reading ${what} …`);
