// The versions of a job as lanes over the log: all on one scale of offsets, so that one sees who stands where, and in which tier.

import { compact, count, coarse, duration, floorPercent, plural, progress } from "../format.js";
import { h, s } from "../dom.js";
import { phase } from "../status.js";
import { frame, legend, piece, span, stripes, tiersInWords, tiersOf, x } from "../tiers.js";

const LOG_HEIGHT = 34;
const LANE_HEIGHT = 22;

/** One drawing for each topic that the versions read. `pick(n)` chooses a version. */
export function lanes(topics, versions, chosen, pick) {
  return [legend(), topics.map((topic) => drawing(topic, versions, chosen, pick))];
}

function drawing(topic, versions, chosen, pick) {
  const scope = span(topic.partitions);
  const readers = versions.filter((v) => v.progress.partitions.some((p) => p.topic === topic.topic));
  return h(
    "div.lanes",
    { "data-key": `lanes-${topic.topic}` },
    h(
      "div.lane.log",
      h(
        "div.lane-name",
        h("a", { href: `/topics/${topic.topic}` }, topic.topic),
        h("small", plural(topic.partitions.length, "partition")),
      ),
      h("div.lane-draw", logBar(topic, scope), axis(topic, scope)),
      h("div.lane-facts", h("span", `${count(total(topic.partitions, (p) => p.end))}`), h("small", "offsets")),
    ),
    readers.map((version) => lane(topic, version, scope, version.version === chosen, pick)),
  );
}

function logBar({ partitions }, scope) {
  const { each, gap } = stripes(partitions.length, LOG_HEIGHT);
  return frame(
    "tiers",
    LOG_HEIGHT,
    tiersInWords(partitions),
    partitions.map((p, i) => tiersOf(p, scope, i * (each + gap), each)),
  );
}

/** The offsets below the log, and the seam: up to where the mirror has come. */
function axis({ partitions }, scope) {
  const mirrored = partitions.filter((p) => p.mirrored_to !== null);
  const seam = mirrored.length ? Math.max(...mirrored.map((p) => p.mirrored_to)) : null;
  const at = seam === null ? null : x(seam, scope) / 10;
  const side = at === null ? "" : at > 50 ? "left-of" : "right-of";
  return h(
    "div.axis",
    { "aria-hidden": "true" },
    (at === null || at > 12) && h("span.first", count(scope.from)),
    at !== null && h("span.seam", { class: side, style: { left: `${at}%` } }, h("i"), h("em", `seam ${compact(seam)}`)),
    (at === null || at < 88) && h("span.last", count(scope.to)),
  );
}

function lane(topic, version, scope, chosen, pick) {
  const own = version.progress.partitions.filter((p) => p.topic === topic.topic);
  const behind = total(own, (p) => Math.max(p.target - p.position, 0));
  const { each, gap } = stripes(own.length, LANE_HEIGHT);
  const share = progress(version.progress.records_done, version.progress.records_total);
  const kind = version.role === "Serving" ? "serving" : version.role === "Standby" ? "standby" : "candidate";
  const words = `v${version.version} has read ${floorPercent(share)}, ${count(behind)} offsets behind the end`;
  return h(
    "div.lane",
    { "data-key": `lane-${version.version}`, class: chosen ? "chosen" : "" },
    h(
      "div.lane-name",
      h(
        "button.pick",
        { type: "button", onclick: () => pick(version.version), "aria-pressed": String(chosen) },
        `v${version.version}`,
      ),
      phase(version),
    ),
    h(
      "div.lane-draw",
      frame(
        `reader.${kind}`,
        LANE_HEIGHT,
        words,
        own.map((p, i) => stripe(p, scope, i * (each + gap), each)),
      ),
    ),
    h("div.lane-facts", facts(version, behind, share)),
  );
}

function stripe(p, scope, y, height) {
  const at = x(p.position, scope);
  return [
    piece("track", scope.from, p.target, scope, y, height),
    piece(`read${p.tier ? ` from-${p.tier}` : ""}`, scope.from, p.position, scope, y, height),
    s("line", { class: "here", x1: at, x2: at, y1: y, y2: y + height, "vector-effect": "non-scaling-stroke" }),
  ];
}

function facts(version, behind, share) {
  const { rate_per_s: rate, eta_ms: eta } = version.progress;
  if (behind === 0)
    return [h("span", "at the end"), h("small", version.lag_ms === null ? "" : `lag ${duration(version.lag_ms)}`)];
  const moving = rate > 0 && share < 1;
  return [
    h("span", `${compact(behind)} behind`),
    h(
      "small",
      moving && eta !== null
        ? `${compact(Math.round(rate))}/s · ${coarse(eta)} left`
        : `lag ${duration(version.lag_ms)}`,
    ),
  ];
}

const total = (items, of) => items.reduce((sum, item) => sum + of(item), 0);
