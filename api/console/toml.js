// Reads job.toml: the part of TOML that job files use, into the JSON that the API takes. What it cannot read it refuses with the line.

/** The value of a text in TOML. */
export function parseToml(text) {
  const root = {};
  let table = root;
  const lines = logical(text);
  for (const { line, n } of lines) {
    try {
      if (line.startsWith("[[")) table = appended(root, keys(inside(line, "[[", "]]")));
      else if (line.startsWith("[")) table = opened(root, keys(inside(line, "[", "]")));
      else assign(table, line);
    } catch (error) {
      throw new Error(`job.toml, line ${n}: ${error.message}`);
    }
  }
  return root;
}

/** Lines without comments; a value that goes over several lines is one. */
function logical(text) {
  const found = [];
  let held = null;
  text.split(/\r?\n/).forEach((raw, i) => {
    const line = uncommented(raw).trim();
    if (held) held.line += ` ${line}`;
    else if (line) held = { line, n: i + 1 };
    if (held && balanced(held.line)) {
      found.push(held);
      held = null;
    }
  });
  if (held) throw new Error(`job.toml, line ${held.n}: a bracket or a quote is not closed`);
  return found;
}

/** Calls `see(character, quoted)` for each character, with whether it is within quotes. */
function scan(text, see) {
  let quote = null;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (quote) {
      if (c === "\\" && quote === '"') {
        see(c, true, i);
        i += 1;
        see(text[i], true, i);
        continue;
      }
      if (c === quote) quote = null;
      see(c, true, i);
    } else {
      if (c === '"' || c === "'") {
        quote = c;
        see(c, true, i);
        continue;
      }
      if (see(c, false, i) === "stop") return;
    }
  }
}

function uncommented(line) {
  let end = line.length;
  scan(line, (c, quoted, i) => {
    if (!quoted && c === "#") {
      end = i;
      return "stop";
    }
    return null;
  });
  return line.slice(0, end);
}

function balanced(line) {
  let depth = 0;
  scan(line, (c, quoted) => {
    if (!quoted) depth += "[{".includes(c) ? 1 : "]}".includes(c) ? -1 : 0;
  });
  return depth <= 0;
}

function inside(line, open, close) {
  if (!line.endsWith(close)) throw new Error(`a table's name ends with ${close}`);
  return line.slice(open.length, -close.length);
}

/** Cuts at a character that is in no quotes and no brackets. */
function split(text, at) {
  const parts = [""];
  let depth = 0;
  scan(text, (c, quoted) => {
    if (!quoted) depth += "[{".includes(c) ? 1 : "]}".includes(c) ? -1 : 0;
    if (!quoted && depth === 0 && c === at) parts.push("");
    else parts[parts.length - 1] += c;
  });
  return parts;
}

const keys = (text) =>
  split(text, ".").map((part) => {
    const key = part.trim();
    if (/^[A-Za-z0-9_-]+$/.test(key)) return key;
    if (/^(".*"|'.*')$/.test(key)) return value(key);
    throw new Error(`\`${key}\` is no name`);
  });

function step(table, key) {
  const next = Object.hasOwn(table, key) ? table[key] : (table[key] = {});
  const inner = Array.isArray(next) ? next.at(-1) : next;
  if (typeof inner !== "object" || inner === null) throw new Error(`\`${key}\` holds no fields`);
  return inner;
}

const opened = (root, path) => path.reduce(step, root);

function appended(root, path) {
  const parent = opened(root, path.slice(0, -1));
  const list = (parent[path.at(-1)] ??= []);
  if (!Array.isArray(list)) throw new Error(`\`${path.at(-1)}\` is no list`);
  list.push({});
  return list.at(-1);
}

function assign(table, line) {
  const [name, ...rest] = split(line, "=");
  if (!rest.length) throw new Error("write name = value");
  const path = keys(name);
  const parent = opened(table, path.slice(0, -1));
  if (Object.hasOwn(parent, path.at(-1))) throw new Error(`\`${path.at(-1)}\` is there twice`);
  parent[path.at(-1)] = value(rest.join("=").trim());
}

const ESCAPES = { n: "\n", t: "\t", r: "\r", '"': '"', "\\": "\\" };

function value(text) {
  if (/^".*"$/.test(text))
    return text
      .slice(1, -1)
      .replaceAll(/\\(u[0-9a-fA-F]{4}|.)/g, (all, c) =>
        c.length > 1 ? String.fromCharCode(parseInt(c.slice(1), 16)) : (ESCAPES[c] ?? all),
      );
  if (/^'.*'$/.test(text)) return text.slice(1, -1);
  if (text === "true" || text === "false") return text === "true";
  if (/^[+-]?\d[\d_]*(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return Number(text.replaceAll("_", ""));
  if (/^\d{4}-\d\d-\d\d/.test(text)) return text;
  if (text.startsWith("[") && text.endsWith("]")) return items(text).map(value);
  if (text.startsWith("{") && text.endsWith("}")) {
    const inner = {};
    items(text).forEach((part) => assign(inner, part));
    return inner;
  }
  throw new Error(`\`${text}\` is no value`);
}

const items = (text) =>
  split(text.slice(1, -1), ",")
    .map((part) => part.trim())
    .filter(Boolean);

/** The same the other way round: a job's spec as the file that one would have written. */
export function writeToml(spec, prefix = "") {
  const plain = Object.entries(spec).filter(([, v]) => v !== null && !isTable(v) && !isTables(v));
  const tables = Object.entries(spec).filter(([, v]) => isTable(v) || isTables(v));
  const lines = plain.map(([k, v]) => `${k} = ${write(v)}`);
  for (const [k, v] of tables) {
    const name = prefix ? `${prefix}.${k}` : k;
    if (isTables(v)) v.forEach((one) => lines.push("", `[[${name}]]`, writeToml(one, name)));
    else if (Object.keys(v).length === 0) continue;
    else
      lines.push("", ...(Object.values(v).every(isTable) ? [] : [`[${name}]`]), writeToml(v, name).replace(/^\n/, ""));
  }
  return lines.join("\n");
}

const isTable = (v) => v !== null && typeof v === "object" && !Array.isArray(v);
const isTables = (v) => Array.isArray(v) && v.length > 0 && v.every(isTable);
const write = (v) => (Array.isArray(v) ? `[${v.map(write).join(", ")}]` : JSON.stringify(v));
