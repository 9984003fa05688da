// A place to write SQL: line numbers, Tab that indents, Ctrl Enter that runs, and a mark where the server found something wrong.

import { h } from "./dom.js";

/** `place` is {line, column} of what is wrong, both from 1. */
export function editor({ id, label, value, rows = 10, onchange, onrun, place = null, language = "SQL" }) {
  const lines = value.split("\n").length;
  const keys = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      event.preventDefault();
      onrun?.();
    }
    if (event.key === "Tab" && !event.shiftKey && event.target.selectionStart !== event.target.selectionEnd) {
      event.preventDefault();
      event.target.setRangeText(
        event.target.value.slice(event.target.selectionStart, event.target.selectionEnd).replaceAll(/^/gm, "    "),
        event.target.selectionStart,
        event.target.selectionEnd,
        "select",
      );
      onchange(event.target.value);
    }
  };
  return h(
    "div.editor",
    { "data-key": `editor-${id}` },
    h(
      "ol.gutter",
      { "aria-hidden": "true" },
      Array.from({ length: Math.max(lines, 1) }, (_, i) =>
        h("li", { class: place?.line === i + 1 ? "wrong" : "" }, i + 1),
      ),
    ),
    h("textarea", {
      id,
      "aria-label": label,
      rows: Math.max(rows, lines + 1),
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      wrap: "off",
      "aria-invalid": place ? "true" : null,
      "data-language": language,
      value,
      oninput: (e) => onchange(e.target.value),
      onkeydown: keys,
    }),
  );
}

/** Where a rejection points to in the text: said by the server, or told in the detail. */
export function placeOf(error) {
  const said = error?.body?.place ?? error?.body?.refusal?.place;
  if (said) return said;
  const [, line, column] = /Line: (\d+), Column: (\d+)/i.exec(error?.detail ?? "") ?? [];
  return line ? { line: Number(line), column: Number(column) } : null;
}

/** The line with a mark below the column. */
export function pointer(text, place) {
  if (!place) return null;
  const line = text.split("\n")[place.line - 1];
  return line === undefined
    ? null
    : h(
        "pre.pointer",
        `${String(place.line).padStart(3)} | ${line}\n    | ${" ".repeat(Math.max(place.column - 1, 0))}^`,
      );
}
