// Scales of charts: where a value is drawn, and at which round values the axis has its marks.

/** Round values between two ends, about `n` of them. */
export function ticks(from, to, n = 5) {
  const rough = (to - from) / Math.max(n, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((candidate) => candidate >= rough) ?? rough;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step * 1e-9; at += step)
    marks.push(Number(at.toPrecision(12)));
  return marks;
}

const SECOND = 1000;
const STEPS = [
  1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 7_776_000,
  31_536_000,
].map((s) => s * SECOND);

/** Round times between two ends, in ms. */
export function timeTicks(from, to, n = 6) {
  const step = STEPS.find((candidate) => candidate >= (to - from) / n) ?? STEPS.at(-1);
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) marks.push(at);
  return { marks, step };
}

const two = (n) => String(n).padStart(2, "0");

/** A time as short as its neighbours allow. */
export function timeLabel(ms, step) {
  const at = new Date(ms);
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  const day = `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
  if (step < 60 * SECOND) return `${clock}:${two(at.getUTCSeconds())}`;
  if (step < 86_400 * SECOND) return at.getUTCHours() === 0 && at.getUTCMinutes() === 0 ? day : clock;
  return step < 2_592_000 * SECOND ? day : `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}`;
}

/** An interval in ms that cuts a range into at most `bins`, as SQL writes it. */
export function binOf(from, to, bins) {
  const step = STEPS.find((candidate) => candidate >= (to - from) / bins) ?? STEPS.at(-1);
  return { ms: step, sql: `INTERVAL '${step / SECOND} seconds'` };
}
