// Makes working pages handier: nothing here is needed to read or do anything.
"use strict";

const inField = (target) => target instanceof Element && target.closest("input, textarea, select, [contenteditable]");

// "/" goes to the search field, as the placeholder's title says.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
  const search = document.getElementById("search");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// A button on everything that is made to be copied.
if (navigator.clipboard) {
  for (const block of document.querySelectorAll(".cmd")) {
    const text = block.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.trim());
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.append(button);
  }
}

// Times in the reader's zone, UTC on hover. Relative times keep their words.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && zone !== "UTC") {
  const local = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const utc = time.dateTime.replace("T", " ").replace("Z", " UTC");
    if (time.title) {
      time.title = `${local.format(moment)} (${utc})`;
    } else {
      time.title = utc;
      time.textContent = local.format(moment);
    }
  }
  for (const note of document.querySelectorAll("[data-zone]")) note.textContent = `${zone}, UTC on hover; charts and this line in UTC`;
}

// Paper shows what is folded, in UTC.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("main details:not([open])")) {
    fold.open = true;
    fold.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-folded]")) {
    fold.open = false;
    delete fold.dataset.folded;
  }
});

// The menu of a small screen closes when one presses Escape or elsewhere.
const menu = document.querySelector("details.menu");
if (menu) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") menu.open = false; });
}
