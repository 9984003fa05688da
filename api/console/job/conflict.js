// Somebody was faster: the job is not as it was when the question was asked. Shows what changed, and asks again.

import { get, paths } from "../api.js";
import { h } from "../dom.js";
import { timeline } from "../events.js";
import { button, failure } from "../parts.js";

const SHOWN = 5;

/** True for a command that was refused because the job has moved on. */
export const isConflict = (error) => error?.status === 412;

/** Reads what the job is now. */
export async function readConflict(state) {
  const [job, page] = await Promise.all([
    get(paths.job(state.job.job)),
    get(`${paths.job(state.job.job)}/history?first=newest&limit=${SHOWN}`),
  ]);
  state.conflict = { job, events: page.events };
}

/** What changed, with a button that takes the question up from there. */
export function conflict(error, state) {
  const { conflict: now } = state;
  if (!isConflict(error) || !now) return failure(error);
  const serving = (job) => (job.serving === null ? "nothing" : `v${job.serving}`);
  const lines = [
    ["generation", state.job.generation, now.job.generation],
    ["serving", serving(state.job), serving(now.job)],
    ["rollback goes to", state.job.rollback.to ?? "–", now.job.rollback.to ?? "–"],
  ];
  return h(
    "div.failure.conflict",
    { role: "alert" },
    h("p.failure-title", "The job has changed since you looked; nothing was done"),
    h(
      "table.small",
      h(
        "thead",
        h(
          "tr",
          ["", "you saw", "now"].map((words) => h("th", { scope: "col" }, words)),
        ),
      ),
      h(
        "tbody",
        lines.map(([name, then, is]) =>
          h(
            "tr",
            { class: String(then) === String(is) ? "" : "differs" },
            h("th", { scope: "row" }, name),
            h("td", then),
            h("td", is),
          ),
        ),
      ),
    ),
    timeline(now.events),
    button("Take this up", {
      onclick: () => {
        Object.assign(state, { job: now.job, error: null, conflict: null });
        state.redraw();
      },
    }),
  );
}
