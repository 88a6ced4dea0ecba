// Review: one rationale after another. A verdict is kept in this browser until the server has stored it, with its time:
// without a connection the review continues with what is loaded, and the verdicts are sent later.
"use strict";

const review = document.getElementById("review");
const item = document.getElementById("item");
const actions = document.getElementById("actions");
const rejecting = document.getElementById("rejecting");
const editing = document.getElementById("editing");
const reason = document.getElementById("reason");
const text = document.getElementById("text");
const reviewer = document.getElementById("reviewer");
const blind = document.getElementById("blind");
const again = document.getElementById("again");
const said = document.getElementById("said");
const refused = document.getElementById("refused");
const csrf = document.querySelector("meta[name=csrf]").content;
const store = review.dataset.store;
const prefix = `tinyllm:verdict:${store}:`;
const retryAfter = 2000;

const state = { items: [], at: 0, more: true, loading: null, counts: "" };

// ---- verdicts that wait

const waiting = () => Object.keys(localStorage).filter((name) => name.startsWith(prefix)).sort();

function keep(entry) {
  localStorage.setItem(prefix + `${entry.decided}-${entry.entry}`, JSON.stringify(entry));
}

let sending = null;

// Send what waits, the oldest first. What the server refuses is shown and stays until the reviewer dismisses it.
async function send() {
  if (sending) return sending;
  sending = (async () => {
    for (const name of waiting()) {
      const entry = JSON.parse(localStorage.getItem(name) || "null");
      if (!entry || entry.refused) continue;
      let reply;
      try {
        reply = await fetch("/review/verdict", {
          method: "POST",
          headers: { "content-type": "application/json", "x-csrf": csrf },
          body: JSON.stringify({ ...entry, age: Date.now() - entry.decided }),
          signal: AbortSignal.timeout(20000),
        });
      } catch {
        return "There is no connection";
      }
      if (reply.ok) {
        localStorage.removeItem(name);
        continue;
      }
      const problem = (await reply.json().catch(() => ({}))).error || `The server answered ${reply.status}.`;
      if (reply.status !== 400) return problem;
      localStorage.setItem(name, JSON.stringify({ ...entry, refused: problem }));
    }
    return "";
  })();
  const problem = await sending;
  sending = null;
  report(problem);
  return problem;
}

function report(problem) {
  const entries = waiting().map((name) => [name, JSON.parse(localStorage.getItem(name))]);
  const open = entries.filter(([, entry]) => !entry.refused);
  announce(problem && open.length ? `${problem}. ${open.length} of your verdicts wait in this browser.` : "");
  review.dataset.waiting = String(open.length);
  refused.replaceChildren(
    ...entries.filter(([, entry]) => entry.refused).map(([name, entry]) => {
      const line = document.createElement("p");
      line.className = "banner";
      line.textContent = `Not stored: ${entry.verdict} of rationale ${entry.rationale}. ${entry.refused} `;
      const dismiss = document.createElement("button");
      dismiss.type = "button";
      dismiss.textContent = "Dismiss";
      dismiss.addEventListener("click", () => {
        localStorage.removeItem(name);
        report("");
      });
      line.append(dismiss);
      return line;
    }),
  );
}

async function sendAgain() {
  if (waiting().length) await send();
  setTimeout(sendAgain, retryAfter);
}

// ---- the rationales

async function load() {
  if (state.loading || !state.more) return state.loading;
  state.loading = (async () => {
    const asked = new URLSearchParams(location.search);
    asked.delete("token");
    asked.set("reviewer", reviewer.value.trim());
    if (blind.checked) asked.set("blind", "1");
    if (again.checked) asked.set("again", "1");
    const last = state.items.at(-1);
    if (last) asked.set("after", last.rationale);
    try {
      const reply = await fetch(`/review/queue.json?${asked}`, { signal: AbortSignal.timeout(30000) });
      const found = await reply.json();
      if (!reply.ok) throw new Error(found.error);
      state.items.push(...found.items);
      state.more = found.more;
      const counts = [];
      if (found.rationales !== null) counts.push(`${found.rationales} rationales`);
      if (found.reviewed !== null) counts.push(`${found.reviewed} decided by you`);
      state.counts = counts.join(", ");
    } catch (error) {
      said.textContent = error.message || "The rationales can't be loaded.";
    }
    state.loading = null;
  })();
  return state.loading;
}

