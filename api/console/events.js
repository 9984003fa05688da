// Events of the catalog as sentences.

import { count, duration, plural, positions, time } from "./format.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { told } from "./parts.js";

const TELL = {
  "version.deployed": (e) => ["ring", "quiet", `v${e.version} deployed`],
  "version.started": (e) => [
    "half",
    "quiet",
    `v${e.version} started reading${e.attempt > 1 ? `, attempt ${e.attempt}` : ""}`,
  ],
  "version.table_lost": (e) => ["triangle", "warn", `v${e.version} lost its table; it is built again`],
  "version.rebuilt": (e) => ["check", "good", `v${e.version} is back where the log ends`],
  "version.replayed": (e) => [
    "half",
    "busy",
    `v${e.version} replays into a fresh table, attempt ${e.attempt}, from ${positions(e.start)}`,
  ],
  "version.ready": (e) => ["check", "ready", `v${e.version} is ready`],
  "version.not_ready": (e) => ["ring", "quiet", `v${e.version} is no longer ready: ${e.reason}`],
  "version.verification_asked": (e) => ["half", "quiet", `v${e.version}: a comparison was asked for`],
  "version.verified": (e) => [
    { pass: "check", fail: "cross" }[e.verdict] ?? "triangle",
    { pass: "good", fail: "bad" }[e.verdict] ?? "warn",
    compared(e),
  ],
  "version.failed": (e) => ["cross", "bad", `v${e.version} failed: ${failureOf(e.reason)}`],
  "version.armed": (e) => ["check", "calm", `v${e.version} will be promoted as soon as it is ready`],
  "version.approved": (e) => ["check", "calm", `v${e.version} approved; it is promoted once somebody else asks for it too`],
  "version.aborted": (e) => ["dash", "quiet", `v${e.version} given up`],
  "version.paused": (e) => ["pause", "warn", `v${e.version} paused`],
  "version.resumed": (e) => ["half", "quiet", `v${e.version} resumed`],
  "version.retired": (e) => ["dash", "quiet", `v${e.version} retired: ${e.reason}`],
  "job.promoted": (e) => [
    "arrow",
    "good",
    `v${e.to} promoted${e.from === null || e.from === undefined ? "; nothing served before" : ` over v${e.from}`}, readers held ${duration(e.held_ms)}${e.forced?.length ? `; waived: ${e.forced.join(", ")}` : ""}`,
  ],
  "job.rolled_back": (e) => [
    "back",
    "warn",
    `rolled back from v${e.from} to v${e.to} in ${duration(e.held_ms)}${stepped(e)}`,
  ],
  "group.approved": (e) => ["check", "calm", `group ${e.group} approved; it is promoted once somebody else asks for it too`],
  "group.promoted": (e) => ["arrow", "good", `group ${e.group} promoted: ${moved(e.swaps)}`],
  "group.rolled_back": (e) => ["back", "warn", `group ${e.group} rolled back: ${moved(e.swaps)}`],
  "job.watch_passed": (e) => ["check", "good", `v${e.version} held what its watch asks for`],
  "job.watch_failed": (e) => ["cross", "bad", `v${e.version} did not hold what its watch asks for: ${e.reason}`],
  "topic.created": (e) => ["check", "calm", `topic ${e.topic} made, with ${plural(e.partitions, "partition")}`],
  "topic.changed": (e) => ["ring", "quiet", `topic ${e.topic} changed`],
  "topic.deleted": (e) => ["cross", "bad", `topic ${e.topic} deleted`],
  "topic.lost": (e) => ["cross", "bad", `topic ${e.topic} is not in the log any more, and nobody deleted it`],
  "topic.appended": (e) => ["check", "quiet", `${e.appended} records appended to topic ${e.topic}`],
  "topic.mirrored": (e) => ["check", "quiet", `topic ${e.topic} mirrored up to its end`],
  "job.policy_changed": () => ["ring", "quiet", "the policy of promotion changed"],
  "job.frozen": (e) => ["pause", "warn", `frozen until ${time(e.until)}`],
  "job.rollback_window_set": (e) => ["target", "calm", `former versions are kept warm until ${time(e.until)}`],
  "job.deleted": () => ["cross", "bad", "job deleted"],
  "job.drilled": (e) => [
    { pass: "check", fail: "cross" }[e.verdict] ?? "triangle",
    { pass: "good", fail: "bad" }[e.verdict] ?? "warn",
    `v${e.version} drilled over ${plural(e.records, "record")} – ${e.verdict}${e.reason ? `: ${e.reason}` : ""}`,
  ],
  "job.actions_dropped": (e) => ["triangle", "warn", `messages of v${e.version} given up, ${count(e.dropped)} so far: ${e.reason}`],
  "schedule.set": (e) => ["ring", "quiet", `schedule ${e.schedule}: ${e.says}`],
  "schedule.ran": (e) => [
    { done: "check", failed: "cross" }[e.outcome] ?? "triangle",
    { done: "quiet", failed: "bad" }[e.outcome] ?? "warn",
    `schedule ${e.schedule} ${e.outcome}: ${e.detail}`,
  ],
  "token.created": (e) => ["check", "calm", `token ${e.id} made for ${e.name}, ${e.role}`],
  "token.revoked": (e) => ["cross", "warn", `token ${e.id} revoked`],
  "request.answered": () => ["ring", "quiet", "a request was answered that changed nothing"],
};

const moved = (swaps = []) => swaps.map((swap) => `${swap.job} to v${swap.to}`).join(", ");

function compared(e) {
  const { same = 0, changed = 0, added = 0, removed = 0 } = e.counts ?? {};
  const rows = e.counts
    ? `: ${count(same)} same, ${count(changed)} changed, ${count(added)} added, ${count(removed)} removed`
    : "";
  return `v${e.version} compared${e.against ? ` with v${e.against}` : ""} – ${e.verdict}${rows}${e.reason ? ` (${e.reason})` : ""}`;
}

const failureOf = (reason) =>
  typeof reason === "string" ? reason : (reason?.detail ?? reason?.code ?? JSON.stringify(reason));

function stepped({ stepped_back: back }) {
  const n = Object.values(back ?? {})
    .flatMap((p) => Object.values(p))
    .reduce((a, b) => a + b, 0);
  return n ? `; ${plural(n, "offset")} stepped back` : "; no reader went back in time";
}

/** The shape, the tone and the words of an event. */
export const tell = (event) => TELL[event.type]?.(event) ?? ["ring", "quiet", event.type];

/** A list of events, the newest first. */
export const timeline = (events, { jobs = false } = {}) =>
  h(
    "ol.timeline",
    events.map((event) => {
      const [shape, tone, words] = tell(event);
      return h(
        "li",
        { "data-key": `event-${event.seq}`, class: tone },
        h("span.status", { class: tone }, icon(shape)),
        h(
          "div",
          h(
            "p",
            jobs && event.job && [h("a", { href: `/jobs/${event.job}` }, event.job), " "],
            told(words),
            event.note && h("q", event.note),
          ),
          h(
            "small",
            h("time", { datetime: event.at }, time(event.at)),
            ` · ${event.actor} · #${event.seq} · ${event.type}`,
          ),
        ),
      );
    }),
  );
