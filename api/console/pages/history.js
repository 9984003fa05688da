// What happened: to one job, or to all of them. The newest first, as far back as one cares to look.

import { get, paths } from "../api.js";
import { draw, h } from "../dom.js";
import { timeline } from "../events.js";
import { plural } from "../format.js";
import { button, choice, commandLine, empty, facts, failure, field, panel, waiting } from "../parts.js";
import { every } from "../poll.js";
import { setQuery } from "../router.js";
import { sign } from "../status.js";
import { world } from "../world.js";

const PAGE = 50;
const EVERY_MS = 3000;
/** The book-keeping of repeated requests is no news to people. */
const NO_NEWS = "request.answered";
const KINDS = [
  ["", "everything"],
  ["job.", "promotions, rollbacks and policy"],
  ["version.deployed", "deploys"],
  ["version.verified", "comparisons"],
  ["version.failed", "failures"],
  ["schedule.", "schedules"],
];

export function history(place, { query, signal }) {
  const state = {
    job: query.get("job") ?? "",
    kind: query.get("kind") ?? "",
    events: null,
    next: null,
    error: null,
    audit: null,
    checking: false,
  };
  const render = () => draw(place, ...content(state, actions));
  const path = (cursor = null) =>
    `${state.job ? `${paths.job(state.job)}/history` : "/v1/audit"}?first=newest&limit=${PAGE}${cursor === null ? "" : `&cursor=${cursor}`}`;
  const guarded = (task) => async () => {
    try {
      await task();
      state.error = null;
    } catch (error) {
      if (error.name === "AbortError") return;
      state.error = error;
    }
    if (!signal.aborted) render();
  };
  const newest = guarded(async () => {
    const page = await get(path(), { signal });
    const known = state.events?.[0]?.seq ?? 0;
    const fresh = page.events.filter((e) => e.seq > known);
    if (!state.events || fresh.length === PAGE)
      Object.assign(state, { events: page.events, next: page.next_cursor ?? null });
    else state.events = [...fresh, ...state.events];
  });
  const look = every(EVERY_MS, newest, signal);
  const actions = {
    choose: (part, value) => {
      state[part] = value;
      setQuery({ [part]: value });
      if (part === "job") {
        state.events = null;
        look();
      }
      render();
    },
    more: guarded(async () => {
      const page = await get(path(state.next), { signal });
      Object.assign(state, { events: [...state.events, ...page.events], next: page.next_cursor ?? null });
    }),
    check: guarded(async () => {
      state.checking = true;
      render();
      state.audit = await get("/v1/audit/verify", { signal }).finally(() => {
        state.checking = false;
      });
    }),
  };
  world.addEventListener("change", render, { signal });
  render();
}

function content(state, actions) {
  const { events, error, job, kind, audit } = state;
  const shown = (events ?? []).filter((e) => e.type !== NO_NEWS && (e.type ?? "").startsWith(kind));
  const jobs = [["", "all jobs"], ...(world.jobs ?? []).map((j) => [j.job, j.job])];
  if (job && !jobs.some(([name]) => name === job)) jobs.push([job, job]);
  return [
    h(
      "header.head",
      h("h1", "History"),
      h("p.lead", "Every change to a job is an event in a chain that nobody can rewrite unseen."),
    ),
    h(
      "div.filters",
      field(
        "Job",
        choice(jobs, job, (value) => actions.choose("job", value)),
      ),
      field(
        "What",
        choice(KINDS, kind, (value) => actions.choose("kind", value)),
      ),
      button(state.checking ? "Checking …" : "Check the chain", { onclick: actions.check, disabled: state.checking }),
    ),
    audit && chain(audit),
    error && failure(error),
    panel(
      "Events",
      { note: events ? plural(shown.length, "event") : null },
      !events
        ? waiting("events")
        : shown.length
          ? timeline(shown, { jobs: !job })
          : empty("Nothing happened yet", "A deploy is the first event:", "rekap deploy DIR"),
      state.next !== null && h("div.pager", button("Older events", { onclick: actions.more })),
    ),
    commandLine(job ? `rekap history ${job}` : "rekap audit"),
  ];
}

function chain(audit) {
  const plain = Object.entries(audit).filter(([, value]) => value !== null && typeof value !== "object");
  return h(
    "div.chain",
    { role: "status" },
    audit.broken
      ? sign("cross", "bad", `The chain is broken at event ${audit.broken.seq}: ${audit.broken.detail}`)
      : sign("check", "good", "The chain holds: no event was changed, added or taken out"),
    facts(
      plain.map(([name, value]) => [
        name.replaceAll("_", " "),
        typeof value === "string" ? h("code.long", value) : String(value),
      ]),
    ),
  );
}
