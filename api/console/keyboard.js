// The keyboard: single keys, "g" and a letter, and a list of everything that one can go to.

import { dialog } from "./dialog.js";
import { h } from "./dom.js";
import { go } from "./router.js";
import { nextTheme } from "./themes.js";
import { world } from "./world.js";

const SHORTCUTS = [
  ["g then o", "Overview", () => go("/")],
  ["g then s", "SQL", () => go("/sql")],
  ["g then h", "History", () => go("/history")],
  ["g then d", "Deploy", () => go("/deploy")],
  [
    "t",
    "Next theme",
    () => {
      nextTheme();
      window.dispatchEvent(new Event("rekap:page"));
    },
  ],
  [
    "/",
    "Focus the first field of the page",
    () => document.querySelector("#main :is(input, textarea, select)")?.focus(),
  ],
  ["Ctrl K", "Go to a job, a topic, a page", showPalette],
  ["Ctrl Enter", "Run the query (on the SQL page)", null],
  ["Esc", "Close a dialog", null],
  ["?", "This list", showShortcuts],
];

const SECOND_KEY_MS = 1200;

/** Listens. */
export function keyboard() {
  let since = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      showPalette();
      return;
    }
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "g") {
      since = event.timeStamp;
      return;
    }
    const name = since && event.timeStamp - since < SECOND_KEY_MS ? `g then ${event.key}` : event.key;
    since = 0;
    const act = SHORTCUTS.find(([keys]) => keys === name)?.[2];
    if (act) {
      event.preventDefault();
      act();
    }
  });
}

/** The list of shortcuts. */
export function showShortcuts() {
  dialog("Keyboard", (self) => [
    h(
      "dl.shortcuts",
      SHORTCUTS.map(([keys, what]) =>
        h(
          "div",
          h(
            "dt",
            keys.split(" ").map((k) => (k === "then" ? " then " : h("kbd", k))),
          ),
          h("dd", what),
        ),
      ),
    ),
    h("div.dialog-actions", h("button.button", { type: "button", onclick: self.close }, "Close")),
  ]);
}

const places = () => [
  ...["Overview /", "SQL /sql", "History /history", "Deploy /deploy"]
    .map((p) => p.split(" "))
    .map(([name, href]) => ({ name, href, kind: "page" })),
  ...(world.jobs ?? []).flatMap((j) => [
    { name: j.job, href: `/jobs/${j.job}`, kind: "job" },
    { name: j.job, href: `/tables/${j.job}`, kind: "table" },
  ]),
  ...(world.topics ?? []).map((t) => ({ name: t.topic, href: `/topics/${t.topic}`, kind: "topic" })),
];

/** Everything by name; typing narrows it, Enter goes there. */
export function showPalette() {
  if (document.querySelector("dialog[open]")) return;
  let typed = "";
  let at = 0;
  const matching = () =>
    places()
      .filter(({ name, kind }) => `${name} ${kind}`.toLowerCase().includes(typed.toLowerCase()))
      .slice(0, 12);
  const open = (place) => {
    box.close();
    if (place) go(place.href);
  };
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      at = (at + step + matching().length) % Math.max(matching().length, 1);
      box.redraw();
    }
    if (event.key === "Enter") {
      event.preventDefault();
      open(matching()[at]);
    }
  };
  const box = dialog("Go to", () => [
    h("input", {
      type: "text",
      role: "combobox",
      "aria-label": "Job, topic, table or page",
      "aria-expanded": "true",
      "aria-controls": "palette-list",
      "aria-activedescendant": `palette-${at}`,
      autocomplete: "off",
      placeholder: "job, topic, table or page",
      oninput: (e) => {
        typed = e.target.value;
        at = 0;
        box.redraw();
      },
      onkeydown: keys,
      value: typed,
    }),
    h(
      "ul.palette",
      { id: "palette-list", role: "listbox", "aria-label": "Places" },
      matching().map((place, i) =>
        h(
          "li",
          {
            id: `palette-${i}`,
            role: "option",
            "aria-selected": String(i === at),
            onclick: () => open(place),
          },
          h("span", place.name),
          h("small", place.kind),
        ),
      ),
    ),
  ]);
}
