// Questions about a job: what will happen is said first, and the generation that was seen is sent along, so that who comes too late is told.

import { confirm } from "../dialog.js";
import { h } from "../dom.js";
import { positions } from "../format.js";
import { facts } from "../parts.js";
import { conflict, isConflict, readConflict } from "./conflict.js";

/** The body of a command, with the note where one was written. */
export const noted = (state, body = {}) => (state.note.trim() ? { ...body, note: state.note.trim() } : body);

/** A question about a job; `what.act` gets the state with the job as it was seen. */
export function ask(job, what) {
  confirm({
    ...what,
    state: { job, ...what.state },
    refused: conflict,
    failed: (error, state) => (isConflict(error) ? readConflict(state) : undefined),
    barred: (state) => Boolean(state.conflict) || Boolean(what.barred?.(state)),
  });
}

/** Which version readers go from and to, and where both stand. */
export function swapped(job, views, from, to, who) {
  const at = (n) => views.find((v) => v.version === n);
  return [
    h(
      "p",
      who,
      " of ",
      h("code", job.alias),
      from === null ? " get " : [" go from ", h("strong", `v${from}`), " to "],
      h("strong", `v${to}`),
      ".",
    ),
    facts(
      [
        from !== null && [`v${from} stands at`, positions(at(from)?.positions)],
        [`v${to} stands at`, positions(at(to)?.positions)],
      ],
      "stacked",
    ),
  ];
}
