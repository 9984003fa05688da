// The records that a version could not use: the first of them, with what was wrong.

import { get, paths } from "../api.js";
import { count } from "../format.js";
import { h } from "../dom.js";
import { commandLine, failure, grid, panel, told, waiting } from "../parts.js";

const SHOWN = 20;

/** Reads them where the version has another number of them than `known`. */
export async function readDeadLetters(job, version, known, signal) {
  if (!version?.dead_letters) return null;
  if (known?.version === version.version && known.count === version.dead_letters) return known;
  const read = { version: version.version, count: version.dead_letters, list: null, error: null };
  try {
    read.list = (
      await get(`${paths.version(job, version.version)}/dead-letters?limit=${SHOWN}`, { signal })
    ).dead_letters;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    read.error = error;
  }
  return read;
}

/** A panel of them. */
export const deadLetters = (job, version, read) =>
  panel(
    "Dead letters",
    { note: `${count(version.dead_letters)} records that do not fit the query or the schema` },
    !read
      ? waiting("them")
      : read.error
        ? failure(read.error)
        : grid(
            "Dead letters",
            [
              { head: "Where", lead: true, cell: (one) => `${one.topic}/${one.partition} ${count(one.offset)}` },
              { head: "What", cell: (one) => h("span.stack", h("code", one.code), h("small", told(one.detail))) },
              { head: "Value", kind: "value", cell: (one) => h("code", one.value ?? "NULL") },
            ],
            read.list,
            { key: (one) => `${one.topic}-${one.partition}-${one.offset}` },
          ),
    commandLine(`rekap dead-letters ${job}@${version.version}`),
  );
