// The overview: what needs somebody, then every job and every topic in a line each.

import { ago, coarse, compact, count, duration, floorPercent, plural, progress, shortTime } from "../format.js";
import { draw, h } from "../dom.js";
import { empty, failure, grid, meter, panel, spark, told, waiting } from "../parts.js";
import { tierBar } from "../tiers.js";
import { broken, schedules } from "../schedules.js";
import { isBusy, phase, sign } from "../status.js";
import { freshnessOf, lagsOf, world } from "../world.js";

/** Headroom below this is worth a line at the top. */
const SHORT_HEADROOM_MS = 3_600_000;

export function overview(place, { signal }) {
  const render = () => draw(place, ...content());
  world.addEventListener("change", render, { signal });
  render();
}

function content() {
  if (!world.jobs) return [h("h1", "Overview"), world.error ? failure(world.error) : waiting("jobs and topics")];
  return [
    h("header.head", h("h1", "Overview"), h("p.lead", summary())),
    attention(),
    panel(
      "Jobs",
      { actions: [h("a.button", { href: "/deploy" }, "Deploy a job")] },
      world.jobs.length
        ? jobs()
        : empty(
            "No job yet",
            "A job is one SQL query over topics, kept up to date in a table. Deploy the example, or a folder of your own:",
            "rekap apply docs/examples/bitcoin-price-index",
          ),
    ),
    panel(
      "Topics",
      {},
      world.topics.length
        ? topics()
        : empty(
            "No topic yet",
            "A topic is where events go in. Make one, then append events to it:",
            "rekap topic create ticks --partitions 4 --key currency",
          ),
    ),
    world.schedules.length > 0 &&
      panel("Schedules", { note: "What the server does by itself; times are UTC." }, schedules(world.schedules)),
  ];
}

function summary() {
  const { jobs, topics } = world;
  if (!jobs.length && !topics.length) return "Nothing here yet. The first steps are below.";
  const serving = jobs.filter((j) => j.serves).length;
  const moving = jobs.filter((j) => j.candidate && isBusy(j.candidate)).length;
  return [
    `${plural(jobs.length, "job")}, ${serving} serving`,
    moving ? `${moving} on the way` : null,
    plural(topics.length, "topic"),
  ]
    .filter(Boolean)
    .join(" · ");
}

function attention() {
  const points = [
    ...world.jobs.flatMap(pointsOfJob),
    ...world.topics.flatMap(pointsOfTopic),
    ...broken(world.schedules).map(pointOfSchedule),
  ];
  if (!points.length) return world.jobs.length ? h("p.allclear", sign("tick", "good", "Nothing needs you")) : null;
  return h(
    "ul.attention",
    { "aria-label": "What needs you" },
    points.map(([tone, shape, words, href, what]) =>
      h("li", { class: tone }, sign(shape, tone, told(words)), h("a", { href }, what)),
    ),
  );
}

function pointsOfJob(job) {
  const points = [];
  const href = `/jobs/${job.job}`;
  const { serves, candidate, rollback } = job;
  if (candidate?.phase === "Ready")
    points.push([
      "ready",
      "check",
      `${job.job}@${candidate.version} is ready to take over`,
      `${href}?version=${candidate.version}`,
      "Look and promote",
    ]);
  if (candidate?.phase === "Failed")
    points.push([
      "bad",
      "cross",
      `${job.job}@${candidate.version} failed: ${candidate.reason ?? ""}`,
      `${href}?version=${candidate.version}`,
      "See why",
    ]);
  if (candidate?.verification?.verdict && candidate.verification.verdict !== "pass" && candidate.phase !== "Failed")
    points.push([
      "warn",
      "triangle",
      `${job.job}@${candidate.version}: the comparison says ${candidate.verification.verdict}`,
      `${href}?version=${candidate.version}`,
      "Decide",
    ]);
  if (serves?.run === "Failed")
    points.push([
      "bad",
      "triangle",
      `${job.job}@${serves.version} serves, but stands still: ${serves.reason ?? ""}`,
      href,
      "See why",
    ]);
  if (rollback.to !== null && !rollback.possible)
    points.push(["warn", "triangle", `${job.job} cannot be rolled back: ${rollback.why_not}`, href, "Look"]);
  if (job.drill?.verdict === "fail")
    points.push(["bad", "cross", `${job.job}@${job.drill.version}: history does not give what is served`, href, "See"]);
  if (serves?.dead_letters)
    points.push([
      "warn",
      "triangle",
      `${job.job}@${serves.version} has ${plural(serves.dead_letters, "dead letter")}`,
      `${href}?version=${serves.version}`,
      "Look",
    ]);
  return points;
}

const pointOfSchedule = ({ schedule, runs: [last] }) => [
  last.outcome === "failed" ? "bad" : "warn",
  last.outcome === "failed" ? "cross" : "triangle",
  `${schedule} ${last.outcome === "failed" ? "failed" : "was missed"}: ${last.detail}`,
  "/history?kind=schedule.",
  "See what happened",
];

