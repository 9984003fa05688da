// Which page the address names. Links within the console change the page without loading it again.

const PAGES = [];
let leave = new AbortController();

/** Adds a page: `pattern` as "/jobs/{job}", `show(place, {params, query, signal})`. */
export function page(pattern, title, show) {
  const names = [...pattern.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
  PAGES.push({ shape: new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, "([^/]+)")}/?$`), names, title, show });
}

/** Goes to an address of the console. */
export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  open(true);
}

/** Changes the query of the address without showing the page anew. */
export function setQuery(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "" || value === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(null, "", url);
}

/** True where the address belongs to the console. */
const isOurs = (path) => PAGES.some((page) => page.shape.test(path));

function open(moved) {
  leave.abort();
  leave = new AbortController();
  const found = PAGES.map((page) => [page, page.shape.exec(location.pathname)]).find(([, match]) => match);
  const [{ names, title, show }, match] = found ?? [PAGES[0], []];
  const params = Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(match[i + 1])]));
  const place = document.getElementById("main");
  place.replaceChildren();
  document.title = `${title(params)} · Rekap`;
  show(place, { params, query: new URLSearchParams(location.search), signal: leave.signal });
  window.dispatchEvent(new Event("rekap:page"));
  if (moved) {
    window.scrollTo(0, 0);
    place.focus({ preventScroll: true });
  }
}

/** Starts: shows the page of the address, and follows links and the browser's buttons. */
export function start() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.target || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !isOurs(to.pathname) || to.hash) return;
    event.preventDefault();
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    go(to.pathname + to.search);
  });
  window.addEventListener("popstate", () => open(true));
  open(false);
}
