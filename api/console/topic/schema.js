// A topic's schema: its fields, and as it was sent.

import { h } from "../dom.js";
import { grid } from "../parts.js";
import { sign } from "../status.js";

/** Fields with their rules. */
export function schema(it) {
  const fields = Object.entries(it.properties ?? {});
  const required = new Set(it.required ?? []);
  return [
    fields.length > 0 &&
      grid(
        "Fields",
        [
          { head: "Field", lead: true, cell: ([name]) => h("code", name) },
          { head: "Type", cell: ([, field]) => [field.type].flat().join(" or ") || "any" },
          { head: "Format", cell: ([, field]) => field.format ?? "" },
          { head: "Required", cell: ([name]) => (required.has(name) ? sign("tick", "good", "yes") : "no") },
          {
            head: "Rules",
            cell: ([, field]) =>
              h(
                "code",
                Object.entries(field)
                  .filter(([k]) => !["type", "format", "description", "properties"].includes(k))
                  .map(([k, v]) => `${k} ${JSON.stringify(v)}`)
                  .join(" · "),
              ),
          },
        ],
        fields,
        { key: ([name]) => name },
      ),
    h(
      "details",
      h("summary", "As JSON Schema"),
      h("pre", { tabindex: 0, "aria-label": "JSON Schema" }, JSON.stringify(it, null, 2)),
    ),
  ];
}
