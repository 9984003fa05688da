// A word about what was done, which goes by itself.

import { h } from "./dom.js";

const STAYS_MS = 6000;

/** Shows a line for a while. */
export function toast(...words) {
  const line = h("p.toast", words);
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), STAYS_MS);
}
