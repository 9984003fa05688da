// A topic: where its records are, what may be lost, its schema, and the records themselves over both tiers.

import { get, paths, post, Problem } from "../api.js";
import { draw, h } from "../dom.js";
import { bytes, count, duration, plural } from "../format.js";
import { button, empty, facts, failure, panel, waiting } from "../parts.js";
import { everyInto } from "../poll.js";
import { sign } from "../status.js";
import { legend, tierBar } from "../tiers.js";
import { toast } from "../toast.js";
import { partitions } from "../topic/partitions.js";
import { PAGE, records } from "../topic/records.js";
import { schema } from "../topic/schema.js";

const EVERY_MS = 2000;

export function topic(place, { params, signal }) {
  const state = {
    name: params.topic,
    topic: null,
    error: null,
    partition: 0,
    from: "beginning",
    records: null,
    recordsError: null,
    next: null,
    before: [],
    open: new Set(),
  };
  const render = () => draw(place, ...content(state, actions));
  const records = async () => {
    try {
      const page = await get(
        `${paths.topic(state.name)}/records?${new URLSearchParams({ partition: state.partition, from: state.from, limit: PAGE })}`,
        { signal },
      );
      Object.assign(state, { records: page.records, next: page.next_offset, recordsError: null });
    } catch (error) {
      if (error.name === "AbortError") return;
      state.recordsError = error;
    }
    render();
  };
  const readTopic = async () => {
    state.topic = await get(paths.topic(state.name), { signal });
  };
  const look = everyInto(state, EVERY_MS, readTopic, render, signal);
  const actions = {
    render,
    read: (partition, from) => {
      Object.assign(state, { partition, from, before: [], open: new Set() });
      records();
    },
    forth: () => {
      state.before.push(state.from);
      state.from = String(state.next);
      records();
    },
    back: () => {
      state.from = state.before.pop() ?? "beginning";
      records();
    },
    toggle: (offset) => {
      state.open[state.open.has(offset) ? "delete" : "add"](offset);
      render();
    },
    mirror: async () => {
      toast("Mirroring up to the present end …");
      await post(`${paths.topic(state.name)}/mirror`).then(
        () => toast("Mirrored"),
        (error) => {
          state.error = error;
        },
      );
      look();
    },
  };
  render();
  records();
}

function content(state, actions) {
  const { name, topic: it, error } = state;
  if (!it) {
    if (error instanceof Problem && error.status === 404)
      return [
        h("h1", name),
        empty(`There is no topic ${name}`, "Make it:", `rekap topic create ${name} --partitions 4`),
      ];
    return [h("h1", name), error ? failure(error) : waiting(`topic ${name}`)];
  }
  const lost = it.partitions.flatMap((p) => p.gaps).reduce((sum, [from, to]) => sum + to - from, 0);
  return [
    h(
      "header.head",
      h("div.head-row", h("h1", name), h("div.actions", button("Mirror now", { onclick: actions.mirror }))),
      facts([
        ["Partitions", count(it.partitions.length)],
        [
          "Records",
          count(it.partitions.reduce((sum, p) => sum + p.end - Math.min(p.mirrored_from ?? p.earliest, p.earliest), 0)),
        ],
        ["Key", it.key.length ? it.key.join(", ") : "none"],
        ["Hot for", it.retention_ms === null ? "ever" : duration(it.retention_ms)],
        it.retention_bytes !== null && ["Hot at most", `${bytes(it.retention_bytes)} a partition`],
        ["Lost", lost ? sign("triangle", "warn", plural(lost, "record")) : sign("tick", "good", "none")],
        ["Cold table", h("code.long", it.cold.url)],
      ]),
    ),
    error && failure(error),
    panel(
      "Partitions",
      { note: "Cold and hot tier on one scale of offsets." },
      legend(),
      it.partitions.length > 1 && tierBar(it.partitions, 28),
      partitions(it),
    ),
    panel("Records", { note: "read through both tiers as one log" }, records(state, actions)),
    panel(
      "Schema",
      {},
      it.schema
        ? schema(it.schema)
        : empty(
            "No schema",
            "Any JSON value is fine; a job declares the columns that it needs, or give the topic a schema:",
            `rekap topic create ${name} --schema schema.json`,
          ),
    ),
  ];
}
