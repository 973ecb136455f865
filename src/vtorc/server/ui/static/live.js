// Keeps a page current: events tell that something has changed, and the server renders it again.
import { morph } from "./morph.js";

/** Milliseconds between two events and the request that they lead to, so that a storm costs few requests. */
const GATHER_FOR = 150;

/** Milliseconds without a sign of life of vtorc after which the page says that it is out of date. */
const STALE_AFTER = 5000;

export const prefix = document.body.dataset.prefix;
const freshness = document.getElementById("freshness");
const lookBack = document.getElementById("look-back");
const handlers = new Map();
let heardAt = performance.now();
let lastBeat = "";
let waiting = false;
let underWay = false;

/** Let `handler` take events of a kind, in place of rendering the whole page again. */
export function on(kind, handler) {
  handlers.set(kind, handler);
}

/** Fetch a piece of a page, as an element whose children are the piece. */
export async function fetchPart(address) {
  const answer = await fetch(address, { headers: { "X-Vtorc-Part": "1", Accept: "text/html" } });
  if (!answer.ok && answer.status !== 404) throw new Error(`${address}: ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html").body;
}

/** Render the main part again, once for all calls of a moment. */
export function refresh() {
  if (waiting) return;
  waiting = true;
  setTimeout(renderAgain, GATHER_FOR);
}

async function renderAgain() {
  waiting = false;
  if (underWay) return refresh();
  underWay = true;
  try {
    const part = await fetchPart(location.href);
    const fresh = part.querySelector("main");
    if (fresh) morph(document.getElementById("main"), fresh);
    document.dispatchEvent(new Event("vtorc:rendered"));
  } catch {
    setTimeout(refresh, 1000);
  } finally {
    underWay = false;
  }
}

function hear(event) {
  const handler = handlers.get(event.type);
  if (handler) handler(JSON.parse(event.data));
  else refresh();
}

function beat(event) {
  const { at } = JSON.parse(event.data);
  if (at === lastBeat) return;
  lastBeat = at;
  heardAt = performance.now();
  setStale(false);
  freshness.textContent = `As of ${new Date(at).toISOString().slice(11, 19)} UTC`;
  if (lookBack) lookBack.search = new URLSearchParams({ at });
}

function setStale(isStale) {
  if (document.body.classList.contains("is-stale") === isStale) return;
  document.body.classList.toggle("is-stale", isStale);
  for (const each of document.querySelectorAll("[data-act]")) setOff(each, isStale);
  if (isStale) freshness.textContent = `Disconnected: showing what was known ${freshness.textContent.replace("As of", "as of")}; actions are off`;
}

/** Switch a button or a link that leads to an action off, or on again. */
function setOff(element, isOff) {
  if (element.nodeName !== "A") {
    element.disabled = isOff;
  } else if (isOff) {
    element.dataset.address = element.getAttribute("href");
    element.removeAttribute("href");
    element.setAttribute("aria-disabled", "true");
  } else if (element.dataset.address !== undefined) {
    element.setAttribute("href", element.dataset.address);
    element.removeAttribute("aria-disabled");
  }
}

function listen() {
  const source = new EventSource(`${prefix}/api/v1/events?${document.body.dataset.events}`);
  source.addEventListener("heartbeat", beat);
  for (const kind of ["shard", "gone", "status", "recovery", "decision", "hold", "audit", "reset"]) source.addEventListener(kind, hear);
  // Between the rendering and the first event, and after a pause, more may have happened than events will tell.
  // A page that asks for signs of life alone, such as a plan, stays as it was read.
  if (document.body.dataset.events !== "kinds=heartbeat") source.addEventListener("open", () => hear({ type: "reset", data: "{}" }));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

if (document.body.dataset.events) {
  listen();
  setInterval(() => setStale(performance.now() - heardAt > STALE_AFTER), 500);
}
