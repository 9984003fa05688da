// What is wrong with the page for people who do not see it, see little, or use no mouse: a list of sentences, empty where all is well.
// Written for these tests; runs in the page by WebDriver.

const wrong = [];
const shown = (node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
const label = (node) =>
  `<${node.nodeName.toLowerCase()} class="${node.getAttribute("class") ?? ""}"> ${(node.textContent ?? "").trim().slice(0, 40)}`;
const referred = (node, name) => (node.getAttribute(name) ?? "").split(/\s+/).filter(Boolean);

/** The name by which a reader of the screen tells it. */
function nameOf(node) {
  const said =
    referred(node, "aria-labelledby")
      .map((id) => document.getElementById(id)?.textContent ?? "")
      .join(" ") || node.getAttribute("aria-label");
  return (
    said ||
    [...(node.labels ?? [])].map((l) => l.textContent).join(" ") ||
    node.textContent ||
    node.getAttribute("title") ||
    ""
  ).trim();
}

for (const node of all(
  "a[href], button, input, select, textarea, summary, [role=img], [role=progressbar], [role=region], [role=option], nav, dialog",
)) {
  const own = node.matches("input, select, textarea") ? nameOf(Object.assign(node)) : nameOf(node);
  const typed =
    node.matches("input, textarea") &&
    !node.labels?.length &&
    !node.getAttribute("aria-label") &&
    !node.getAttribute("aria-labelledby");
  if (!own || typed) wrong.push(`no name: ${label(node)}`);
}
for (const node of document.querySelectorAll("svg")) {
  if (node.getAttribute("aria-hidden") !== "true" && node.getAttribute("role") !== "img")
    wrong.push(`a drawing that is neither named nor hidden: ${label(node)}`);
}

const seen = new Set();
for (const { id } of document.querySelectorAll("[id]")) {
  if (seen.has(id)) wrong.push(`two elements have the id ${id}`);
  seen.add(id);
}
for (const name of ["aria-labelledby", "aria-controls", "aria-describedby"]) {
  for (const node of all(`[${name}]`))
    for (const id of referred(node, name))
      if (!document.getElementById(id)) wrong.push(`${name} names ${id}, which there is not`);
}

const headings = all("h1, h2, h3, h4").filter((node) => node.closest("main"));
if (headings.filter((node) => node.nodeName === "H1").length !== 1)
  wrong.push(`not one h1 but ${headings.filter((n) => n.nodeName === "H1").length}`);
headings.reduce((before, node) => {
  const level = Number(node.nodeName[1]);
  if (level > before + 1) wrong.push(`a heading skips a level: ${label(node)}`);
  return level;
}, 0);
if (all("main").length !== 1) wrong.push("not one main");
if (!document.documentElement.lang) wrong.push("no language");
if (!document.title) wrong.push("no title");
if (document.querySelector(".skip")?.getAttribute("href") !== "#main") wrong.push("no way past the navigation");
for (const node of all("th")) if (!node.hasAttribute("scope")) wrong.push(`a head without a scope: ${label(node)}`);
for (const node of document.querySelectorAll("[tabindex]"))
  if (node.tabIndex > 0) wrong.push(`an order of its own: ${label(node)}`);
for (const node of all("[onclick]")) wrong.push(`a handler in the markup: ${label(node)}`);
for (const node of all(".button")) {
  const { width, height } = node.getBoundingClientRect();
  if (Math.min(width, height) < 24)
    wrong.push(`too small to hit, ${Math.round(width)} × ${Math.round(height)}: ${label(node)}`);
}
for (const node of all(".status"))
  if (!node.querySelector("svg")) wrong.push(`a state told by its colour alone: ${label(node)}`);
if (document.documentElement.scrollWidth > window.innerWidth + 1)
  wrong.push(`the page is wider than the window: ${document.documentElement.scrollWidth} > ${window.innerWidth}`);

/** [r, g, b, a] of a computed colour, 0 to 1. */
function colour(text) {
  const numbers = (text.match(/-?[\d.]+(e-?\d+)?%?/g) ?? []).map((n) =>
    n.endsWith("%") ? parseFloat(n) / 100 : Number(n),
  );
  if (text.startsWith("color(srgb")) return [...numbers.slice(0, 3), numbers[3] ?? 1];
  return [...numbers.slice(0, 3).map((n) => n / 255), numbers[3] ?? 1];
}
const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
const luminance = (rgb) =>
  rgb
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);

/** What is behind a node: all backgrounds up to the root, laid over each other. */
function ground(node) {
  const layers = [];
  for (let at = node; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
  const base = colour(getComputedStyle(document.documentElement).backgroundColor);
  return layers.reverse().reduce((below, layer) => over(layer, below), base.slice(0, 3));
}

const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const dialog = document.querySelector("dialog[open]");
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement;
  if (
    !texts.currentNode.data.trim() ||
    !shown(node) ||
    node.closest("[aria-hidden=true], :disabled, .skip, option, noscript") ||
    (dialog && !dialog.contains(node))
  )
    continue;
  const style = getComputedStyle(node);
  const behind = ground(node);
  const [light, dark] = [
    luminance(over(colour(node.namespaceURI.endsWith("svg") ? style.fill : style.color), behind)),
    luminance(behind),
  ].sort((a, b) => b - a);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < needed) wrong.push(`contrast ${ratio.toFixed(2)}: ${label(node)}`);
}

return [...new Set(wrong)];
