// The head of a job: what serves, whether a rollback is possible, and what can be done to the job as a whole.

import { h } from "../dom.js";
import { coarse, count, duration, time } from "../format.js";
import { button, facts, told } from "../parts.js";
import { phase, sign } from "../status.js";
import { promote } from "./promote.js";
import { rollBack } from "./rollback.js";
import { deleteJob, until } from "./whole.js";

/** Draws it; `version` is the one that is looked at. */
export function head({ job, views, spec }, version, { look }) {
  const serves = views.find((v) => v.version === job.serving);
  const { rollback } = job;
  const candidate = version?.role === "Serving" ? null : version;
  return h(
    "header.head",
    h(
      "div.head-row",
      h("h1", job.job),
      h(
        "div.actions",
        candidate &&
          ["Candidate", "Standby"].includes(candidate.role) &&
          button(`Promote v${candidate.version} …`, {
            kind: candidate.phase === "Ready" ? "primary" : "",
            onclick: () => promote(job, candidate, views, spec?.spec, look),
          }),
        button("Roll back …", {
          kind: rollback.possible ? "" : "faint",
          disabled: !rollback.possible,
          title: rollback.why_not,
          onclick: () => rollBack(job, views, look),
        }),
        h("a.button", { href: `/deploy?job=${job.job}` }, "Deploy …"),
        h(
          "details.menu",
          h("summary.button", "More"),
          h(
            "div.menu-list",
            button("Freeze …", { onclick: () => until("freeze", job, look) }),
            button("Rollback window …", { onclick: () => until("rollback-window", job, look) }),
            button("Delete the job …", { kind: "danger", onclick: () => deleteJob(job) }),
          ),
        ),
      ),
    ),
    facts([
      [
        "Serving",
        serves ? h("span.pair", h("b.v", `v${serves.version}`), phase(serves)) : sign("ring", "quiet", "nothing"),
      ],
      ["Lag", duration(serves?.lag_ms)],
      ["Rows", h("a", { href: `/tables/${job.alias}` }, count(serves?.rows))],
      [
        "Rollback",
        rollback.possible
          ? sign(
              "tick",
              "good",
              `to v${rollback.to}, ${coarse(Math.max(new Date(rollback.until) - Date.now(), 0))} left`,
            )
          : sign(
              ...(rollback.to === null ? ["dash", "quiet"] : ["cross", "warn"]),
              told(rollback.why_not ?? "not possible"),
            ),
      ],
      ["Generation", count(job.generation)],
      job.frozen_until && ["Frozen", sign("pause", "warn", `until ${time(job.frozen_until)}`)],
    ]),
  );
}
