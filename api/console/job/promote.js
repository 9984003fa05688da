// The promotion of a version: what it does to readers, and what has to be waived for it.

import { paths, post } from "../api.js";
import { h } from "../dom.js";
import { duration, spanMs, time } from "../format.js";
import { told } from "../parts.js";
import { toast } from "../toast.js";
import { conditionsOf, nameOf } from "./proof.js";
import { ask, noted, swapped } from "./ask.js";

/** Lets the alias serve this version. `views` are the versions that are known, `spec` the job's. */
export function promote(job, version, views, spec, done) {
  const unmet = conditionsOf(version).filter(([, condition]) => !condition.met);
  const bound = unmet.some(([name]) => name === "caught_up");
  const window = spanMs(spec?.promote?.rollback_window);
  ask(job, {
    title: `Promote ${job.job}@${version.version}`,
    state: { force: new Set(), whenReady: bound },
    verb: (state) => (state.whenReady ? `Promote v${version.version} when ready` : `Promote v${version.version} now`),
    barred: (state) => !state.whenReady && unmet.some(([name]) => !state.force.has(name)),
    explain: (state) => [
      swapped(
        job,
        views,
        state.job.serving,
        version.version,
        state.whenReady ? "As soon as every condition is met, readers" : "Readers",
      ),
      h("p", "Readers are held for at most 2 s; if the swap takes longer, it is called off and nothing changes."),
      state.job.serving !== null &&
        h(
          "p",
          `v${state.job.serving} goes on reading, so a rollback takes milliseconds and serves fresh data`,
          window
            ? [
                ", until ",
                h(
                  "strong",
                  state.whenReady ? `${duration(window)} after the swap` : time(new Date(Date.now() + window)),
                ),
              ]
            : "",
          ".",
        ),
      unmet.length > 0 && unmetList(unmet, state),
    ],
    act: (state) =>
      post(
        `${paths.version(job.job, version.version)}/promote`,
        noted(state, state.whenReady ? { when_ready: true } : { force: [...state.force] }),
        { ifMatch: state.job.generation },
      ),
    done: (answer) => {
      toast(
        answer.approved_by
          ? `v${answer.version} is approved by ${answer.approved_by}; it waits for somebody else to promote it too`
          : answer.armed
          ? `v${answer.version} is promoted once it is ready`
          : `v${answer.serving} serves; readers were held ${duration(answer.swap_ms)}`,
      );
      done();
    },
  });
}

function unmetList(unmet, state) {
  const toggle = (name) => (e) => {
    state.force[e.target.checked ? "add" : "delete"](name);
    state.redraw();
  };
  return h(
    "fieldset.unmet",
    h("legend", "Not met yet"),
    unmet.map(([name, condition]) =>
      h(
        "div",
        name === "caught_up"
          ? h(
              "p",
              h("strong", nameOf(name)),
              ": ",
              told(condition.detail),
              ". This cannot be waived: readers would go back in time.",
            )
          : h(
              "label.check",
              h("input", {
                type: "checkbox",
                checked: state.force.has(name),
                disabled: state.whenReady,
                onchange: toggle(name),
              }),
              h("span", "Waive ", h("strong", nameOf(name)), ": ", told(condition.detail)),
            ),
      ),
    ),
    h(
      "label.check",
      h("input", {
        type: "checkbox",
        checked: state.whenReady,
        onchange: (e) => {
          state.whenReady = e.target.checked;
          state.redraw();
        },
      }),
      h("span", "Promote it as soon as all are met"),
    ),
  );
}
