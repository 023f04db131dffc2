// Follows a run that has not ended: over server-sent events, or by asking every two seconds where there are none.
"use strict";

(() => {
  const logs = document.getElementById("logs");
  if (!logs || !logs.dataset.stream) return;
  const AGAIN_MS = 2000;
  const TRIES = 3;
  let asking = 0;
  let waiting = 0;
  let failures = 0;

  // The part of the page that changes; the server answers 204 where nothing did.
  const lookAt = (element) => { if (element) element.dispatchEvent(new Event("look")); };
  const look = () => lookAt(document.querySelector("#run[data-live]"));
  const lookSoon = () => {
    if (waiting) return;
    waiting = window.setTimeout(() => { waiting = 0; look(); }, 150);
  };

  const askInstead = () => {
    if (asking) return;
    asking = window.setInterval(() => {
      if (!document.querySelector("#run[data-live]")) {
        window.clearInterval(asking);
        return;
      }
      look();
      lookAt(logs);
    }, AGAIN_MS);
  };

  const write = (message) => {
    const part = logs.querySelector(`[data-log-part="${message.part}"]`);
    if (!part) return;
    const box = part.querySelector("[data-log-text]");
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    if (message.anew) box.textContent = "";
    box.append(message.text);
    part.hidden = !box.textContent;
    if (atEnd) box.scrollTop = box.scrollHeight;
  };

  if (!window.EventSource) {
    askInstead();
    return;
  }
  const source = new EventSource(logs.dataset.stream);
  const heard = () => { failures = 0; };
  source.addEventListener("open", heard);
  source.addEventListener("state", lookSoon);
  source.addEventListener("event", lookSoon);
  source.addEventListener("log", (event) => write(JSON.parse(event.data)));
  source.addEventListener("end", () => { source.close(); look(); });
  source.addEventListener("error", () => {
    failures += 1;
    // Closed by the browser (the server said no), or it cannot get through: ask every now and then.
    if (source.readyState === EventSource.CLOSED || failures >= TRIES) {
      source.close();
      askInstead();
    }
  });
  window.addEventListener("pagehide", () => source.close());
})();
