// What a phase, a verdict or a condition looks like: a shape and a word, and a colour that says the same once more.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const PHASES = {
  Registered: ["ring", "quiet", "Registered"],
  Replaying: ["half", "busy", "Replaying"],
  CatchingUp: ["half", "busy", "Catching up"],
  Verifying: ["half", "busy", "Verifying"],
  Ready: ["check", "ready", "Ready"],
  Serving: ["disc", "good", "Serving"],
  Standby: ["target", "calm", "Standby"],
  Paused: ["pause", "warn", "Paused"],
  Failed: ["cross", "bad", "Failed"],
  Aborted: ["dash", "quiet", "Aborted"],
  Retired: ["dash", "quiet", "Retired"],
};

const VERDICTS = {
  pass: ["check", "good", "pass"],
  fail: ["cross", "bad", "fail"],
  inconclusive: ["triangle", "warn", "inconclusive"],
};

/** A shape with a word. */
export const sign = (shape, tone, ...words) => h("span.status", { class: tone }, icon(shape), h("span", words));

/** A version's phase. */
export function phase(version) {
  const [shape, tone, word] = PHASES[version.phase] ?? ["ring", "quiet", version.phase];
  const stuck = version.role !== "Candidate" && (version.run === "Failed" || version.run === "Paused");
  return stuck
    ? sign(version.run === "Failed" ? "triangle" : "pause", "warn", word, ` · ${version.run.toLowerCase()}`)
    : sign(shape, tone, word);
}

/** What a verification or a check says. */
export const verdict = (said) => sign(...(VERDICTS[said] ?? ["ring", "quiet", said]));

/** Whether a condition holds. */
export const met = (yes) => (yes ? sign("tick", "good", "met") : sign("cross", "bad", "not met"));

/** True while a version has a table. */
export const isLive = (version) => ["Candidate", "Serving", "Standby"].includes(version.role);

/** True while it is on its way. */
export const isBusy = (version) =>
  version.role === "Candidate" && ["Registered", "Replaying", "CatchingUp", "Verifying"].includes(version.phase);
