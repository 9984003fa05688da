// The proof: every condition of promotion, whether it holds, and what that rests on.

import { h } from "../dom.js";
import { told } from "../parts.js";
import { met } from "../status.js";

const MEANING = {
  caught_up: "Every partition has passed the log's end, and where the serving version stands",
  lag: "It is no further behind than the job's policy allows",
  ready_for: "All of this has held for as long as the policy asks",
  verified: "Its rows were compared with the serving version's at the same positions",
  no_gap: "No offset of its inputs is missing",
  schema: "Readers find every column that they have now",
};
const ORDER = Object.keys(MEANING);

/** The conditions in the order in which they come true. */
export const conditionsOf = (version) => Object.entries(version.ready ?? {}).sort(([a], [b]) => rank(a) - rank(b));
const rank = (name) => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);

/** All conditions, one line each. */
export function proof(version) {
  return h(
    "ul.proof",
    conditionsOf(version).map(([name, condition]) =>
      h(
        "li",
        { "data-key": `condition-${name}`, class: condition.met ? "held" : "open" },
        met(condition.met),
        h(
          "div",
          h("strong", nameOf(name)),
          h("span.detail", told(condition.detail)),
          !condition.met && h("small", MEANING[name] ?? ""),
        ),
      ),
    ),
  );
}

/** `ready_for` as words. */
export const nameOf = (name) =>
  ({
    caught_up: "Caught up",
    lag: "Within its lag",
    ready_for: "Held long enough",
    verified: "Verified",
    no_gap: "No gap",
    schema: "Schema fits",
  })[name] ?? name;
