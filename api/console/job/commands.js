// Commands that only name a version: abort, pause, resume, retire, verify, replay.

import { paths, post } from "../api.js";
import { h } from "../dom.js";
import { toast } from "../toast.js";
import { ask, noted } from "./ask.js";

const SIMPLE = {
  abort: {
    verb: "Give it up",
    danger: true,
    told: "given up",
    explain: (v) =>
      `v${v} stops reading and its table goes. What serves now is not touched. It cannot be taken back; the same query can be deployed again.`,
  },
  pause: {
    verb: "Pause",
    told: "paused",
    explain: (v) => `v${v} stops reading until it is resumed. Its table stays readable as it is, and grows stale.`,
  },
  resume: { verb: "Resume", told: "goes on", explain: (v) => `v${v} goes on reading where it stopped.` },
  retire: {
    verb: "Retire",
    danger: true,
    told: "retired",
    explain: (v) => `v${v} and its table go. A rollback to it is no longer possible.`,
  },
  verify: {
    verb: "Compare now",
    told: "is compared",
    explain: (v) =>
      `The rows of v${v} and of the serving version are compared at the same positions, while both go on.`,
  },
  replay: {
    verb: "Replay",
    danger: true,
    told: "replays",
    explain: (v) =>
      `v${v} starts over into a fresh table, from the start that its job names. What serves now is not touched.`,
  },
};

/** A command that only names a version. */
export function simple(verb, job, version, done) {
  const how = SIMPLE[verb];
  ask(job, {
    title: `${how.verb}: ${job.job}@${version.version}`,
    danger: how.danger,
    verb: () => how.verb,
    explain: () => h("p", how.explain(version.version)),
    act: (state) =>
      post(`${paths.version(job.job, version.version)}/${verb}`, noted(state), {
        ifMatch: verb === "abort" ? state.job.generation : undefined,
      }),
    done: () => {
      toast(`${job.job}@${version.version} ${how.told}`);
      done();
    },
  });
}

/** Which of these make sense for a version as it is. */
export function possible(version) {
  if (version.role === "Retired" || version.role === "Aborted") return [];
  const stopped = version.run === "Paused" || version.run === "Failed";
  const candidate = version.role === "Candidate";
  return [
    stopped ? "resume" : "pause",
    version.role !== "Serving" && "verify",
    candidate && "replay",
    candidate && "abort",
    version.role === "Standby" && "retire",
  ].filter(Boolean);
}

export const wordsOf = (verb) =>
  ({ ...Object.fromEntries(Object.entries(SIMPLE).map(([name, { verb: words }]) => [name, words])) })[verb];
