// Sends files in parts through the API's uploads: with progress, going on after a lost connection or a reload.
// Without this file the form sends its file as any form does.
//
//   <form>… {% csrf_token %} …
//     <div data-uploader data-api="{% url "api:uploads" %}" data-max="BYTES" data-remember="KEY" data-say-…="…">
//       <input type="file" name="file">               what is chosen, or dropped on it (app.js)
//       <input type="hidden" name="upload" data-uploader-id>   gets the id of the finished upload
//       <div data-uploader-box hidden>
//         <progress max="100"></progress> <span data-uploader-text role="status"></span>
//         <button type="button" data-uploader-again>…</button> <button type="button" data-uploader-cancel>…</button>
//
// data-max: refuse larger files at once. data-remember: a key of one's own a page, under which the browser keeps what
// was begun. data-partless: a file up to this many bytes is left to the form. Words: data-say-reading, -sending, -joining,
// -done, -resume, -failed, -large, -waiting, -left; {name} {percent} {sent} {size} {left} {why} {max} are filled in.
// Events on the element: upload:chosen {file}, upload:done {id, name, size, sha256}, upload:gone. A form that is
// submitted while it sends is submitted when all is there. With `multiple` files go one after the other: one
// upload:done each, and the hidden field stays empty.

import { Sha256 } from "./sha256.js";

const TRIES = 6;
const TRIES_ELSEWHERE = 3;
const SLICE = 4 * 2 ** 20;
const AT_ONCE = 32 * 2 ** 20;
const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

// The browser's own where it has one (over https, or on one's own machine), and the bytes fit into memory.
const digestAtOnce = async (bytes) => {
  if (!globalThis.crypto?.subtle) return new Sha256().add(new Uint8Array(bytes)).hex();
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(found, (value) => value.toString(16).padStart(2, "0")).join("");
};

const digestOf = async (file, tell, signal) => {
  if (file.size <= AT_ONCE) return digestAtOnce(await file.arrayBuffer());
  const sum = new Sha256();
  for (let at = 0; at < file.size; at += SLICE) {
    signal.throwIfAborted();
    sum.add(new Uint8Array(await file.slice(at, at + SLICE).arrayBuffer()));
    tell(Math.min(file.size, at + SLICE));
  }
  return sum.hex();
};

// One request. A lost connection and a busy server are tried again; what is refused is told.
const ask = (method, url, body, { token, signal, tell = () => {}, headers = {} }) => new Promise((done, fail) => {
  const request = new XMLHttpRequest();
  const stop = () => { request.abort(); fail(new DOMException("", "AbortError")); };
  request.open(method, url);
  request.responseType = "json";
  if (token) request.setRequestHeader("X-CSRFToken", token);
  Object.entries(headers).forEach(([name, value]) => request.setRequestHeader(name, value));
  request.upload.addEventListener("progress", (event) => tell(event.loaded));
  request.addEventListener("error", () => fail(Object.assign(new Error(""), { again: true })));
  request.addEventListener("load", () => {
    signal.removeEventListener("abort", stop);
    if (request.status < 300) { done(request.response); return; }
    const problem = request.response || {};
    const text = [problem.detail || problem.title, problem.hint].filter(Boolean).join(" ");
    fail(Object.assign(new Error(text), { again: request.status >= 502, status: request.status, code: problem.code }));
  });
  signal.addEventListener("abort", stop);
  request.send(body);
});

const persist = async (method, url, body, { tries = TRIES, ...options }) => {
  for (let round = 0; ; round += 1) {
    try {
      return await ask(method, url, body, options);
    } catch (error) {
      if (!error.again || round >= tries) throw error;
      await wait(Math.min(30000, 500 * 2 ** round));
    }
  }
};

const json = { "Content-Type": "application/json", Accept: "application/json" };

// Sends a part to the file storage that the server named: without our token, and by a fresh URL where one has expired.
const sendDirect = async (urls, base, number, part, { token, signal, tell }) => {
  const put = () => persist("PUT", urls.get(number), part, { signal, tell, tries: TRIES_ELSEWHERE });
  const renew = async () => {
    const fresh = await persist("GET", base, null, { token, signal, headers: { Accept: "application/json" } });
    urls.clear();
    fresh.urls.forEach((each) => urls.set(each.number, each.url));
    return fresh.parts.some((each) => each.number === number);
  };
  if (urls.has(number)) {
    try { return await put(); } catch (error) { if (error.again || !error.status) throw error; }
  }
  return await renew() ? null : put();
};

