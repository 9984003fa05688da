// The records of a topic, page by page, each to be unfolded.

import { h } from "../dom.js";
import { count, time } from "../format.js";
import { button, choice, empty, failure, field, waiting } from "../parts.js";

/** The choice of a place in the log, and the records from there. `PAGE` of them are read at once. */
export const PAGE = 25;

export function records(state, actions) {
  const { topic: it, partition, from, records: list, recordsError: error } = state;
  let typed = from;
  return [
    h(
      "form.filters",
      {
        onsubmit: (e) => {
          e.preventDefault();
          actions.read(partition, typed.trim() || "beginning");
        },
      },
      field(
        "Partition",
        choice(
          it.partitions.map((p) => [p.partition, p.partition]),
          partition,
          (p) => actions.read(Number(p), "beginning"),
        ),
      ),
      field(
        "From",
        h("input", {
          type: "text",
          value: from,
          oninput: (e) => {
            typed = e.target.value;
          },
          placeholder: "beginning, end, an offset, a time",
        }),
      ),
      h("button.button", { type: "submit" }, "Read"),
      button("Last 25", {
        onclick: () => actions.read(partition, String(Math.max(it.partitions[partition].end - PAGE, 0))),
      }),
    ),
    error
      ? failure(error)
      : !list
        ? waiting("records")
        : list.length
          ? table(state, actions)
          : empty("No records here", "Append some:", `rekap topic append ${state.name} events.ndjson`),
    list?.length > 0 &&
      h(
        "div.pager",
        button("Back", { disabled: !state.before.length, onclick: actions.back }),
        h("span", `${count(list[0].offset)} – ${count(list.at(-1).offset)}`),
        button("Forth", { disabled: state.next >= it.partitions[partition].end, onclick: actions.forth }),
      ),
  ];
}

const table = ({ records: list, open }, { toggle }) =>
  h(
    "div.scroll",
    { role: "region", "aria-label": "Records", tabindex: 0 },
    h(
      "table.records",
      h(
        "thead",
        h(
          "tr",
          ["Offset", "Time", "Tier", "Key", "Value"].map((words, i) =>
            h("th", { scope: "col", class: i === 0 ? "num" : "" }, words),
          ),
        ),
      ),
      h(
        "tbody",
        list.map((r) => [
          h(
            "tr",
            { "data-key": `record-${r.offset}` },
            h(
              "td.num",
              h(
                "button.pick",
                {
                  type: "button",
                  "aria-expanded": String(open.has(r.offset)),
                  onclick: () => toggle(r.offset),
                  "aria-label": `Record ${r.offset}: ${open.has(r.offset) ? "fold" : "unfold"}`,
                },
                count(r.offset),
              ),
            ),
            h("td", time(r.timestamp)),
            h("td", h("span.tier", { class: r.tier }, r.tier)),
            h("td", r.key === null ? h("span.none", "none") : r.key),
            h("td.value", r.value === null ? h("span.none", "tombstone") : h("code", r.value)),
          ),
          open.has(r.offset) &&
            h(
              "tr.unfolded",
              { "data-key": `unfolded-${r.offset}` },
              h("td", { colspan: 5 }, h("pre", { tabindex: 0, "aria-label": `Record ${r.offset}` }, pretty(r))),
            ),
        ]),
      ),
    ),
  );

function pretty(record) {
  const headers = record.headers.length
    ? `${record.headers.map(({ key, value }) => `${key}: ${value ?? ""}`).join("\n")}\n\n`
    : "";
  try {
    return headers + JSON.stringify(JSON.parse(record.value), null, 2);
  } catch {
    return headers + (record.value ?? "tombstone");
  }
}