function pointsOfTopic(topic) {
  const lost = topic.partitions.flatMap((p) => p.gaps).reduce((sum, [from, to]) => sum + to - from, 0);
  const headroom = lowestHeadroom(topic);
  const href = `/topics/${topic.topic}`;
  const points = [];
  if (lost)
    points.push([
      "warn",
      "triangle",
      `${topic.topic}: ${plural(lost, "record")} lost before they were mirrored`,
      href,
      "See the gaps",
    ]);
  if (headroom !== null && headroom < SHORT_HEADROOM_MS)
    points.push([
      "warn",
      "triangle",
      `${topic.topic}: retention reaches what is not mirrored in ${duration(headroom)}`,
      href,
      "Mirror now",
    ]);
  return points;
}

const lowestHeadroom = (topic) =>
  topic.partitions
    .map((p) => p.mirror_headroom_ms)
    .filter((ms) => ms !== null)
    .reduce((a, b) => (a === null ? b : Math.min(a, b)), null);

const jobs = () =>
  grid(
    "Jobs",
    [
      { head: "Job", lead: true, cell: (j) => h("a.name", { href: `/jobs/${j.job}` }, j.job) },
      {
        head: "Serving",
        cell: (j) =>
          j.serves
            ? h("span.pair", h("b.v", `v${j.serves.version}`), phase(j.serves))
            : sign("ring", "quiet", "nothing"),
      },
      { head: "On the way", cell: candidateCell },
      {
        head: "Lag",
        kind: "num",
        cell: (j) =>
          h(
            "span.lag",
            spark(lagsOf(j.job), `Lag over the last two minutes, now ${duration(j.serves?.lag_ms)}`),
            duration(j.serves?.lag_ms),
          ),
      },
      { head: "Newest row", cell: (j) => freshCell(freshnessOf(j.job)) },
      { head: "Rollback", cell: rollbackCell },
      {
        head: "Rows",
        kind: "num",
        cell: (j) =>
          h(
            "a",
            { href: `/tables/${j.job}`, "aria-label": `${count(j.serves?.rows)} rows of ${j.job}` },
            compact(j.serves?.rows),
          ),
      },
    ],
    world.jobs,
    { key: (j) => j.job, stacks: true },
  );

function candidateCell({ job, candidate }) {
  if (!candidate) return h("span.none", "–");
  const share = progress(candidate.progress.records_done, candidate.progress.records_total);
  const replaying = ["Replaying", "CatchingUp"].includes(candidate.phase);
  return h(
    "span.pair",
    h("b.v", `v${candidate.version}`),
    phase(candidate),
    candidate.armed && h("small", "armed"),
    replaying && [
      meter(share, `${job}@${candidate.version} has read`),
      h("small", floorPercent(share), candidate.progress.eta_ms ? ` · ${coarse(candidate.progress.eta_ms)} left` : ""),
    ],
  );
}

const freshCell = (newest) =>
  newest ? h("span.stack", h("span", shortTime(newest)), h("small", ago(newest))) : h("span.none", "–");

function rollbackCell({ rollback }) {
  if (rollback.possible)
    return h(
      "span.stack",
      sign("tick", "good", `to v${rollback.to}`),
      h(
        "small",
        `${coarse(Math.max(new Date(rollback.until) - Date.now(), 0))} left, ${duration(rollback.lag_ms)} behind`,
      ),
    );
  return rollback.to === null ? h("span.none", "no former version") : sign("cross", "warn", "not possible");
}

const topics = () =>
  grid(
    "Topics",
    [
      { head: "Topic", lead: true, cell: (t) => h("a.name", { href: `/topics/${t.topic}` }, t.topic) },
      { head: "Partitions", kind: "num", cell: (t) => count(t.partitions.length) },
      { head: "Where the records are", kind: "wide", cell: (t) => tierBar(t.partitions) },
      { head: "Cold", kind: "num", cell: (t) => compact(sum(t, (p) => (p.mirrored_to ?? 0) - (p.mirrored_from ?? 0))) },
      { head: "Hot", kind: "num", cell: (t) => compact(sum(t, (p) => p.end - p.earliest)) },
      {
        head: "Headroom",
        kind: "num",
        cell: (t) => (lowestHeadroom(t) === null ? h("span.none", "no limit") : duration(lowestHeadroom(t))),
      },
      {
        head: "Gaps",
        cell: (t) => {
          const gaps = sum(t, (p) => p.gaps.length);
          return gaps ? sign("triangle", "warn", plural(gaps, "gap")) : sign("tick", "good", "none");
        },
      },
    ],
    world.topics,
    { key: (t) => t.topic, stacks: true },
  );

const sum = (topic, of) => topic.partitions.reduce((total, p) => total + of(p), 0);
