// Who is logged in. The session itself is a cookie that no script can read.

import { get, send } from "./api.js";

/** `who` is what the server says of the caller: `{name, role, jobs, topics, tokens}`; null until it is known. */
export const session = { who: null };

/** Asks the server who one is. */
export async function whoami() {
  session.who = await get("/v1/session");
  return session.who;
}

/** Trades a token for a session. Throws what the server says when it does not take it. */
export const login = (token) => send("POST", "/v1/session", { body: JSON.stringify({ token }) });

/** Ends the session, here and on the server. */
export async function logout() {
  await send("DELETE", "/v1/session");
  location.reload();
}
