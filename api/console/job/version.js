// One version: how far it has read, the proof, what it is made of, the comparison, and what it could not use.

import { h } from "../dom.js";
import { ago, bytes, coarse, compact, count, duration, floorPercent, progress, time } from "../format.js";
import { button, facts, meter, panel, told, waiting } from "../parts.js";
import { isLive, phase, sign } from "../status.js";
import { possible, simple, wordsOf } from "./commands.js";
import { comparison } from "./comparison.js";
import { deadLetters } from "./deadletters.js";
import { proof } from "./proof.js";

/** Draws it; `look` looks again once something was done to it. */
export function oneVersion(state, version, { look }) {
  const { job, spec } = state;
  const title = `Version ${version.version}`;
  const share = progress(version.progress.records_done, version.progress.records_total);
  const act = possible(version).map((verb) =>
    button(`${wordsOf(verb)} …`, { kind: "small", onclick: () => simple(verb, job, version, look) }),
  );
  return h(
    "div.version",
    { "data-key": `version-${version.version}` },
    panel(
      title,
      { id: "looked-at", actions: act, note: [phase(version), version.armed && " armed: promoted once it is ready"] },
      version.reason &&
        h("div.failure", { role: "alert" }, h("p.failure-title", "It cannot go on"), h("p", told(version.reason))),
      version.problem &&
        h("div.failure.mild", h("p.failure-title", "Being tried again"), h("p", told(version.problem))),
      isLive(version) && share < 1 && reading(version, share),
      facts([
        isLive(version) && ["Read", `${count(version.progress.records_done)} records`],
        ["Rows", count(version.rows)],
        ["On disk", bytes(version.bytes)],
        ["Lag", duration(version.lag_ms)],
        ["Dead letters", version.dead_letters ? sign("triangle", "warn", count(version.dead_letters)) : "0"],
        version.late > 0 && ["Late", count(version.late)],
        version.tombstones_skipped > 0 && ["Tombstones skipped", count(version.tombstones_skipped)],
        ["Attempt", version.attempt],
        ["Deployed", h("span", { title: time(version.deployed_at) }, ago(version.deployed_at))],
        version.until && ["Warm until", time(version.until)],
        ["Digest", h("code", { title: version.digest }, version.digest.slice(0, 12))],
      ]),
    ),
    isLive(version) &&
      h(
        "div.two",
        panel(
          "Proof",
          {
            note:
              version.role === "Candidate"
                ? "Every condition has to hold before it may take over."
                : "The conditions of a promotion, as they are now.",
          },
          proof(version),
        ),
        panel(
          "Definition",
          { actions: [h("a", { href: `/tables/${job.job}@${version.version}` }, "Its table")] },
          spec && state.specOf === version.version ? definition(spec) : waiting("the definition"),
        ),
      ),
    version.role !== "Retired" && version.role !== "Aborted" && panel("Comparison", {}, comparison(version)),
    isLive(version) && version.dead_letters > 0 && deadLetters(job.job, version, state.letters),
  );
}

function reading({ progress: p, version }, share) {
  const left = p.records_total - p.records_done;
  return h(
    "div.reading",
    meter(share, `v${version} has read`),
    h(
      "p",
      h("b", floorPercent(share)),
      ` · ${count(p.records_done)} of ${count(p.records_total)} records`,
      left > 0 && p.rate_per_s > 0
        ? ` · ${compact(Math.round(p.rate_per_s))} a second · ${p.eta_ms === null ? "time left unknown" : `${coarse(p.eta_ms)} left`}`
        : "",
    ),
  );
}

function definition({ spec, query }) {
  const { promote: policy = {} } = spec;
  const inputs = Object.entries(spec.inputs).map(([name, input]) =>
    h("span", h("a", { href: `/topics/${input.topic}` }, input.topic), name === input.topic ? "" : ` as ${name}`, " "),
  );
  return [
    h("pre.sql", { tabindex: 0, "aria-label": "Query" }, query),
    facts([
      ["Reads", inputs],
      spec.key && ["Key", spec.key.join(", ")],
      spec.time && ["Time", spec.time],
      spec.retain && ["Keeps", spec.retain],
      ["Max lag", policy.max_lag],
      ["Holds for", policy.ready_for],
      ["Rollback window", policy.rollback_window],
      ["Promotes itself", policy.auto ? "yes" : "no"],
      policy.max_changed && ["May change", policy.max_changed],
    ]),
  ];
}
