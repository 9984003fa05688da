// A job: its versions over the log, the proof and the comparison of the one looked at, what can be done, and what happened.

import { get, paths, Problem } from "../api.js";
import { draw, h } from "../dom.js";
import { timeline } from "../events.js";
import { plural } from "../format.js";
import { empty, failure, panel, waiting } from "../parts.js";
import { everyInto } from "../poll.js";
import { setQuery } from "../router.js";
import { isLive } from "../status.js";
import { follow } from "../stream.js";
import { readDeadLetters } from "../job/deadletters.js";
import { drill } from "../job/drill.js";
import { lanes } from "../job/lanes.js";
import { head } from "../job/head.js";
import { oneVersion } from "../job/version.js";
import { versions } from "../job/versions.js";

const EVERY_MS = 1000;
/** Events shown below; the history page has all. */
const EVENTS = 12;
/** Finished versions that are still listed. */
const FINISHED = 6;

export function job(place, { params, query, signal }) {
  const state = {
    name: params.job,
    chosen: Number(query.get("version")) || null,
    job: null,
    views: [],
    topics: [],
    spec: null,
    specOf: null,
    events: [],
    letters: null,
    error: null,
  };
  const render = () => draw(place, ...content(state, actions));
  const look = everyInto(state, EVERY_MS, () => read(state, signal), render, signal);
  const actions = {
    look,
    pick: (n) => {
      state.chosen = n;
      setQuery({ version: n });
      look();
      render();
    },
  };
  render();
  followEvents(state, look, signal);
}

async function read(state, signal) {
  const job = await get(paths.job(state.name), { signal });
  const finished = job.versions.slice(-FINISHED);
  const wanted = [...new Set([job.serving, job.standby, state.chosen, ...finished])]
    .filter((n) => job.versions.includes(n))
    .sort((a, b) => a - b);
  const views = await Promise.all(wanted.map((n) => get(paths.version(state.name, n), { signal })));
  const names = [...new Set(views.filter(isLive).flatMap((v) => v.progress.partitions.map((p) => p.topic)))];
  const topics = await Promise.all(names.map((topic) => get(paths.topic(topic), { signal })));
  Object.assign(state, { job, views, topics });
  state.letters = await readDeadLetters(state.name, looked(state), state.letters, signal);
  const shown = looked(state)?.version ?? null;
  if (shown !== null && state.specOf !== shown) {
    state.spec = await get(`${paths.version(state.name, shown)}/spec`, { signal });
    state.specOf = shown;
  }
}

/** The version that is looked at: the chosen one, else the newest on its way, else what serves. */
function looked({ chosen, views, job }) {
  return (
    views.find((v) => v.version === chosen) ??
    views.findLast((v) => v.role === "Candidate") ??
    views.find((v) => v.version === job?.serving) ??
    views.at(-1) ??
    null
  );
}

async function followEvents(state, look, signal) {
  const page = await get(`${paths.job(state.name)}/history?first=newest&limit=${EVENTS}`, { signal }).catch(() => null);
  if (!page) return;
  state.events = page.events;
  look();
  follow(
    `${paths.job(state.name)}/events`,
    page.events[0]?.seq ?? 0,
    ({ data }) => {
      state.events = [data, ...state.events].slice(0, EVENTS);
      look();
    },
    signal,
  );
}

function content(state, actions) {
  const { name, job, error } = state;
  if (!job) {
    if (error instanceof Problem && error.status === 404)
      return [
        h("h1", name),
        empty(
          `There is no job ${name}`,
          "It was deleted, or never deployed. Deploy it from its folder:",
          "rekap deploy DIR",
        ),
      ];
    return [h("h1", name), error ? failure(error) : waiting(`job ${name}`)];
  }
  const version = looked(state);
  const live = state.views.filter(isLive);
  return [
    head(state, version, actions),
    error && failure(error),
    panel(
      "Versions over the log",
      { note: "Every version reads the same log; the seam is where the cold tier ends." },
      live.length
        ? lanes(state.topics, live, version?.version, actions.pick)
        : empty("No version reads", "All are retired or given up. Deploy one:", `rekap deploy ${name}`),
    ),
    version && oneVersion(state, version, actions),
    drill(job, actions.look),
    panel(
      "All versions",
      { note: `${plural(job.versions.length, "version")} so far` },
      versions(state, version, actions),
    ),
    panel(
      "What happened",
      { actions: [h("a", { href: `/history?job=${name}` }, "All history")] },
      timeline(state.events),
    ),
  ];
}
