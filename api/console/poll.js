// Looking again while somebody looks: a task that runs every so often, not while the page is hidden, and slower while the server is away.

const AWAY_MS = 3000;

/** Runs `task` now and every `ms`, until `signal` aborts. Gives a function that runs it at once. */
export function every(ms, task, signal) {
  let timer = null;
  let running = false;
  let again = false;
  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    let failed = false;
    try {
      await task();
    } catch (error) {
      failed = error.name !== "AbortError";
    }
    running = false;
    if (signal.aborted) return;
    if (again) {
      again = false;
      run();
      return;
    }
    if (!document.hidden) timer = setTimeout(run, failed ? Math.max(ms, AWAY_MS) : ms);
  };
  const shown = () => {
    if (!document.hidden) run();
  };
  document.addEventListener("visibilitychange", shown);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", shown);
  });
  run();
  return run;
}

/** Runs `read` every `ms`, keeps in `state.error` why it failed or null, and renders after each time. */
export function everyInto(state, ms, read, render, signal) {
  return every(
    ms,
    async () => {
      try {
        await read();
        state.error = null;
      } catch (error) {
        if (error.name === "AbortError") return;
        state.error = error;
      }
      render();
      if (state.error) throw state.error;
    },
    signal,
  );
}
