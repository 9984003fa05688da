// Numbers, sizes, times and durations as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1,234,567 */
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));

/** 1.2M */
export const compact = (n) => (n === null || n === undefined ? "–" : n < 10_000 ? whole.format(n) : short.format(n));

/** "1 row", "2 rows" */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** 12.4 MB; powers of ten. */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) {
    n /= 1000;
    at += 1;
  }
  return `${at === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[at]}`;
}

/** 5 ms, 1.2 s, 3 min 20 s, 23 h 41 min, 12 d 4 h */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const [d, hr, m, sec] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d > 0) return hr ? `${d} d ${hr} h` : `${d} d`;
  if (hr > 0) return m ? `${hr} h ${m} min` : `${hr} h`;
  return sec ? `${m} min ${sec} s` : `${m} min`;
}

const two = (n) => String(n).padStart(2, "0");

/** 2026-01-02 15:04:05 in UTC, as everything in the log is. */
export function time(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(text);
  const date = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
  return `${date} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

/** "4 min ago", "in 3 h" */
export function ago(text, now = Date.now()) {
  const ms = now - new Date(text).getTime();
  if (Number.isNaN(ms)) return "–";
  if (Math.abs(ms) < 1500) return "just now";
  return ms > 0 ? `${coarse(ms)} ago` : `in ${coarse(-ms)}`;
}

/** One or two units without seconds once there are minutes. */
export function coarse(ms) {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return duration(ms - (ms % 60_000));
}

/** A share of one as per cent. */
export function percent(share, digits = 0) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  return `${(share * 100).toFixed(digits)} %`;
}

/** A replay that is not done never reads 100 %. */
export const progress = (done, total) => (total === 0 ? 1 : Math.min(done / total, 1));
export const floorPercent = (share) => `${Math.floor(share * 100)} %`;

/** A cell of a table: numbers with at most eleven digits, times readable, objects as JSON. */
export function cell(value) {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "number") {
    if (Number.isInteger(value)) return String(value);
    return Math.abs(value) >= 1e-4 && Math.abs(value) < 1e11 ? String(Number(value.toPrecision(11))) : String(value);
  }
  if (typeof value === "string") return isTime(value) ? shortTime(value) : value;
  return JSON.stringify(value);
}

/** True for an RFC 3339 time. */
export const isTime = (value) =>
  typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);

/** 2026-01-02 15:04:05.25, without a fraction that is zero. */
export const shortTime = (value) =>
  value
    .replace("T", " ")
    .replace(/(\.\d*?)0+(?=Z|[+-])/, "$1")
    .replace(/\.(?=Z|[+-])/, "")
    .replace(/Z$/, "");

/** "ticks/0 1,204 · ticks/1 998" */
export function positions(at) {
  const parts = Object.entries(at ?? {}).flatMap(([topic, partitions]) =>
    Object.entries(partitions).map(([partition, offset]) => `${topic}/${partition} ${count(offset)}`),
  );
  return parts.length > 8
    ? `${parts.slice(0, 8).join(" · ")} · and ${parts.length - 8} more`
    : parts.join(" · ") || "none";
}

/** The ms of a duration as job files write it: 90s, 24h, 400 days. */
export function spanMs(text) {
  const [, n, unit] = /^(\d+)\s*(ms|s|m|h|d|days?)$/.exec(text ?? "") ?? [];
  const each = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, day: 86_400_000, days: 86_400_000 };
  return n === undefined ? null : Number(n) * each[unit];
}
