// Light, dark, or as the system prefers.

const ORDER = ["system", "light", "dark"];

/** What is chosen. */
export const themeName = () => document.documentElement.dataset.theme ?? "system";

/** Chooses the next one, and keeps it. */
export function nextTheme() {
  const next = ORDER[(ORDER.indexOf(themeName()) + 1) % ORDER.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("rekap.theme");
    else localStorage.setItem("rekap.theme", next);
  } catch {
    // A browser that keeps nothing forgets the choice; the page shows it all the same.
  }
}
