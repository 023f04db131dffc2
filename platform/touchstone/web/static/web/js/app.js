// Enhancements only: every page works without this file.
"use strict";

// Copy buttons: hidden in the page, shown here, because without a script they could do nothing.
document.querySelectorAll("[data-copy]").forEach((button) => {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.textContent.trim());
    const word = button.querySelector("[data-copy-word]");
    const before = word.textContent;
    word.textContent = button.dataset.copied;
    window.setTimeout(() => { word.textContent = before; }, 2000);
  });
});

const sizeText = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB"];
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) { amount /= 1024; unit += 1; }
  return `${unit ? amount.toFixed(1) : amount} ${units[unit]}`;
};

// Drop zones. Listeners sit on the document, because a form is replaced when the server finds a mistake in it.
const zoneOf = (event) => (event.target.closest ? event.target.closest("[data-drop]") : null);
const showFile = (zone) => {
  const file = zone.querySelector("input[type=file]").files[0];
  zone.querySelector("[data-drop-name]").textContent = file ? `${file.name} · ${sizeText(file.size)}` : "";
};

["dragover", "dragleave", "drop"].forEach((kind) => {
  document.addEventListener(kind, (event) => {
    const zone = zoneOf(event);
    if (!zone) return;
    event.preventDefault();
    zone.classList.toggle("drop-over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      const input = zone.querySelector("input[type=file]");
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
});
document.addEventListener("change", (event) => {
  const zone = zoneOf(event);
  if (zone && event.target.matches("input[type=file]")) showFile(zone);
});

// A file chosen before this script ran, or kept by the browser when coming back.
document.querySelectorAll("[data-drop]").forEach(showFile);

// Upload progress: htmx sends the form and tells how far it is.
const progressOf = (form) => form.querySelector("[data-upload]");
document.addEventListener("htmx:beforeRequest", (event) => {
  const box = event.target.matches("form") && progressOf(event.target);
  if (!box) return;
  box.hidden = false;
  event.target.querySelectorAll("button[type=submit]").forEach((button) => { button.disabled = true; });
});
document.addEventListener("htmx:xhr:progress", (event) => {
  const box = event.target.matches("form") && progressOf(event.target);
  if (!box || !event.detail.lengthComputable) return;
  const share = Math.floor((100 * event.detail.loaded) / event.detail.total);
  box.querySelector("progress").value = share;
  box.querySelector("[data-upload-text]").textContent = share < 100
    ? `${share} % · ${sizeText(event.detail.loaded)} / ${sizeText(event.detail.total)}`
    : box.dataset.checking;
});
const uploadFailed = (event) => {
  const box = event.target.matches("form") && progressOf(event.target);
  if (!box) return;
  box.querySelector("[data-upload-text]").textContent = box.dataset.failed;
  event.target.querySelectorAll("button[type=submit]").forEach((button) => { button.disabled = false; });
};
document.addEventListener("htmx:sendError", uploadFailed);
document.addEventListener("htmx:responseError", uploadFailed);

// An open menu closes with Escape, and its focus goes back to what opened it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    menu.open = false;
    menu.querySelector("summary").focus();
  });
});
