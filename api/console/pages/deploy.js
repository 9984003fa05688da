// A deploy: the two files of a job, what they would do, and then the button.

import { get, paths, post, Problem } from "../api.js";
import { draw, h } from "../dom.js";
import { editor, placeOf, pointer } from "../editor.js";
import { button, choice, failure, field } from "../parts.js";
import { go } from "../router.js";
import { toast } from "../toast.js";
import { parseToml, writeToml } from "../toml.js";
import { world } from "../world.js";
import { planReport } from "../plan.js";

const TEMPLATE = `name = "my_job"

[inputs.events]
topic = "events"

[promote]
max_lag = "1s"
ready_for = "5s"
rollback_window = "24h"
`;
const QUERY = "SELECT\n    count(*) AS n\nFROM events\n";

export function deploy(place, { query, signal }) {
  const state = {
    toml: TEMPLATE,
    sql: QUERY,
    job: query.get("job") ?? "",
    note: "",
    rebuild: false,
    plan: null,
    error: null,
    busy: null,
  };
  const render = () => draw(place, ...content(state, actions));
  const changed = (part, value) => {
    state[part] = value;
    state.plan = null;
    state.error = null;
    render();
  };
  const attempt = (what, task) => async () => {
    Object.assign(state, { busy: what, error: null });
    render();
    try {
      await task();
    } catch (error) {
      state.error = error;
    }
    state.busy = null;
    if (!signal.aborted) render();
  };
  const actions = {
    changed,
    note: (value) => {
      state.note = value;
    },
    take: attempt("take", async () => {
      if (state.job) await take(state);
    }),
    choose: (job) => {
      state.job = job;
      actions.take();
    },
    plan: attempt("plan", async () => {
      const body = bodyOf(state);
      state.plan = await post(`${paths.job(body.spec.name)}/plan`, body);
    }),
    deploy: attempt("deploy", async () => {
      const body = bodyOf(state);
      const done = await post(
        `${paths.job(body.spec.name)}/versions`,
        state.note.trim() ? { ...body, note: state.note.trim() } : body,
      );
      toast(
        done.policy_changed
          ? "The policy changed; no new version"
          : done.created
            ? `${done.job}@${done.version} is deployed and replays`
            : `${done.job}@${done.version} is that already`,
      );
      world.refresh();
      go(`/jobs/${done.job}?version=${done.version}`);
    }),
  };
  world.addEventListener("change", render, { signal });
  if (state.job) actions.take();
  else render();
}

/** Starts from what the newest version of a job is made of. */
async function take(state) {
  const job = await get(paths.job(state.job));
  const { spec, query } = await get(`${paths.version(state.job, job.versions.at(-1))}/spec`);
  Object.assign(state, { toml: `${writeToml(spec)}\n`, sql: query, plan: null });
}

function bodyOf({ toml, sql, rebuild }) {
  const spec = toml.trim().startsWith("{") ? JSON.parse(toml) : parseToml(toml);
  delete spec.query;
  if (!spec.name) throw new Error('job.toml: `name` is missing; write name = "my_job"');
  return rebuild ? { spec, query: sql, rebuild } : { spec, query: sql };
}

function content(state, actions) {
  const { plan, error, busy } = state;
  const place = placeOf(error) ?? plan?.refusal?.place ?? null;
  const inQuery = place && !(error instanceof Problem && error.code === "INVALID_SPEC") ? place : null;
  return [
    h(
      "header.head",
      h("h1", "Deploy"),
      h(
        "p.lead",
        "Paste a job folder's two files, look at what they would do, then deploy. Nothing that serves is touched until a promotion.",
      ),
    ),
    world.jobs?.length > 0 &&
      h(
        "div.filters",
        field(
          "Start from",
          choice([["", "an empty job"], ...world.jobs.map((j) => [j.job, j.job])], state.job, actions.choose),
        ),
      ),
    h(
      "div.two",
      h(
        "section.panel",
        h("h2", "job.toml"),
        editor({
          id: "toml",
          label: "job.toml",
          value: state.toml,
          rows: 14,
          language: "TOML",
          onchange: (v) => actions.changed("toml", v),
          onrun: actions.plan,
        }),
      ),
      h(
        "section.panel",
        h("h2", "query.sql"),
        editor({
          id: "sql",
          label: "query.sql",
          value: state.sql,
          rows: 14,
          onchange: (v) => actions.changed("sql", v),
          onrun: actions.plan,
          place: inQuery,
        }),
      ),
    ),
    error && [failure(error), pointer(state.sql, inQuery)],
    h(
      "div.actions.below",
      button(busy === "plan" ? "Planning …" : "Show the plan", {
        kind: plan ? "" : "primary",
        disabled: Boolean(busy),
        onclick: actions.plan,
      }),
      plan &&
        !plan.refusal && [
          h(
            "label.field.inline",
            h("span", "Note"),
            h("input", {
              type: "text",
              placeholder: "why (optional)",
              maxlength: 500,
              value: state.note,
              oninput: (e) => actions.note(e.target.value),
            }),
          ),
          button(busy === "deploy" ? "Deploying …" : verbOf(plan, state), {
            kind: "primary",
            disabled: Boolean(busy) || (!plan.changes && !state.rebuild),
            onclick: actions.deploy,
          }),
          h(
            "label.check",
            h("input", {
              type: "checkbox",
              checked: state.rebuild,
              onchange: (e) => {
                state.rebuild = e.target.checked;
                actions.changed("rebuild", e.target.checked);
              },
            }),
            h("span", "Make a new version even if nothing changed"),
          ),
        ],
    ),
    plan && planReport(plan, state.sql),
  ];
}

const verbOf = (plan, { rebuild }) =>
  plan.policy_only && !rebuild ? "Change the policy" : plan.version === null ? "Deploy" : `Deploy v${plan.version}`;
