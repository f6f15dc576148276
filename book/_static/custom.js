// docutils calls the bibliography a list whose entries, by their own role, are none; the entries' role says more.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".citation-list[role=list]").forEach((list) => list.removeAttribute("role"));
});

// Printed tables of moderate width keep their columns on a phone; what scrolls has to be reachable by keyboard.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".cell_output pre").forEach((pre) => {
    const lines = pre.textContent.trim().split("\n");
    if (lines.length > 2 && lines.every((line) => line.length <= 100)) {
      pre.classList.add("table-like");
      pre.tabIndex = 0;
    }
  });
});
