// The comparison with the serving version: what is the same, what moved and how far, and rows side by side.

import { ago, cell, count, percent, plural, positions } from "../format.js";
import { h, s } from "../dom.js";
import { facts, grid, told } from "../parts.js";
import { sign, verdict } from "../status.js";

const BINS = 24;
/** Samples that are shown as rows; the charts are made of all. */
const SHOWN = 15;
const CHANGES = {
  changed: ["triangle", "warn", "changed"],
  added: ["tick", "good", "added"],
  removed: ["cross", "bad", "removed"],
};

/** The last verification of a version, or what there is of it. */
export function comparison(version) {
  const report = version.verification;
  if (!report) return h("p.quiet", "It is compared by itself once it has caught up.");
  if (report.state === "running") return h("p.quiet", sign("half", "busy", "The comparison is under way."));
  if (!report.counts) return h("p.quiet", "Nothing serves to compare it with.");
  return [
    h(
      "div.verdict",
      verdict(report.verdict),
      h(
        "p",
        report.against === null ? "nothing served" : `against v${report.against}`,
        ` · ${ago(report.at)} · at ${positions(report.positions)}`,
      ),
    ),
    report.reason && h("p.reason", told(report.reason)),
    countBar(report.counts),
    report.checks.length > 0 && checks(report.checks),
    columns(report),
    samples(report, version),
  ];
}

/** How many rows are the same and how many are not, as a bar and in numbers. */
export function countBar(counts) {
  const kinds = ["same", "changed", "added", "removed"];
  const all = kinds.reduce((sum, kind) => sum + counts[kind], 0);
  let at = 0;
  const pieces = kinds.map((kind) => {
    const width = all ? (counts[kind] / all) * 1000 : 0;
    at += width;
    return width > 0 && s("rect", { class: kind, x: at - width, width, height: 10, y: 0 });
  });
  return h(
    "div.counts",
    s(
      "svg",
      {
        viewBox: "0 0 1000 10",
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": kinds.map((kind) => `${count(counts[kind])} ${kind}`).join(", "),
      },
      pieces,
    ),
    facts(
      kinds.map((kind) => [
        kind,
        h("span", h("b", count(counts[kind])), " ", h("small", all ? percent(counts[kind] / all, 1) : "")),
      ]),
      "inline",
    ),
  );
}

const checks = (list) =>
  h(
    "div.block",
    h("h3", "Checks of the policy"),
    h(
      "ul.checks",
      list.map((check) =>
        h(
          "li",
          verdict(check.verdict),
          h(
            "div",
            h("strong", check.name),
            h(
              "span.detail",
              check.reason ? told(check.reason) : check.measured === true ? "holds" : `gave ${cell(check.measured)}`,
            ),
          ),
        ),
      ),
    ),
  );

function columns(report) {
  const moved = report.columns.filter((c) => c.changed || c.added || c.removed || c.types);
  if (!moved.length) return h("p.quiet", "No column differs.");
  const both = report.counts.same + report.counts.changed;
  return h(
    "div.block",
    h("h3", "Columns that differ"),
    h(
      "ul.moved",
      moved.map((column) =>
        h(
          "li",
          { "data-key": `column-${column.name}` },
          h("div", h("strong", column.name), h("span.detail", inWords(column, both))),
          histogram(column, report.samples),
        ),
      ),
    ),
  );
}

function inWords(column, both) {
  if (column.added) return "only the new version has it";
  if (column.removed) return "only the old version has it";
  const parts = [`${plural(column.changed, "row")} (${percent(both ? column.changed / both : 0, 1)})`];
  if (column.types) parts.push(`${column.types.old} became ${column.types.new}`);
  if (column.mean_relative_change !== undefined)
    parts.push(
      `by ${percent(column.mean_relative_change, 3)} on average, ${percent(column.largest_relative_change, 3)} at most`,
    );
  if (column.nulls_appeared) parts.push(`${plural(column.nulls_appeared, "value")} became NULL`);
  if (column.nulls_vanished) parts.push(`${plural(column.nulls_vanished, "NULL")} got a value`);
  return parts.join(" · ");
}

