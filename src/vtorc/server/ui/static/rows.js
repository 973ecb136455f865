// A long list of which only the rows in sight are in the page; the others are two gaps of their height.
import { morph } from "./morph.js";
import { fetchPart, prefix } from "./live.js";

/** Rows beyond each edge of the window that are kept, so that scrolling meets no gap. */
const MARGIN = 30;
/** Rows that are put in or taken out together, so that most frames of scrolling change nothing. */
const STEP = 10;
/** Milliseconds between two requests for rows. */
const GATHER_FOR = 100;
/** Rows that one request may name, as the server has it. */
const MOST_AT_ONCE = 200;

export class Rows {
  /** Take over the list that the server rendered; `onMove` hears which shard has another place now. */
  constructor(list, onMove) {
    this.list = list;
    this.onMove = onMove;
    this.above = gap();
    this.below = gap();
    this.known = new Map([...list.children].map((row) => [row.dataset.key, row]));
    this.names = [...this.known.keys()];
    this.listed = new Set(this.names);
    this.stale = new Set();
    this.height = 0;
    this.isFetching = false;
    this.shown = [0, this.names.length];
    list.prepend(this.above);
    list.append(this.below);
    addEventListener("scroll", () => this.soon(), { passive: true });
    addEventListener("resize", () => ((this.height = 0), this.soon()));
  }

  /** Show these shards, in this order; rows that are known are shown at once. */
  order(names) {
    this.names = names;
    this.listed = new Set(names);
    for (const name of this.known.keys()) if (!this.listed.has(name)) this.known.delete(name);
    this.shown = [-1, -1]; // draw again, whatever was shown
    this.draw();
  }

  /** Render a row again when it is in sight; a shard that is not in the list yet comes with the next order. */
  change(name) {
    if (!this.listed.has(name) && !location.search) this.onMove(name);
    if (!this.known.has(name)) return;
    this.stale.add(name);
    this.fetchSoon();
  }

  /** Render all rows again as they come into sight. */
  changeAll() {
    for (const name of this.known.keys()) this.stale.add(name);
    this.fetchSoon();
  }

  remove(name) {
    this.known.delete(name);
    this.names = this.names.filter((other) => other !== name);
    this.listed.delete(name);
    this.shown = [-1, -1]; // draw again, whatever was shown
    this.draw();
  }

  /** Move the focus by some rows, from the first row in sight if no row has it. */
  step(by) {
    if (!this.names.length) return;
    const row = document.activeElement?.closest?.(".row");
    const here = row ? this.names.indexOf(row.dataset.key) : this.firstInSight() - by;
    const next = Math.min(this.names.length - 1, Math.max(0, here + by));
    this.reveal(next);
    this.draw();
    this.known.get(this.names[next])?.querySelector("a")?.focus({ preventScroll: true });
  }

  reveal(index) {
    const top = this.top() + index * this.rowHeight();
    const margin = this.rowHeight() * 2;
    if (top < scrollY + margin) scrollTo({ top: top - margin });
    else if (top + margin > scrollY + innerHeight) scrollTo({ top: top + margin - innerHeight });
  }

  soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  top() {
    return this.list.getBoundingClientRect().top + scrollY;
  }

  rowHeight() {
    if (!this.height) this.height = this.list.querySelector(".row")?.getBoundingClientRect().height || 34;
    return this.height;
  }

  firstInSight() {
    return Math.max(0, Math.floor((scrollY - this.top()) / this.rowHeight()));
  }

  draw() {
    const height = this.rowHeight();
    const top = this.firstInSight();
    const first = Math.max(0, Math.floor((top - MARGIN) / STEP) * STEP);
    const last = Math.min(this.names.length, Math.ceil((top + innerHeight / height + MARGIN) / STEP) * STEP);
    const isAsBefore = first === this.shown[0] && last === this.shown[1];
    if (isAsBefore) return;
    this.shown = [first, last];
    const wanted = new Set();
    let place = this.above.nextSibling;
    for (let index = first; index < last; index++) {
      const row = this.known.get(this.names[index]) ?? this.placeholder(this.names[index]);
      row.setAttribute("aria-posinset", index + 1);
      row.setAttribute("aria-setsize", this.names.length);
      wanted.add(row);
      if (row === place) place = place.nextSibling;
      else this.list.insertBefore(row, place);
    }
    for (const row of [...this.list.children]) if (row !== this.above && row !== this.below && !wanted.has(row)) row.remove();
    this.above.style.height = `${first * height}px`;
    this.below.style.height = `${(this.names.length - last) * height}px`;
    if (this.stale.size) this.fetchSoon();
  }

  placeholder(name) {
    const row = document.createElement("li");
    row.className = "row loading";
    row.dataset.key = name;
    const shard = document.createElement("a");
    shard.className = "cell-name";
    shard.textContent = name;
    shard.href = `${prefix}/ui/shards/${name.split("/").map(encodeURIComponent).join("/")}`;
    row.append(document.createElement("span"), shard);
    this.known.set(name, row);
    this.stale.add(name);
    return row;
  }

  fetchSoon() {
    if (this.timer || this.isFetching) return;
    this.timer = setTimeout(() => this.fetch(), GATHER_FOR);
  }

  /** Ask the server for the rows in sight that are out of date; the others wait until they come into sight. */
  async fetch() {
    this.timer = 0;
    const inSight = this.names.slice(...this.shown).filter((name) => this.stale.has(name)).slice(0, MOST_AT_ONCE);
    if (!inSight.length) return;
    this.isFetching = true;
    for (const name of inSight) this.stale.delete(name);
    try {
      const query = new URLSearchParams(inSight.map((name) => ["name", name]));
      const lose = new URLSearchParams(location.search).get("lose");
      if (lose) query.set("lose", lose);
      const part = await fetchPart(`${prefix}/ui/rows?${query}`);
      for (const fresh of part.querySelectorAll(".row")) this.take(fresh);
    } catch {
      for (const name of inSight) this.stale.add(name);
      await new Promise((done) => setTimeout(done, 1000));
    }
    this.isFetching = false;
    if (this.stale.size) this.fetchSoon();
  }

  take(fresh) {
    const row = this.known.get(fresh.dataset.key);
    if (!row) return;
    if (row.dataset.state && row.dataset.state !== fresh.dataset.state) {
      this.onMove(fresh.dataset.key);
      fresh.classList.add("changed");
    }
    const place = [row.getAttribute("aria-posinset"), row.getAttribute("aria-setsize")];
    fresh.setAttribute("aria-posinset", place[0]);
    fresh.setAttribute("aria-setsize", place[1]);
    morph(row, fresh);
  }
}

function gap() {
  const made = document.createElement("li");
  made.className = "gap";
  made.setAttribute("aria-hidden", "true");
  return made;
}
