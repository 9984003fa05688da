// Server-sent events over fetch: unlike EventSource it says where to go on, and it lets go of its connection while the page is hidden, since
// a browser has only a few for all its tabs.

const RETRY_MS = 2000;

/** Follows `path` after the event `last`, calling `seen({id, type, data})` for each, until `signal` aborts. */
export async function follow(path, last, seen, signal) {
  while (!signal.aborted) {
    await visible(signal);
    const leave = new AbortController();
    const hidden = () => {
      if (document.hidden) leave.abort();
    };
    document.addEventListener("visibilitychange", hidden);
    try {
      const told = { accept: "text/event-stream", "last-event-id": String(last) };
      const response = await fetch(path, { headers: told, signal: AbortSignal.any([signal, leave.signal]) });
      if (response.status === 404) return;
      for await (const event of events(response.ok ? response.body : null)) {
        last = event.id ?? last;
        seen(event);
      }
    } catch {
      // The server has gone, or the page is hidden: the next round asks again.
    }
    document.removeEventListener("visibilitychange", hidden);
    if (!signal.aborted) await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

/** Comes once the page is in sight, or left. */
function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    document.addEventListener("visibilitychange", done, { once: true });
    signal.addEventListener("abort", done, { once: true });
  });
}

async function* events(body) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = parse(text.slice(0, end));
      if (event) yield event;
    }
  }
}

function parse(block) {
  const event = { data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).trim();
    if (line.startsWith("id:")) event.id = Number(value);
    else if (line.startsWith("event:")) event.type = value;
    else if (line.startsWith("data:")) event.data += value;
  }
  return event.data ? { ...event, data: JSON.parse(event.data) } : null;
}