function hideForms() {
  rejecting.hidden = editing.hidden = true;
}

async function show() {
  hideForms();
  if (state.at + 5 >= state.items.length) {
    const loaded = load();
    if (state.at >= state.items.length) await loaded;
  }
  document.getElementById("counts").textContent = state.counts;
  const present = state.items[state.at];
  actions.hidden = !state.items.length;
  for (const button of actions.querySelectorAll("button")) {
    button.disabled = button.id === "back" ? state.at === 0 : !present || (button.id !== "skip" && !csrf);
  }
  if (!present) {
    item.textContent = state.items.length || !state.more ? "Nothing is left to review with these choices." : "No connection: nothing more is loaded.";
    if (state.more) setTimeout(() => state.at >= state.items.length && show(), retryAfter);
    return;
  }
  item.replaceChildren(...new DOMParser().parseFromString(present.html, "text/html").body.childNodes);
  if (present.decided) said.textContent = `You decided on rationale ${present.rationale}: ${present.decided}. A later decision counts.`;
  document.getElementById("item-title").focus({ preventScroll: true });
  review.scrollIntoView({ block: "nearest" });
}

function restart() {
  Object.assign(state, { items: [], at: 0, more: true, loading: null });
  show();
}

function move(step) {
  state.at = Math.max(0, Math.min(state.items.length, state.at + step));
  show();
}

function decide(verdict, words) {
  const present = state.items[state.at];
  if (!present || !csrf) return;
  if (!reviewer.value.trim()) {
    said.textContent = "Who reviews? Give a name first.";
    reviewer.focus();
    return;
  }
  const entry = crypto.randomUUID();
  keep({
    store, entry, verdict, words: words ?? null, rationale: present.rationale, check: present.check,
    reviewer: reviewer.value.trim(), decided: Date.now(),
  });
  present.decided = verdict;
  const done = { accept: "Accepted", reject: "Rejected", edit: "Edited" }[verdict];
  said.textContent = `${done}: rationale ${present.rationale}.`;
  move(1);
  send();
}

document.getElementById("accept").addEventListener("click", () => decide("accept"));
document.getElementById("skip").addEventListener("click", () => move(1));
document.getElementById("back").addEventListener("click", () => move(-1));
document.getElementById("reject").addEventListener("click", () => {
  editing.hidden = true;
  rejecting.hidden = false;
  reason.value = "";
  reason.focus();
});
document.getElementById("edit").addEventListener("click", () => {
  rejecting.hidden = true;
  editing.hidden = false;
  text.value = state.items[state.at].proposed;
  text.focus();
});
for (const cancel of review.querySelectorAll(".cancel")) {
  cancel.addEventListener("click", () => {
    hideForms();
    document.getElementById("item-title").focus();
  });
}
rejecting.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = reason.value.trim();
  if (!words) return;
  const known = [...document.querySelectorAll("#reasons option")].map((one) => one.value);
  if (!known.includes(words)) {
    const option = document.createElement("option");
    option.value = words;
    document.getElementById("reasons").prepend(option);
  }
  decide("reject", words);
});
editing.addEventListener("submit", (event) => {
  event.preventDefault();
  if (text.value.trim()) decide("edit", text.value);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) editing.requestSubmit();
});
for (const form of [rejecting, editing]) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    hideForms();
    document.getElementById("item-title").focus();
  });
}

// ---- the reviewer's choices, kept in this browser

function choices() {
  document.body.classList.toggle("blind", blind.checked);
  for (const one of document.querySelectorAll("[data-hides]")) one.hidden = blind.checked;
}
reviewer.value = localStorage.getItem("tinyllm:reviewer") || reviewer.value;
blind.checked = localStorage.getItem("tinyllm:blind") === "1";
reviewer.addEventListener("change", () => {
  localStorage.setItem("tinyllm:reviewer", reviewer.value.trim());
  restart();
});
blind.addEventListener("change", () => {
  localStorage.setItem("tinyllm:blind", blind.checked ? "1" : "");
  choices();
  restart();
});
again.addEventListener("change", restart);
window.addEventListener("online", send);
choices();
if (csrf) sendAgain();
report("");
show();
