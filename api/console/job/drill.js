// The drill of a job: history replayed through the version that serves, beside it, and compared with what it serves.

import { paths, post } from "../api.js";
import { h } from "../dom.js";
import { ago, count, duration, floorPercent, positions, progress, time } from "../format.js";
import { button, facts, meter, panel, told } from "../parts.js";
import { sign, verdict } from "../status.js";
import { toast } from "../toast.js";
import { ask, noted } from "./ask.js";
import { countBar } from "./comparison.js";

/** What the last one found, and whether one goes on; `look` looks again once another one was begun. */
export function drill(job, look) {
  const found = job.drill;
  const running = found?.state === "running";
  const begin = button("Drill now …", {
    kind: "small",
    disabled: running || job.serving === null,
    title: job.serving === null ? "nothing serves" : null,
    onclick: () => drillNow(job, look),
  });
  return panel(
    "Drill",
    { note: "Would history give what is served? Replayed beside it, and compared row by row.", actions: [begin] },
    !found && h("p.quiet", "Not drilled yet. The server can do it at night: a schedule whose task is drill."),
    running && goingOn(found),
    found?.verdict && result(found),
  );
}

function goingOn({ version, since, records_done: done, records_total: total, throttled }) {
  const share = progress(done ?? 0, total ?? 0);
  const read = total !== undefined && total !== null;
  return h(
    "div.reading",
    h("p", sign("half", "busy", `v${version} is drilled, since ${ago(since)}`)),
    read && meter(share, `the drill of v${version} has read`),
    read && h("p", h("b", floorPercent(share)), ` · ${count(done)} of ${count(total)} records`),
    throttled && h("p.quiet", told(throttled.reason ?? "it makes way for what is served")),
  );
}

const result = (found) => [
  h(
    "div.verdict",
    verdict(found.verdict),
    h("p", `v${found.version} · `, h("time", { datetime: found.at, title: time(found.at) }, ago(found.at))),
  ),
  found.reason && h("p.reason", told(found.reason)),
  countBar(found.counts),
  facts([
    ["Records read", count(found.records)],
    ["Took", duration(found.took_ms)],
    ["Compared at", positions(found.positions)],
  ]),
];

function drillNow(job, look) {
  ask(job, {
    title: `Drill: ${job.job}`,
    verb: () => "Drill now",
    explain: () =>
      h(
        "p",
        `History is replayed through v${job.serving} into a table of its own, which nobody reads and which goes afterwards. What serves is not touched; the replay makes way for it.`,
      ),
    act: (state) => post(`${paths.job(job.job)}/drill`, noted(state)),
    done: () => {
      toast(`${job.job} is drilled`);
      look();
    },
  });
}