/** How the samples' values moved: as many rows to the left as fell, to the right as rose. */
function histogram({ name }, samples) {
  const moves = samples
    .filter(
      (one) =>
        one.old && one.new && Number.isFinite(one.old[name]) && Number.isFinite(one.new[name]) && one.old[name] !== 0,
    )
    .map((one) => one.new[name] / one.old[name] - 1)
    .filter((move) => move !== 0);
  if (moves.length < 2) return null;
  const reach = Math.max(...moves.map(Math.abs));
  const bins = new Array(BINS).fill(0);
  for (const move of moves) bins[Math.min(Math.floor(((move + reach) / (2 * reach)) * BINS), BINS - 1)] += 1;
  const top = Math.max(...bins);
  const width = 240 / BINS;
  const label = `${name}: ${moves.filter((m) => m < 0).length} of ${moves.length} samples fell, ${moves.filter((m) => m > 0).length} rose, by ${percent(reach, 3)} at most`;
  return h(
    "figure.histogram",
    s(
      "svg",
      { viewBox: "0 0 240 48", role: "img", "aria-label": label },
      bins.map(
        (n, i) =>
          n > 0 &&
          s("rect", {
            x: i * width + 0.5,
            width: width - 1,
            y: 46 - (n / top) * 42,
            height: (n / top) * 42,
            class: i < BINS / 2 ? "fell" : "rose",
          }),
      ),
      s("line", { x1: 120, x2: 120, y1: 0, y2: 48 }),
      s("line", { x1: 0, x2: 240, y1: 46.5, y2: 46.5 }),
    ),
    h(
      "figcaption",
      h("span", `−${percent(reach, 2)}`),
      h("span", `${moves.length} samples`),
      h("span", `+${percent(reach, 2)}`),
    ),
  );
}

function samples(report, version) {
  if (!report.samples.length) return null;
  const names = [...new Set(report.samples.flatMap((one) => Object.keys(one.new ?? one.old)))];
  const oneSided = new Set(report.columns.filter((c) => c.added || c.removed).map((c) => c.name));
  const differs = (one, name) => one.old && one.new && JSON.stringify(one.old[name]) !== JSON.stringify(one.new[name]);
  const value = (one, name) => {
    if (oneSided.has(name))
      return name in (one.new ?? {})
        ? h("ins", cell(one.new[name]))
        : name in (one.old ?? {})
          ? h("del", cell(one.old[name]))
          : "–";
    if (one.old && one.new) {
      if (!differs(one, name)) return h("span.same", cell(one.new[name]));
      return h(
        "span.sides",
        h("del", { "aria-label": `old ${cell(one.old[name])}` }, cell(one.old[name])),
        h("ins", { "aria-label": `new ${cell(one.new[name])}` }, cell(one.new[name])),
      );
    }
    return h(one.old ? "del" : "ins", cell((one.old ?? one.new)[name]));
  };
  const rows = report.samples.slice(0, SHOWN);
  return h(
    "details.block",
    { open: true },
    h(
      "summary",
      h("h3", "Rows that differ"),
      h("small", `${rows.length} of ${count(report.counts.changed + report.counts.added + report.counts.removed)}`),
    ),
    grid(
      `Rows of v${report.against} and v${version.version} side by side`,
      [
        { head: "", cell: (one) => sign(...CHANGES[one.change]) },
        ...names.map((name) => ({
          head: name,
          kind: numeric(report.samples, name) ? "num" : "",
          cell: (one) => value(one, name),
        })),
      ],
      rows,
      { caption: `Struck through: v${report.against}, the old one. Underlined: v${version.version}, the new one.` },
    ),
  );
}

const numeric = (list, name) => list.some((one) => typeof (one.new ?? one.old)?.[name] === "number");
