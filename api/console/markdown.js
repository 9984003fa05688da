// The little Markdown that runbook pages use, as elements: headings, paragraphs, lists, tables, code and links.

import { h } from "./dom.js";

/** Elements for a text. `link(target)` gives the address of a link, or nothing where it leads out of the console. */
export function markdown(text, link) {
  const blocks = [];
  const lines = text.split("\n");
  while (lines.length) {
    const line = lines[0];
    if (!line.trim()) lines.shift();
    else if (line.startsWith("```")) blocks.push(code(lines));
    else if (/^#{1,4} /.test(line)) blocks.push(heading(lines.shift(), link));
    else if (/^(\d+\.|[-*]) /.test(line)) blocks.push(list(lines, link));
    else if (line.startsWith("|")) blocks.push(table(lines, link));
    else
      blocks.push(
        h("p", inline(taken(lines, (next) => next.trim() && !/^(#|```|\||[-*] |\d+\. )/.test(next)).join(" "), link)),
      );
  }
  return blocks;
}

/** The first line, and those after it for which `more` holds. */
function taken(lines, more) {
  const found = [lines.shift()];
  while (lines.length && more(lines[0])) found.push(lines.shift());
  return found;
}

function heading(line, link) {
  const level = line.indexOf(" ");
  return h(`h${Math.min(level, 3)}`, inline(line.slice(level + 1), link));
}

function code(lines) {
  const content = taken(lines, (next) => !next.startsWith("```")).slice(1);
  lines.shift();
  return h("pre", { tabindex: 0, "aria-label": "Code" }, content.join("\n"));
}

function list(lines, link) {
  const ordered = /^\d/.test(lines[0]);
  const items = [];
  while (lines.length && /^(\d+\.|[-*]) /.test(lines[0])) {
    items.push(
      taken(lines, (next) => /^\s+\S/.test(next))
        .map((part) => part.trim())
        .join(" ")
        .replace(/^(\d+\.|[-*]) /, ""),
    );
  }
  return h(
    ordered ? "ol" : "ul",
    items.map((item) => h("li", inline(item, link))),
  );
}

function table(lines, link) {
  const rows = taken(lines, (next) => next.startsWith("|")).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const [head, , ...body] = rows;
  return h(
    "div.scroll",
    { role: "region", tabindex: 0, "aria-label": "Table" },
    h(
      "table",
      h(
        "thead",
        h(
          "tr",
          head.map((c) => h("th", { scope: "col" }, inline(c, link))),
        ),
      ),
      h(
        "tbody",
        body.map((row) =>
          h(
            "tr",
            row.map((c) => h("td", inline(c, link))),
          ),
        ),
      ),
    ),
  );
}

const PIECES = /(``? ?.+? ?``?(?!`)|\*\*.+?\*\*|\[[^\]]+\]\([^)]+\))/;

function inline(text, link) {
  return text.split(PIECES).map((piece) => {
    if (/^`/.test(piece)) return h("code", piece.replaceAll(/^``? ?| ?``?$/g, ""));
    if (/^\*\*/.test(piece)) return h("strong", inline(piece.slice(2, -2), link));
    const [, words, target] = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(piece) ?? [];
    if (!target) return piece;
    const href = link(target);
    return href ? h("a", { href }, words) : h("span", words);
  });
}