// Sends `file`; resolves to the upload as the API tells it. `tell(stage, bytes)` hears of reading, sending and joining.
export const uploadFile = async (file, { api, token, signal, tell = () => {}, sha256 = "", begun = () => {} }) => {
  const sum = sha256 || await digestOf(file, (bytes) => tell("reading", bytes), signal);
  const options = { token, signal, headers: json };
  const upload = await persist("POST", api, JSON.stringify({ name: file.name, size: file.size, sha256: sum }), options);
  begun(upload);
  const base = `${api.replace(/\/$/, "")}/${upload.id}`;
  if (!upload.completed_at) {
    const held = new Set(upload.parts.map((part) => part.number));
    let sent = upload.parts.reduce((bytes, part) => bytes + part.size, 0);
    tell("sending", sent, sent);
    const first = sent;
    let { direct } = upload;
    const urls = new Map(upload.urls.map((each) => [each.number, each.url]));
    for (let number = 1; (number - 1) * upload.part_size < file.size; number += 1) {
      if (held.has(number)) continue;
      const part = file.slice((number - 1) * upload.part_size, number * upload.part_size);
      const before = sent;
      const telling = (bytes) => tell("sending", before + Math.min(bytes, part.size), first);
      try {
        if (direct) await sendDirect(urls, base, number, part, { token, signal, tell: telling });
      } catch (error) {
        if (!error.again) throw error;
        direct = false; // a network that lets us reach the site and not its storage
      }
      if (!direct) {
        const digest = await digestAtOnce(await part.arrayBuffer());
        const headers = { "Content-Type": "application/octet-stream", "X-Content-SHA256": digest };
        await persist("PUT", `${base}/parts/${number}`, part, { token, signal, headers, tell: telling });
      }
      sent += part.size;
      tell("sending", sent, first);
    }
    tell("joining", file.size);
    await persist("POST", `${base}/complete`, null, options);
  }
  return upload;
};

const sizeText = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB"];
  let [amount, unit] = [bytes, 0];
  while (amount >= 1024 && unit < units.length - 1) { amount /= 1024; unit += 1; }
  return `${unit ? amount.toFixed(1) : amount} ${units[unit]}`;
};
const timeText = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);

class Uploader {
  constructor(element) {
    this.element = element;
    this.input = element.querySelector("input[type=file]");
    this.id = element.querySelector("[data-uploader-id]");
    this.box = element.querySelector("[data-uploader-box]");
    this.bar = this.box.querySelector("progress");
    this.text = this.box.querySelector("[data-uploader-text]");
    this.again = this.box.querySelector("[data-uploader-again]");
    this.name = this.input.name;
    this.busy = null;
    this.input.addEventListener("change", () => this.choose([...this.input.files]));
    this.box.querySelector("[data-uploader-cancel]").addEventListener("click", () => this.cancel());
    this.again.addEventListener("click", () => this.choose(this.files));
    this.recall();
  }

  get form() { return this.element.closest("form"); }

  get key() { return `upload:${this.element.dataset.remember || location.pathname}`; }

  memory() {
    try { return JSON.parse(localStorage.getItem(this.key)) || {}; } catch { return {}; }
  }

  keep(value) {
    try {
      if (value) localStorage.setItem(this.key, JSON.stringify(value)); else localStorage.removeItem(this.key);
    } catch { /* a browser that keeps nothing begins anew */ }
  }

