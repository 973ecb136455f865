// The page of a shard: draws which tablet replicates from which, and lets a replica be dragged onto the primary.
import { send } from "./request.js";

const SVG = "http://www.w3.org/2000/svg";
const topology = () => document.querySelector(".topology");
const hint = () => document.getElementById("drop-hint");

function drawEdges() {
  const edges = document.getElementById("edges");
  const frame = topology().getBoundingClientRect();
  edges.setAttribute("width", frame.width);
  edges.setAttribute("height", frame.height);
  edges.replaceChildren(...[...topology().querySelectorAll(".card[data-source]")].map((card) => edge(card, frame)).filter(Boolean));
}

function edge(card, frame) {
  const source = card.dataset.source && topology().querySelector(`[data-alias="${CSS.escape(card.dataset.source)}"]`);
  if (!source) return null;
  const from = source.getBoundingClientRect();
  const to = card.getBoundingClientRect();
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("class", card.dataset.edge === "running" ? (card.dataset.acks === "1" ? "acks" : "running") : "stopped");
  line.setAttribute("d", path(from, to, frame));
  return line;
}

/** A path from the bottom of the primary along the row below it, or along the left edge between two other cards. */
function path(from, to, frame) {
  const at = (x, y) => `${x - frame.left} ${y - frame.top}`;
  const x = to.left - 10;
  if (to.top < from.bottom) {
    return `M ${at(from.left, from.top + 20)} L ${at(from.left - 10, from.top + 20)} L ${at(x, to.top + 20)} L ${at(to.left, to.top + 20)}`;
  }
  const start = from.left + Math.min(24, from.width / 2);
  const y = from.bottom + 10;
  return `M ${at(start, from.bottom)} L ${at(start, y)} L ${at(x, y)} L ${at(x, to.top + 20)} L ${at(to.left, to.top + 20)}`;
}

// --- dragging: a drop opens the plan and does nothing else

let dragged = null;

document.addEventListener("dragstart", (event) => {
  const card = event.target.closest?.(".card[draggable]");
  if (!card) return;
  if (document.body.classList.contains("is-stale")) return event.preventDefault();
  dragged = card;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", card.dataset.alias);
  topology().classList.add("is-dragging");
  say(card);
});
document.addEventListener("dragover", (event) => {
  if (dragged && event.target.closest?.(".card-primary")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!dragged || !event.target.closest?.(".card-primary")) return;
  event.preventDefault();
  location.assign(dragged.dataset.plan);
});
document.addEventListener("dragend", () => {
  dragged = null;
  topology().classList.remove("is-dragging");
  hint().hidden = true;
});

/** Say what a drop would mean, before it is one: the plan is asked for, which changes nothing. */
async function say(card) {
  const alias = card.dataset.alias;
  const place = hint();
  place.hidden = false;
  place.textContent = `Drop ${alias} on the primary to see the plan that promotes it.`;
  try {
    const [keyspace, shard] = topology().dataset.shard.split("/").map(encodeURIComponent);
    const plan = await send(`/shards/${keyspace}/${shard}/plans`, { kind: "planned", to: alias });
    if (dragged !== card) return;
    place.textContent = plan.refusal
      ? `${alias} cannot be promoted: ${plan.refusal}`
      : `Promote ${alias}. ${plan.write_gap} ${plan.risk || "Nothing that was acknowledged is at risk."}`;
  } catch (error) {
    if (dragged === card) place.textContent = error.message;
  }
}

new ResizeObserver(drawEdges).observe(topology().querySelector(".columns"));
document.addEventListener("vtorc:rendered", drawEdges);
drawEdges();
