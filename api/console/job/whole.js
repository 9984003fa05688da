// What is done to a job as a whole: freeze it, move the end of its rollback window, delete it.

import { paths, post, remove } from "../api.js";
import { h } from "../dom.js";
import { toast } from "../toast.js";
import { go } from "../router.js";
import { ask, noted } from "./ask.js";

/** Stops what happens by itself, or moves the end of the rollback window. */
export function until(kind, job, done) {
  const how =
    kind === "freeze"
      ? {
          title: `Freeze ${job.job}`,
          verb: "Freeze",
          text: "No automatic promotion, no clean-up, and no promotion by others until then. A rollback is always possible.",
        }
      : {
          title: `Rollback window of ${job.job}`,
          verb: "Set the window",
          text: "Former versions are kept warm, and a rollback to them is possible, until then.",
        };
  const local = (ms) => new Date(Date.now() + ms).toISOString().slice(0, 16);
  ask(job, {
    title: how.title,
    state: { until: local(86_400_000) },
    verb: () => how.verb,
    barred: (state) => !state.until,
    explain: (state) => [
      h("p", how.text),
      h(
        "label.field",
        h("span", "Until (UTC)"),
        h("input", {
          type: "datetime-local",
          required: true,
          value: state.until,
          onchange: (e) => {
            state.until = e.target.value;
            state.redraw();
          },
        }),
      ),
    ],
    act: (state) => post(`${paths.job(job.job)}/${kind}`, noted(state, { until: `${state.until}:00Z` })),
    done: () => {
      toast(`${how.title}: done`);
      done();
    },
  });
}

/** Deletes a job, once its name was typed. */
export function deleteJob(job) {
  ask(job, {
    title: `Delete ${job.job}`,
    danger: true,
    state: { typed: "" },
    verb: () => "Delete the job",
    barred: (state) => state.typed !== job.job,
    explain: (state) => [
      h(
        "p",
        `All versions of ${job.job} are retired, and readers of `,
        h("code", job.alias),
        " get nothing any more. The topics and their records stay; the history stays in the audit log.",
      ),
      h(
        "label.field",
        h("span", "Type ", h("code", job.job), " to go on"),
        h("input", {
          type: "text",
          autocomplete: "off",
          value: state.typed,
          oninput: (e) => {
            state.typed = e.target.value;
            state.redraw();
          },
        }),
      ),
    ],
    act: () => remove(paths.job(job.job)),
    done: () => {
      toast(`${job.job} is deleted`);
      go("/");
    },
  });
}
