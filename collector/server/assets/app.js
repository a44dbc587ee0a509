// Makes working pages handier: nothing here is needed to read or do anything.
"use strict";

const inField = (target) => target instanceof Element && target.closest("input, textarea, select, [contenteditable]");

// "/" goes to the search field, the usual key for it.
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

// Times in the reader's zone, UTC on hover; paper keeps UTC. Relative times keep their words.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const local = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
const times = [...document.querySelectorAll("main time[datetime]")].flatMap((element) => {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return [];
  return [{ element, moment, text: element.textContent, title: element.title }];
});
const inLocalTime = () => {
  if (!zone || zone === "UTC") return;
  for (const { element, moment, text, title } of times) {
    element.textContent = title ? text : local.format(moment);
    element.title = title ? `${local.format(moment)} (${title})` : text;
  }
  for (const note of document.querySelectorAll("[data-zone]")) note.textContent = `${zone}, UTC on hover; charts, their tables and this line in UTC`;
};
const inUtc = () => {
  for (const { element, text, title } of times) {
    element.textContent = text;
    element.title = title;
  }
};
inLocalTime();

// Paper shows what is folded.
addEventListener("beforeprint", () => {
  inUtc();
  for (const fold of document.querySelectorAll("main details:not([open])")) {
    fold.open = true;
    fold.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  inLocalTime();
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
