// A runbook page, as it was when the server was built.

import { send } from "../api.js";
import { draw, h } from "../dom.js";
import { markdown } from "../markdown.js";
import { failure, waiting } from "../parts.js";

export async function runbook(place, { params, signal }) {
  draw(place, h("h1", params.page), waiting("the page"));
  try {
    const text = await (await send("GET", `/docs/runbooks/${encodeURIComponent(params.page)}.md`, { signal })).text();
    const link = (target) => (/^([a-z-]+)\.md(#.*)?$/i.exec(target) ? `/runbooks/${target.split(".md")[0]}` : null);
    draw(place, h("article.prose", markdown(text, link), h("p", h("a", { href: "/runbooks/README" }, "All runbooks"))));
  } catch (error) {
    if (error.name !== "AbortError") draw(place, h("h1", params.page), failure(error));
  }
}
