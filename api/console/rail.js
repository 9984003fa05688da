// The rail: where one is and where one can go, with every job's state in sight.

import { isUp } from "./api.js";
import { draw, h } from "./dom.js";
import { icon, mark } from "./icons.js";
import { showPalette, showShortcuts } from "./keyboard.js";
import { isBusy } from "./status.js";
import { logout, session, whoami } from "./session.js";
import { nextTheme, themeName } from "./themes.js";
import { floorPercent, progress } from "./format.js";
import { world } from "./world.js";

const LINKS = [
  ["/", "overview", "Overview"],
  ["/sql", "sql", "SQL"],
  ["/history", "history", "History"],
  ["/deploy", "deploy", "Deploy"],
];
const VERSION = document.querySelector("meta[name=rekap-version]")?.content ?? "";

/** Draws the rail whenever something it shows changes. */
export function rail(place) {
  const render = () =>
    draw(
      place,
      h(
        "div.brand",
        h("a", { href: "/", "aria-label": "Rekap, overview" }, mark(), h("span", "Rekap")),
        h("small", VERSION),
      ),
      h(
        "button.find",
        { type: "button", onclick: showPalette, "aria-keyshortcuts": "Control+K" },
        icon("search"),
        h("span", "Go to …"),
        h("kbd", "Ctrl K"),
      ),
      h(
        "nav",
        { "aria-label": "Pages" },
        h(
          "ul",
          LINKS.map(([href, drawing, words]) => h("li", link(href, icon(drawing), words))),
        ),
      ),
      h(
        "nav.listed",
        { "aria-label": "Jobs" },
        h("h2", "Jobs"),
        h("ul", (world.jobs ?? []).map(jobLink)),
        world.jobs?.length === 0 && h("p.none", "none yet"),
      ),
      h(
        "nav.listed",
        { "aria-label": "Topics" },
        h("h2", "Topics"),
        h(
          "ul",
          (world.topics ?? []).map((t) => h("li", link(`/topics/${t.topic}`, null, t.topic))),
        ),
        world.topics?.length === 0 && h("p.none", "none yet"),
      ),
      h(
        "footer",
        h(
          "span.link-state",
          { class: isUp() ? "good" : "bad" },
          icon(isUp() ? "disc" : "triangle"),
          isUp() ? "connected" : "no answer",
        ),
        h(
          "button.plain",
          {
            type: "button",
            onclick: () => {
              nextTheme();
              render();
            },
            "aria-label": `Theme: ${themeName()}. Change it`,
          },
          icon("sun"),
          themeName(),
        ),
        session.who?.tokens &&
          h(
            "button.plain",
            { type: "button", onclick: logout, "aria-label": `${session.who.name}, ${session.who.role}: log out` },
            `${session.who.name} · log out`,
          ),
        h(
          "button.plain",
          { type: "button", onclick: showShortcuts, "aria-keyshortcuts": "?", "aria-label": "Keyboard shortcuts" },
          h("kbd", "?"),
        ),
      ),
    );
  world.addEventListener("change", render);
  window.addEventListener("rekap:page", render);
  render();
  whoami().then(render, () => {});
}

function link(href, drawing, words, more) {
  const here = location.pathname === href;
  return h("a", { href, "aria-current": here ? "page" : null }, drawing, h("span.grow", words), more);
}

function jobLink(job) {
  const moving = job.candidate && isBusy(job.candidate);
  const share = moving ? progress(job.candidate.progress.records_done, job.candidate.progress.records_total) : 0;
  const [shape, tone, words] = stateOf(job);
  return h(
    "li",
    { "data-key": `job-${job.job}` },
    link(
      `/jobs/${job.job}`,
      null,
      job.job,
      h("span.mini", { class: tone }, moving && share < 1 ? floorPercent(share) : words, icon(shape)),
    ),
  );
}

function stateOf({ serves, candidate }) {
  if (candidate?.phase === "Failed") return ["cross", "bad", `v${candidate.version} failed`];
  if (serves?.run === "Failed") return ["triangle", "warn", `v${serves.version} stuck`];
  if (candidate?.phase === "Ready") return ["check", "ready", `v${candidate.version} ready`];
  if (candidate && isBusy(candidate)) return ["half", "busy", `v${candidate.version}`];
  if (serves) return ["disc", "good", `v${serves.version}`];
  return ["ring", "quiet", "not serving"];
}
