// A slider beside each weight: the number stays the field, for keyboards and for those without a script.
"use strict";

const MOST = 10;
document.querySelectorAll("#board-form [data-weight]").forEach((input) => {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: "0", max: String(MOST), step: "0.1", value: input.value || "0", className: "weight-slider", tabIndex: -1 });
  slider.setAttribute("aria-hidden", "true");
  slider.addEventListener("input", () => {
    input.value = slider.value === "0" ? "" : slider.value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  input.addEventListener("input", () => { slider.value = input.value || "0"; });
  input.after(slider);
});
