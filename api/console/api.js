// The REST API as functions. Every rejection is a `Problem`; a server that does not answer is `Unreachable`, and everybody is told.

/** A rejection: RFC 9457, with what to do about it. */
export class Problem extends Error {
  constructor(body, status) {
    super(body.detail ?? `status ${status}`);
    Object.assign(this, { status, code: body.code ?? "UNKNOWN", title: body.title ?? "Refused", body });
    this.detail = body.detail ?? "";
    this.remedy = body.remedy ?? "";
    this.runbook = body.type ?? null;
  }
}

/** No answer came: whether the request took effect is unknown. */
export class Unreachable extends Error {}

/** Tells "up" and "down" as the server comes and goes, and "login" when it wants to know who asks. */
export const connection = new EventTarget();

let up = true;
function told(reachable) {
  if (reachable !== up) {
    up = reachable;
    connection.dispatchEvent(new Event(up ? "up" : "down"));
  }
}

export const isUp = () => up;

/** Sends a request and gives the response, once it is neither a rejection nor lost. */
export async function send(method, path, { body, type = "application/json", ifMatch, signal, key } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      body,
      redirect: "error",
      headers: {
        ...(body === undefined ? {} : { "content-type": type }),
        ...(ifMatch === undefined || ifMatch === null ? {} : { "if-match": `"${ifMatch}"` }),
        ...(key ? { "idempotency-key": key } : {}),
      },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    told(false);
    throw new Unreachable("The server does not answer.");
  }
  told(true);
  if (response.ok) return response;
  if (response.status === 401) connection.dispatchEvent(new Event("login"));
  const problem = await response.json().catch(() => ({}));
  throw new Problem(problem, response.status);
}

/** GET as JSON. */
export const get = async (path, options) => (await send("GET", path, options)).json();

/** POST of JSON. A key of its own makes it safe to send again. */
export async function post(path, body = {}, options = {}) {
  const response = await send("POST", path, { ...options, body: JSON.stringify(body), key: crypto.randomUUID?.() });
  return response.status === 204 ? null : response.json();
}

export const remove = (path) => send("DELETE", path);

const part = encodeURIComponent;
export const paths = {
  job: (job) => `/v1/jobs/${part(job)}`,
  version: (job, n) => `/v1/jobs/${part(job)}/versions/${n}`,
  topic: (topic) => `/v1/topics/${part(topic)}`,
  table: (table) => `/v1/tables/${part(table)}`,
};

/** Every item of a list, page by page, up to a bound that no screen could show. */
export async function all(path, name, options, bound = 2000) {
  const items = [];
  let cursor = "";
  do {
    const page = await get(`${path}?limit=500${cursor && `&cursor=${part(cursor)}`}`, options);
    items.push(...page[name]);
    cursor = page.next_cursor ?? "";
  } while (cursor && items.length < bound);
  return items;
}

/** Rows of one SELECT. */
export const sql = async (query, options) => (await post("/v1/sql", { query }, options)).rows;

/** A name in double quotes for SQL. */
export const quoted = (name) => `"${String(name).replaceAll('"', '""')}"`;

/** `live.bpi` or `version."bpi@2"` for a name as the tables' routes take it. */
export const relation = (table) => (table.includes("@") ? `version.${quoted(table)}` : `live.${quoted(table)}`);
