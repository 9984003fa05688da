// The way back: readers go to the version that served before.

import { paths, post } from "../api.js";
import { h } from "../dom.js";
import { count, duration, time } from "../format.js";
import { told } from "../parts.js";
import { toast } from "../toast.js";
import { ask, noted, swapped } from "./ask.js";

/** Lets the alias serve what it served before. */
export function rollBack(job, views, done) {
  ask(job, {
    title: `Roll ${job.job} back`,
    danger: true,
    verb: (state) => `Roll back to v${state.job.rollback.to}`,
    barred: (state) => !state.job.rollback.possible,
    explain: (state) => {
      const { to, until, lag_ms: lag, possible, why_not: why } = state.job.rollback;
      if (!possible) return h("p", told(why));
      return [
        swapped(job, views, state.job.serving, to, "Readers"),
        h(
          "p",
          `It takes at most 250 ms. v${to} has gone on reading and is ${duration(lag)} behind the log`,
          back(views, state.job.serving, to),
          ".",
        ),
        h(
          "p",
          `v${state.job.serving} stays warm and can be promoted again by hand, never by itself. All this is possible until `,
          h("strong", time(until)),
          ".",
        ),
      ];
    },
    act: (state) => post(`${paths.job(job.job)}/rollback`, noted(state), { ifMatch: state.job.generation }),
    done: (answer) => {
      toast(`v${answer.serving} serves again, after ${duration(answer.swap_ms)}`);
      done();
    },
  });
}

/** How far readers would step back at most, as things stand. */
function back(views, from, to) {
  const at = (n) => views.find((v) => v.version === n)?.progress.partitions ?? [];
  const old = new Map(at(to).map((p) => [`${p.topic}/${p.partition}`, p.position]));
  const steps = at(from)
    .map((p) => Math.max(p.position - (old.get(`${p.topic}/${p.partition}`) ?? 0), 0))
    .reduce((a, b) => a + b, 0);
  return steps
    ? `; as things stand readers would step back ${count(steps)} offsets unless it catches up within those 250 ms`
    : "; as things stand no reader steps back";
}
