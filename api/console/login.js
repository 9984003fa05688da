// The login: a token goes to the server once, and a cookie takes its place.

import { dialog } from "./dialog.js";
import { h } from "./dom.js";
import { failure, field } from "./parts.js";
import { login } from "./session.js";

let asking = false;

/** Asks for a token, once however many requests were refused. */
export function askWhoItIs() {
  if (asking) return;
  asking = true;
  const state = { typed: "", error: null, busy: false };
  const box = dialog("This server wants to know who you are", (self) =>
    h(
      "form",
      { onsubmit: (event) => enter(event, state, self) },
      h("p", "The token is sent once; this browser then has a session of half a day, which no script of a page can read."),
      field(
        "Token",
        h("input", {
          type: "password",
          autocomplete: "off",
          required: true,
          value: state.typed,
          oninput: (event) => {
            state.typed = event.target.value;
          },
        }),
      ),
      state.error && failure(state.error),
      h(
        "div.dialog-actions",
        h("button.button.primary", { type: "submit", disabled: state.busy }, state.busy ? "Working …" : "Log in"),
      ),
    ),
  );
  box.node.addEventListener("close", () => {
    asking = false;
  });
}

async function enter(event, state, self) {
  event.preventDefault();
  Object.assign(state, { busy: true, error: null });
  self.redraw();
  try {
    await login(state.typed.trim());
    location.reload();
  } catch (error) {
    Object.assign(state, { busy: false, error });
    self.redraw();
  }
}
