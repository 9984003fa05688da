// All versions of a job, a line each.

import { h } from "../dom.js";
import { ago, compact, duration, floorPercent, progress, time } from "../format.js";
import { grid } from "../parts.js";
import { isBusy, isLive, phase } from "../status.js";

/** The newest first; `pick(n)` chooses one. */
export const versions = ({ views, job }, shown, { pick }) =>
  grid(
    "All versions",
    [
      {
        head: "Version",
        lead: true,
        cell: (v) =>
          h(
            "button.pick",
            { type: "button", "aria-pressed": String(v.version === shown?.version), onclick: () => pick(v.version) },
            `v${v.version}`,
          ),
      },
      { head: "Phase", cell: (v) => h("span.pair", phase(v), v.rolled_back && h("small", "rolled back")) },
      {
        head: "Read",
        kind: "num",
        cell: (v) => (isLive(v) ? floorPercent(progress(v.progress.records_done, v.progress.records_total)) : "–"),
      },
      { head: "Lag", kind: "num", cell: (v) => (isLive(v) ? duration(v.lag_ms) : "–") },
      {
        head: "Rows",
        kind: "num",
        cell: (v) => (isLive(v) ? h("a", { href: `/tables/${job.job}@${v.version}` }, compact(v.rows)) : "–"),
      },
      { head: "Comparison", cell: (v) => v.verification?.verdict ?? (isBusy(v) ? "to come" : "–") },
      { head: "Deployed", cell: (v) => h("span", { title: time(v.deployed_at) }, ago(v.deployed_at)) },
    ],
    [...views].reverse(),
    { stacks: true, key: (v) => v.version, rowClass: (v) => (v.version === shown?.version ? "chosen" : "") },
  );
