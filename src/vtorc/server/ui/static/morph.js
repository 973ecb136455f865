// Makes an element like another one, and touches only what differs: focus, selection and scrolling stay as they are.

/** Make `old` like `fresh`; children are matched by `data-key`, others by their place. What has `data-own` stays. */
export function morph(old, fresh) {
  if ("own" in old.dataset) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isOwn(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (old.matches("input, textarea, select")) return;
  morphChildren(old, fresh);
}

/** Attributes that the page itself sets, which the server does not know. */
function isOwn(name) {
  return name === "open" || name === "data-own" || name === "hidden";
}

function morphChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.dataset?.key;
    const match = key ? keyed.get(key) : place && !place.dataset?.key && isSameKind(place, wanted) ? place : null;
    if (!match || !isSameKind(match, wanted)) {
      old.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else old.insertBefore(match, place);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, wanted);
    else if (match.nodeValue !== wanted.nodeValue) match.nodeValue = wanted.nodeValue;
  }
  while (place) {
    const rest = place.nextSibling;
    if (!place.dataset || !("own" in place.dataset)) place.remove();
    place = rest;
  }
}

function isSameKind(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}
