// Elements as functions, and a page that is drawn anew without losing its place.
//
// A page renders its whole tree from its state with `h`; `draw` changes what is there into that tree, node by node. Focus, scroll,
// open details and half-typed input survive, since nodes that stay are kept.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("a.button", {href: "/"}, "Home"). Properties that begin with "on" are handlers, false and null are left out. */
export function h(name, ...rest) {
  return build((tag) => document.createElement(tag), name, rest);
}

/** An SVG element, written the same way. */
export function s(name, ...rest) {
  return build((tag) => document.createElementNS(SVG, tag), name, rest);
}

function build(create, name, rest) {
  const [tag, ...classes] = name.split(".");
  const node = create(tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  let children = rest;
  if (isProperties(rest[0])) {
    children = rest.slice(1);
    for (const [key, value] of Object.entries(rest[0])) property(node, key, value);
  }
  append(node, children);
  return node;
}

const isProperties = (it) => it !== null && typeof it === "object" && !Array.isArray(it) && !(it instanceof Node);

function property(node, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) {
    node[key] = value;
    (node.handlers ??= []).push(key);
  } else if (key === "class") {
    node.setAttribute("class", [node.getAttribute("class"), value].filter(Boolean).join(" "));
  } else if (key === "style") {
    for (const [name, to] of Object.entries(value)) node.style.setProperty(name, to);
  } else if (key === "value" || key === "checked" || key === "indeterminate") {
    node[key] = value;
    if (key === "value") node.setAttribute("value", value);
    if (key === "checked") node.setAttribute("checked", "");
  } else {
    node.setAttribute(key, value === true ? "" : String(value));
  }
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === "") continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Makes `place` hold exactly these children. */
export function draw(place, ...children) {
  const wanted = document.createDocumentFragment();
  append(wanted, children);
  alignChildren(place, wanted);
}

function alignChildren(old, wanted) {
  let here = old.firstChild;
  for (const next of [...wanted.childNodes]) {
    const kept = fitting(here, next);
    if (!kept) {
      old.insertBefore(next, here);
      continue;
    }
    while (here !== kept) here = remove(here);
    align(kept, next);
    here = kept.nextSibling;
  }
  while (here) here = remove(here);
}

function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/** The node from `here` on that `next` is the new form of. Nodes with a key are found further on, others only in their place. */
function fitting(here, next) {
  const key = keyOf(next);
  if (key === null) return here && keyOf(here) === null && alike(here, next) ? here : null;
  for (let node = here; node; node = node.nextSibling) {
    if (keyOf(node) === key && alike(node, next)) return node;
  }
  return null;
}

const keyOf = (node) =>
  node.nodeType === Node.ELEMENT_NODE ? (node.getAttribute("data-key") ?? (node.id || null)) : null;
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

function align(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  alignAttributes(old, next);
  alignHandlers(old, next);
  if (!old.hasAttribute("data-own")) alignChildren(old, next);
  alignInput(old, next);
}

function alignAttributes(old, next) {
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && name !== "style" && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  // By the object model: a style attribute written as text is what the page's policy forbids.
  if (old.style && old.style.cssText !== next.style.cssText) old.style.cssText = next.style.cssText;
  for (const { name, value } of [...next.attributes]) {
    if (name === "open" || name === "style") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function alignHandlers(old, next) {
  for (const key of old.handlers ?? []) if (!next.handlers?.includes(key)) old[key] = null;
  for (const key of next.handlers ?? []) old[key] = next[key];
  old.handlers = next.handlers;
}

/** What is being typed stays. */
function alignInput(old, next) {
  if (!("value" in old) || old === document.activeElement) return;
  if (old.nodeName === "INPUT" || old.nodeName === "TEXTAREA" || old.nodeName === "SELECT") {
    if (old.value !== next.value) old.value = next.value;
    if (old.checked !== next.checked) old.checked = next.checked;
  }
}
