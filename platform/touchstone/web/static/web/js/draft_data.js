// Files of a split: each that upload.js has sent becomes a file of the draft, and the list is shown anew. Without this
// file the form sends its files as any form does.
"use strict";

const say = (form, key, name) => {
  form.querySelector("[data-split-note]").textContent = (form.dataset[key] || "").replace("{name}", name);
};

const showFiles = async (form) => {
  const answer = await fetch(window.location.href, { credentials: "same-origin" });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(form.dataset.files);
  const old = document.getElementById(form.dataset.files);
  if (fresh && old) old.replaceWith(document.adoptNode(fresh));
};

const add = async (form, { id, name }, more) => {
  say(form, "adding", name);
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  body.append("split", form.querySelector("[name=split]").value);
  body.append("upload", id);
  if (more) body.append("more", "1");
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" }, credentials: "same-origin" });
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.detail, told.hint].filter(Boolean).join(" "));
};

document.querySelectorAll("[data-split-form]").forEach((form) => {
  const input = form.querySelector("input[type=file]");
  form.querySelector("[data-split-send]").hidden = true; // what is chosen is sent at once
  let done = 0;
  let queue = Promise.resolve();
  input.addEventListener("change", () => { done = 0; }, true);
  form.addEventListener("upload:done", ({ detail }) => {
    done += 1;
    const more = done < input.files.length;
    queue = queue.then(async () => {
      try {
        await add(form, detail, more);
        await showFiles(form);
        say(form, "added", detail.name);
      } catch (error) {
        form.querySelector("[data-split-note]").textContent = error.message;
      }
    });
  });
});
