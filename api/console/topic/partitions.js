// The partitions of a topic: their tiers on one scale, what is not mirrored yet, and gaps.

import { h } from "../dom.js";
import { coarse, count } from "../format.js";
import { grid } from "../parts.js";
import { sign } from "../status.js";
import { frame, span, tiersInWords, tiersOf } from "../tiers.js";

/** A line for each. */
export function partitions({ partitions: list }) {
  const scope = span(list);
  return grid(
    "Partitions",
    [
      { head: "Partition", lead: true, cell: (p) => count(p.partition) },
      {
        head: "Where its records are",
        kind: "wide",
        cell: (p) => h("div.tierbar", frame("tiers", 14, tiersInWords([p]), tiersOf(p, scope, 0, 14))),
      },
      {
        head: "Cold",
        kind: "num",
        cell: (p) => (p.mirrored_to === null ? "–" : `${count(p.mirrored_from)} – ${count(p.mirrored_to)}`),
      },
      {
        head: "Hot",
        kind: "num",
        cell: (p) => (p.earliest === p.end ? "empty" : `${count(p.earliest)} – ${count(p.end)}`),
      },
      { head: "Not mirrored", kind: "num", cell: (p) => count(p.end - (p.mirrored_to ?? p.earliest)) },
      {
        head: "Headroom",
        kind: "num",
        cell: (p) => (p.mirror_headroom_ms === null ? h("span.none", "no limit") : coarse(p.mirror_headroom_ms)),
      },
      {
        head: "Gaps",
        cell: (p) =>
          p.gaps.length
            ? sign("triangle", "warn", p.gaps.map(([from, to]) => `${count(from)} – ${count(to)}`).join(", "))
            : h("span.none", "none"),
      },
    ],
    list,
    { key: (p) => p.partition },
  );
}
