// What the server does by itself at which times: when next, and what became of the last run.

import { h } from "./dom.js";
import { ago, duration, time } from "./format.js";
import { grid, told } from "./parts.js";
import { sign } from "./status.js";

const OUTCOMES = {
  done: ["check", "good", "done"],
  failed: ["cross", "bad", "failed"],
  missed: ["triangle", "warn", "missed"],
  overlapped: ["triangle", "warn", "the run before went on"],
};

/** All of them, a line each. */
export const schedules = (list) =>
  grid(
    "Schedules",
    [
      { head: "Schedule", lead: true, cell: (it) => it.schedule },
      { head: "Task", cell: (it) => (it.job ? `${it.task} of ${it.job}` : it.task) },
      {
        head: "At",
        cell: (it) => h("span.stack", h("code", it.cron), h("small", it.timezone)),
      },
      { head: "Next", cell: (it) => (it.next_run ? moment(it.next_run) : h("span.none", "–")) },
      { head: "Last", cell: (it) => (it.runs[0] ? lastRun(it.runs[0]) : h("span.none", "not yet")) },
      { head: "Outcome", kind: "value", cell: outcome },
    ],
    list,
    { key: (it) => it.schedule, stacks: true },
  );

/** The ones whose last run did not do what it should. */
export const broken = (list) => list.filter((it) => ["failed", "missed"].includes(it.runs[0]?.outcome));

const moment = (at) => h("span.stack", h("time", { datetime: at }, time(at)), h("small", ago(at)));

const lastRun = (run) =>
  h(
    "span.stack",
    h("time", { datetime: run.due }, time(run.due)),
    h("small", [ago(run.due), run.by_hand && "by hand", run.made_up && "made up late"].filter(Boolean).join(" · ")),
  );

function outcome({ running_since: since, runs: [last] }) {
  if (since) return sign("half", "busy", `running, since ${ago(since)}`);
  if (!last) return h("span.none", "–");
  const took = last.outcome === "done" || last.outcome === "failed" ? `${duration(last.took_ms)}: ` : "";
  return h("span.stack", sign(...(OUTCOMES[last.outcome] ?? ["ring", "quiet", last.outcome])), h("small", took, told(last.detail)));
}
