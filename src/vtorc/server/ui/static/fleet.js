// The fleet page: rows change in place, and nothing moves under the pointer until the operator asks for it.
import { morph } from "./morph.js";
import { fetchPart, on, prefix } from "./live.js";
import { Rows } from "./rows.js";

/** Milliseconds between two readings of the counts. */
const COUNT_EVERY = 500;

const moved = new Set();
const button = document.getElementById("sort-again");
const form = document.querySelector(".filters");
const rows = takeOver();
let counting = 0;

function takeOver() {
  const list = document.getElementById("rows");
  return list ? new Rows(list, (name) => (moved.add(name), offerToSort())) : null;
}

/** Fetch the order of all shards that the address asks for; the server rendered only the first of them. */
async function readOrder() {
  const answer = await fetch(`${prefix}/ui/order${location.search}`);
  if (answer.ok) rows?.order(await answer.json());
}

/** Show the shards in the order of this moment: only then do rows move. */
async function sortAgain() {
  moved.clear();
  offerToSort();
  await readOrder();
}

async function readCounts() {
  counting = 0;
  try {
    const part = await fetchPart(`${prefix}/ui/rows`);
    for (const key of ["sentence", "strip"]) takeTop(part, key);
  } catch {
    countSoon();
  }
}

function countSoon() {
  if (!counting) counting = setTimeout(readCounts, COUNT_EVERY);
}

function takeTop(part, key) {
  const old = document.querySelector(`main [data-key="${key}"]`);
  const fresh = part.querySelector(`[data-key="${key}"]`);
  if (!old || !fresh) return;
  const chosen = new URLSearchParams(location.search).get("state") ?? "";
  for (const link of fresh.querySelectorAll("a[data-state-link]")) {
    if (link.dataset.stateLink === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  morph(old, fresh);
}

function offerToSort() {
  const isAlone = rows?.names.length === 1 && moved.size === 1 && moved.has(rows.names[0]);
  button.hidden = moved.size === 0 || isAlone;
  button.textContent = moved.size === 1 ? "1 shard has changed: sort again" : `${moved.size} shards have changed: sort again`;
}

button.addEventListener("click", sortAgain);

on("shard", ({ shard }) => {
  if (!rows && !location.search) return location.reload(); // the first shard of all
  countSoon();
  rows?.change(shard.name);
});
on("gone", ({ shard }) => {
  rows?.remove(shard);
  countSoon();
});
on("status", () => countSoon());
on("reset", () => {
  countSoon();
  rows?.changeAll();
});

// --- filters: the address tells what is shown, so that it can be sent to another operator

let typing = 0;
function search() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  location.replace(query.size ? `?${query}` : location.pathname);
}
function find() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  scrollTo({ top: 0 });
  readOrder();
}
form.addEventListener("input", (event) => {
  if (event.target.id !== "find" || !rows) return search();
  clearTimeout(typing);
  typing = setTimeout(find, 120);
});

// --- keys: / finds, j and k walk, Enter opens (it is a link that has the focus)

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.matches("input, select, textarea");
  if (event.key === "/" && !inField) {
    event.preventDefault();
    document.getElementById("find").focus();
  } else if (event.key === "Escape" && inField) {
    event.target.blur();
  } else if ((event.key === "j" || event.key === "k") && !inField) {
    rows?.step(event.key === "j" ? 1 : -1);
  }
});

sortAgain();
