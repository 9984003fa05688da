// What there is: jobs with the versions that matter, topics, and schedules. Looked at every other second for whoever shows it.

import { all, get, paths, sql, relation, quoted } from "./api.js";
import { every } from "./poll.js";

const EVERY_MS = 2000;
/** Values of a job's lag that are remembered, for its line on the overview: two minutes. */
const REMEMBERED = 60;
/** How often the newest time in a table is asked for, and of how large a table at most. */
const FRESH_EVERY_MS = 10_000;
const FRESH_MAX_ROWS = 500_000;

export const world = Object.assign(new EventTarget(), {
  jobs: null,
  topics: null,
  schedules: [],
  error: null,
  refresh: () => {},
});

const lags = new Map();
const fresh = new Map();

/** The last values of the serving version's lag, in ms. */
export const lagsOf = (job) => lags.get(job) ?? [];

/** The newest `time` in the served table, where the job has one. */
export const freshnessOf = (job) => fresh.get(job)?.value ?? null;

/** Looks from now on, as long as the console is open. */
export function watchWorld() {
  const look = async () => {
    try {
      const [jobs, topics, schedules] = await Promise.all([
        all("/v1/jobs", "jobs"),
        all("/v1/topics", "topics"),
        // Who may see some jobs only may not see what is done to all of them.
        all("/v1/schedules", "schedules").catch((error) => (error.status === 403 ? [] : Promise.reject(error))),
      ]);
      world.jobs = await Promise.all(jobs.map(withVersions));
      world.topics = topics;
      world.schedules = schedules;
      world.error = null;
      world.jobs.forEach(remember);
    } catch (error) {
      world.error = error;
    }
    world.dispatchEvent(new Event("change"));
    if (world.error) throw world.error;
    world.jobs.forEach(lookHowFresh);
  };
  world.refresh = every(EVERY_MS, look, new AbortController().signal);
}

/** The versions of a job that people look at first: what serves, what a rollback goes to, and the two newest. */
async function withVersions(job) {
  const wanted = [...new Set([job.serving, job.standby, ...job.versions.slice(-2)])]
    .filter((n) => n !== null)
    .sort((a, b) => a - b);
  const views = await Promise.all(wanted.map((n) => get(paths.version(job.job, n)).catch(() => null)));
  const found = views.filter(Boolean);
  return {
    ...job,
    views: found,
    serves: found.find((v) => v.version === job.serving) ?? null,
    candidate: found.findLast((v) => v.role === "Candidate" && !v.rolled_back) ?? null,
  };
}

function remember(job) {
  const lag = job.serves?.lag_ms;
  if (lag === null || lag === undefined) return;
  lags.set(job.job, [...lagsOf(job.job), lag].slice(-REMEMBERED));
}

async function lookHowFresh(job) {
  const known = fresh.get(job.job) ?? { at: 0, version: null, time: null, value: null };
  const serving = job.serves;
  if (!serving || Date.now() - known.at < FRESH_EVERY_MS || serving.rows > FRESH_MAX_ROWS) return;
  fresh.set(job.job, { ...known, at: Date.now() });
  try {
    const time =
      known.version === serving.version
        ? known.time
        : ((await get(`${paths.version(job.job, serving.version)}/spec`)).spec.time ?? null);
    const rows = time ? await sql(`SELECT max(${quoted(time)}) AS newest FROM ${relation(job.job)}`) : [];
    fresh.set(job.job, { at: Date.now(), version: serving.version, time, value: rows[0]?.newest ?? null });
    world.dispatchEvent(new Event("change"));
  } catch {
    // The next look asks again; the column stays as it was.
  }
}