  say(word, values = {}, state = "") {
    const known = this.element.dataset[`say${word[0].toUpperCase()}${word.slice(1)}`] || "";
    const text = known.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? "");
    this.box.hidden = false;
    this.box.dataset.state = state;
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  fire(name, detail = {}) {
    this.element.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  token() {
    return this.form.querySelector("[name=csrfmiddlewaretoken]").value;
  }

  // What was begun before the page was loaded anew.
  async recall() {
    if (this.input.files.length) { this.choose([...this.input.files]); return; } // chosen before this script ran
    if (this.id.value) { this.input.name = ""; this.say("done", { name: this.id.dataset.name || "" }, "done"); this.again.hidden = true; return; }
    const held = this.memory();
    if (!held.id) return;
    try {
      const options = { token: this.token(), signal: new AbortController().signal, headers: { Accept: "application/json" } };
      const upload = await ask("GET", `${this.element.dataset.api}/${held.id}`, null, options);
      if (this.busy || this.id.value) return;
      const sent = upload.parts.reduce((bytes, part) => bytes + part.size, 0);
      if (upload.completed_at) { this.finish(upload, held); return; }
      this.bar.value = (100 * sent) / upload.size;
      this.again.hidden = true;
      this.say("resume", { name: held.name, percent: Math.floor((100 * sent) / upload.size) }, "resume");
    } catch (error) {
      if (error.status === 404) this.keep(null);
    }
  }

  finish(upload, { name, size }) {
    if (!this.input.multiple) {
      this.id.value = upload.id;
      this.id.dataset.name = name;
      this.input.name = ""; // the form sends the id, and not the bytes again
    }
    this.bar.value = 100;
    this.again.hidden = true;
    this.say("done", { name, size: sizeText(size) }, "done");
    this.fire("upload:done", { id: upload.id, name, size, sha256: upload.sha256 });
  }

  async choose(files) {
    if (!files.length) return;
    this.stop();
    this.files = files;
    this.id.value = "";
    this.input.name = this.name;
    for (const file of files) {
      this.fire("upload:chosen", { file });
      if (this.element.dataset.partless && file.size <= Number(this.element.dataset.partless)) { this.box.hidden = true; continue; }
      if (!(await this.send(file))) return;
    }
    this.busy = null;
    if (this.pending) { this.pending = false; this.form.requestSubmit(); }
  }

  async send(file) {
    const max = Number(this.element.dataset.max || 0);
    this.bar.value = 0;
    this.again.hidden = true;
    if (max && file.size > max) {
      this.say("large", { name: file.name, size: sizeText(file.size), max: sizeText(max) }, "failed");
      this.busy = null;
      return false;
    }
    const work = new AbortController();
    this.busy = work;
    const held = this.memory();
    const print = { name: file.name, size: file.size, modified: file.lastModified };
    const same = Object.entries(print).every(([name, value]) => held[name] === value);
    const since = performance.now();
    const tell = (stage, bytes, first = 0) => {
      if (this.busy !== work) return;
      const percent = Math.floor((100 * bytes) / file.size);
      const speed = (bytes - first) / Math.max(0.1, (performance.now() - since) / 1000);
      const left = stage === "sending" && speed > 0 ? timeText((file.size - bytes) / speed) : "";
      this.bar.value = percent;
      this.say(stage, { name: file.name, percent, sent: sizeText(bytes), size: sizeText(file.size), left }, "busy");
    };
    try {
      const begun = (upload) => this.keep({ ...print, sha256: upload.sha256, id: upload.id });
      const upload = await uploadFile(file, {
        api: this.element.dataset.api, token: this.token(), signal: work.signal, tell, begun, sha256: same ? held.sha256 : "",
      });
      if (this.busy !== work) return false;
      this.busy = null;
      this.finish(upload, print);
      return true;
    } catch (error) {
      if (error.name === "AbortError" || this.busy !== work) return false;
      this.busy = null;
      this.pending = false;
      this.again.hidden = false;
      if (error.code === "digest") this.keep(null);
      this.say("failed", { name: file.name, why: error.message }, "failed");
      this.fire("upload:gone");
      return false;
    }
  }

  stop() {
    if (this.busy) this.busy.abort();
    this.busy = null;
  }

  // What was begun and is given up need not lie on the server for a day; a complete one stays, and says 409.
  forget() {
    const { id } = this.memory();
    if (!id || this.id.value) return;
    const options = { token: this.token(), signal: new AbortController().signal, headers: { Accept: "application/json" } };
    ask("DELETE", `${this.element.dataset.api}/${id}`, null, options).catch(() => {});
  }

  cancel() {
    this.stop();
    this.forget();
    this.pending = false;
    this.keep(null);
    this.id.value = "";
    this.input.value = "";
    this.input.name = this.name;
    this.box.hidden = true;
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
    const shown = this.element.querySelector("[data-drop-name]");
    if (shown) shown.textContent = "";
    this.input.focus();
    this.fire("upload:gone");
  }
}

const uploaders = new WeakMap();
const enhance = () => document.querySelectorAll("[data-uploader]").forEach((element) => {
  if (!uploaders.has(element)) uploaders.set(element, new Uploader(element));
});

// Before anybody else hears of it: a form whose file is still on its way waits for it.
window.addEventListener("submit", (event) => {
  [...event.target.querySelectorAll("[data-uploader]")].forEach((element) => {
    const uploader = uploaders.get(element);
    if (!uploader) return;
    if (!uploader.busy) { if (uploader.id.value) uploader.keep(null); return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    uploader.pending = true;
    uploader.element.dataset.pending = "";
  });
}, true);
document.addEventListener("htmx:afterSettle", enhance);
// After all scripts of the page, so that those who listen are there.
if (document.readyState === "complete") enhance(); else document.addEventListener("DOMContentLoaded", enhance);
