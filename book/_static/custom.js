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

// A full stop does not begin a line because a formula ended the one before.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".bd-article span.math").forEach((formula) => {
    const next = formula.nextSibling;
    const marks = next?.nodeType === Node.TEXT_NODE && next.data.match(/^[.,;:?!)\u201d]+/);
    if (!marks) return;
    const together = document.createElement("span");
    together.className = "stays";
    formula.before(together);
    next.data = next.data.slice(marks[0].length);
    together.append(formula, marks[0]);
  });
});

// A name of code that fills a line of a phone breaks behind its marks, before it breaks anywhere.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".bd-article code .pre").forEach((name) => {
    if (name.textContent.length < 34) return;
    const pieces = name.textContent.match(/[^._/(,=]*[._/(,=]+|[^._/(,=]+$/g);
    name.replaceChildren(...pieces.flatMap((piece) => [document.createElement("wbr"), piece]).slice(1));
  });
});
