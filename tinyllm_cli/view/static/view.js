// What every page does: a part marked `data-live` is fetched again after so many milliseconds, and only what changed is
// changed, so that focus, selection and open details stay.
"use strict";

const offline = document.getElementById("offline");

function announce(text) {
  offline.hidden = !text;
  if (offline.textContent !== text) offline.textContent = text;
}

function same(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
}

// Make `old` like `fresh`, node by node.
function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, place) => {
    const present = old.childNodes[place];
    if (!present) old.append(node);
    else if (same(present, node)) update(present, node);
    else {
      const later = node.id && [...old.childNodes].slice(place).find((one) => one.id === node.id);
      if (later) {
        old.insertBefore(later, present);
        update(later, node);
      } else old.insertBefore(node, present);
    }
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

async function refresh() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  if (!document.hidden) {
    try {
      const address = new URL(location.href);
      address.searchParams.set("part", "1");
      const reply = await fetch(address, { signal: AbortSignal.timeout(20000) });
      if (!reply.ok) throw new Error(String(reply.status));
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("main");
      update(document.getElementById("main"), fresh);
      announce("");
    } catch {
      announce("tinyllm view does not answer. What is shown is old; trying again.");
    }
  }
  setTimeout(refresh, Number(live.dataset.live));
}

const live = document.querySelector("[data-live]");
if (live) setTimeout(refresh, Number(live.dataset.live));

const FIELDS = "input:not([type=checkbox]), textarea, select";

// Elements with `data-key` are what a key does: a link is followed, a button pressed, a field focused.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const field = event.target.closest(FIELDS);
  if (field && event.key !== "Escape") return;
  if (field) {
    field.blur();
    return;
  }
  const wanted = [...document.querySelectorAll("[data-key]")].find(
    (one) => one.dataset.key.split(" ").includes(event.key) && !one.disabled && one.checkVisibility(),
  );
  if (!wanted) return;
  event.preventDefault();
  if (wanted.matches(FIELDS)) wanted.focus();
  else wanted.click();
});

// Selects of a form that filters apply when they change.
document.addEventListener("change", (event) => {
  if (event.target.matches("form[data-submits] select, form[data-submits] input[type=checkbox]")) {
    event.target.form.requestSubmit();
  }
});
