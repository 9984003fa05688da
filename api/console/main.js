// Starts the console: its pages, the rail beside them, the keyboard, and what is said when the server goes away.

import { connection } from "./api.js";
import { draw, h } from "./dom.js";
import { keyboard } from "./keyboard.js";
import { askWhoItIs } from "./login.js";
import { button } from "./parts.js";
import { rail } from "./rail.js";
import { page, start } from "./router.js";
import { watchWorld, world } from "./world.js";
import { deploy } from "./pages/deploy.js";
import { history } from "./pages/history.js";
import { job } from "./pages/job.js";
import { overview } from "./pages/overview.js";
import { runbook } from "./pages/runbook.js";
import { sql } from "./pages/sql.js";
import { table } from "./pages/table.js";
import { topic } from "./pages/topic.js";

page("/", () => "Overview", overview);
page("/jobs/{job}", ({ job: name }) => name, job);
page("/topics/{topic}", ({ topic: name }) => `Topic ${name}`, topic);
page("/tables/{table}", ({ table: name }) => `Table ${name}`, table);
page("/sql", () => "SQL", sql);
page("/history", () => "History", history);
page("/deploy", () => "Deploy", deploy);
page("/runbooks/{page}", ({ page: name }) => `Runbook ${name}`, runbook);

const banner = document.getElementById("banner");
connection.addEventListener("down", () => {
  document.body.dataset.connection = "down";
  draw(
    banner,
    h(
      "div.banner",
      h(
        "p",
        h("strong", "The server does not answer."),
        " What you see is as it was; the page asks again by itself. If it stays away: ",
        h("code", "rekap serve"),
      ),
      button("Try now", { kind: "small", onclick: () => world.refresh() }),
    ),
  );
});
connection.addEventListener("up", () => {
  delete document.body.dataset.connection;
  draw(banner);
});

connection.addEventListener("login", askWhoItIs);

watchWorld();
rail(document.getElementById("rail"));
keyboard();
start();
