// docutils calls the bibliography a list whose entries, by their own role, are none; the entries' role says more.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".citation-list[role=list]").forEach((list) => list.removeAttribute("role"));
});
