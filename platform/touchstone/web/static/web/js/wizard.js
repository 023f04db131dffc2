// Enhancements of the wizard: it tells what is not saved, and shows Markdown as it will look while one writes.
"use strict";

const form = document.querySelector("[data-wizard-form]");
if (form) {
  const note = form.querySelector("[data-wizard-changed]");
  let changed = false;
  form.addEventListener("input", () => {
    changed = true;
    if (note) note.hidden = false;
  });
  form.addEventListener("submit", () => { changed = false; });
  window.addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
}

// Markdown is rendered by the server, so that what is shown here is what readers will get.
const token = () => document.querySelector("[name=csrfmiddlewaretoken]").value;
const show = async (box) => {
  const body = new URLSearchParams({ csrfmiddlewaretoken: token(), text: document.getElementById(box.dataset.previewOf).value });
  const response = await fetch(box.dataset.previewUrl, { method: "POST", body });
  if (response.ok) box.innerHTML = await response.text();
};
document.querySelectorAll("[data-preview-of]").forEach((box) => {
  const details = box.closest("details");
  let waiting = 0;
  details.addEventListener("toggle", () => { if (details.open) show(box); });
  document.getElementById(box.dataset.previewOf).addEventListener("input", () => {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => { if (details.open) show(box); }, 500);
  });
});
