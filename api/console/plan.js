// A plan: what a deploy would do, and what differs from what serves.

import { h } from "./dom.js";
import { pointer } from "./editor.js";
import { bytes, cell, count, duration, plural, positions } from "./format.js";
import { facts, grid, panel, told } from "./parts.js";
import { sign } from "./status.js";

/** Draws what the server answered; `sql` is the query that it is about. */
export function planReport(plan, sql) {
  if (plan.refusal)
    return panel(
      "Plan",
      { id: "plan" },
      h(
        "div.failure",
        { role: "alert" },
        h("p.failure-title", "It would be refused", h("code", plan.refusal.code)),
        h("p", told(plan.refusal.detail)),
        h("p.remedy", h("strong", "Write instead: "), told(plan.refusal.remedy)),
        pointer(sql, plan.refusal.place),
      ),
    );
  return panel(
    "Plan",
    {
      id: "plan",
      note: plan.changes
        ? plan.policy_only
          ? "only the policy changes; no version is made"
          : `makes v${plan.version}`
        : "nothing would change",
    },
    facts([
      ["Serving now", plan.serving === null ? "nothing" : `v${plan.serving}`],
      ["Reads", plural(plan.records, "record")],
      plan.bytes !== null && ["Bytes", bytes(plan.bytes)],
      ["Takes", plan.time_ms === null ? "not measured yet" : `about ${duration(plan.time_ms)}`],
    ]),
    plan.warnings.length > 0 &&
      h(
        "ul.warnings",
        plan.warnings.map((w) => h("li", sign("triangle", "warn", told(w)))),
      ),
    plan.differences.length > 0 &&
      h("div.block", h("h3", `What differs from v${plan.serving}`), plan.differences.map(difference)),
    plan.compatibility.length > 0 &&
      h(
        "div.block",
        h("h3", "Columns"),
        h(
          "ul",
          plan.compatibility.map((line) => h("li", told(line))),
        ),
      ),
    plan.inputs.length > 0 &&
      h(
        "div.block",
        h("h3", "What the replay reads"),
        grid(
          "Inputs",
          [
            { head: "Input", lead: true, cell: (i) => i.input },
            { head: "Topic", cell: (i) => h("a", { href: `/topics/${i.topic}` }, i.topic) },
            { head: "From", cell: (i) => positions(i.start) },
            { head: "Cold", kind: "num", cell: (i) => count(i.records.cold) },
            { head: "Hot", kind: "num", cell: (i) => count(i.records.hot) },
            {
              head: "Gaps",
              cell: (i) => (i.gaps.length ? sign("triangle", "warn", plural(i.gaps.length, "gap")) : "none"),
            },
          ],
          plan.inputs,
          { key: (i) => i.input },
        ),
      ),
  );
}

function difference({ field: name, from, to }) {
  const text = (value) => (typeof value === "string" ? value : value === null ? "" : JSON.stringify(value, null, 2));
  if (!text(from).includes("\n") && !text(to).includes("\n"))
    return h("p.difference", h("strong", name), " ", h("del", cell(from)), " ", h("ins", cell(to)));
  return h(
    "div.difference",
    h("strong", name),
    h(
      "pre.diff",
      { tabindex: 0, "aria-label": `Difference of ${name}` },
      lineDiff(text(from).trimEnd().split("\n"), text(to).trimEnd().split("\n")).map(([kind, line]) =>
        h("span", { class: kind }, `${{ gone: "-", come: "+", same: " " }[kind]} ${line}\n`),
      ),
    ),
  );
}

/** Lines that stay, go and come, by the longest common sequence. */
function lineDiff(a, b) {
  const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || best[i + 1][j] >= best[i][j + 1])) {
      lines.push(["gone", a[i]]);
      i += 1;
    } else {
      lines.push(["come", b[j]]);
      j += 1;
    }
  }
  return lines;
}
