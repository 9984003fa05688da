// The theme, set before anything is drawn: what was chosen here, else what the system prefers. A classic script, so that it blocks.
(() => {
  const chosen = (() => {
    try {
      return localStorage.getItem("rekap.theme");
    } catch {
      return null;
    }
  })();
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
