// A question before something is done: what will happen, in words, then one button that says so.

import { draw, h } from "./dom.js";
import { button, failure } from "./parts.js";

let opened = 0;

/** Shows a dialog drawn by `content(dialog)`; `dialog.redraw()` draws it anew, `dialog.close()` ends it. */
export function dialog(title, content) {
  opened += 1;
  const id = `dialog-${opened}`;
  const body = h("div.dialog-body");
  const node = h("dialog.dialog", { "aria-labelledby": id }, h("h2", { id }, title), body);
  const self = {
    node,
    redraw: () => draw(body, content(self)),
    close: () => node.close(),
  };
  node.onclose = () => node.remove();
  node.onclick = (e) => {
    if (e.target === node) node.close();
  };
  document.body.append(node);
  self.redraw();
  node.showModal();
  return self;
}

/**
 * Asks, then does. `what.explain(state)` gives the content, `what.act(state)` does it and may throw; a rejection stays in the dialog,
 * drawn by `what.refused(error, state)` where that knows more than the rejection says. `state.redraw` draws the dialog again.
 */
export function confirm(what) {
  const state = { note: "", busy: false, error: null, ...what.state };
  const act = async () => {
    Object.assign(state, { busy: true, error: null });
    self.redraw();
    try {
      const done = await what.act(state);
      self.close();
      what.done?.(done, state);
    } catch (error) {
      Object.assign(state, { busy: false, error });
      await what.failed?.(error, state);
      self.redraw();
      self.node.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
    }
  };
  const self = dialog(what.title, () => [
    what.explain(state),
    h(
      "label.field",
      h("span", "Note for the audit log"),
      h("input", {
        type: "text",
        maxlength: 500,
        autocomplete: "off",
        placeholder: "why (optional)",
        value: state.note,
        oninput: (e) => {
          state.note = e.target.value;
        },
      }),
    ),
    state.error && (what.refused?.(state.error, state) ?? failure(state.error)),
    h(
      "div.dialog-actions",
      button("Cancel", { onclick: () => self.close() }),
      button(state.busy ? "Working …" : what.verb(state), {
        kind: what.danger ? "danger" : "primary",
        disabled: state.busy || what.barred?.(state),
        onclick: act,
      }),
    ),
  ]);
  state.redraw = self.redraw;
  return self;
}
