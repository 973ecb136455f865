// Sends what acts to the API; the answer of a refusal is told in words.
import { prefix } from "./live.js";

/** Send JSON to the API; returns the answer, or throws an Error with what the refusal says. */
export function send(path, body, method = "POST") {
  return sendTo(`${prefix}/api/v1${path}`, body, method);
}

/** Send JSON to an address of this server, as `send` does. */
export async function sendTo(address, body, method = "POST") {
  let answer;
  try {
    answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json", "X-Vtorc": "1" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("vtorc cannot be reached: nothing was sent, or its answer was lost. Look at the shard before trying again.");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error([told.what, told.why, told.do].filter(Boolean).join(". ") || `refused with status ${answer.status}`);
  return told;
}

/** Show the reason of a refusal in the page. */
export function tell(error) {
  const place = document.getElementById("refusal");
  place.textContent = error.message;
  place.hidden = false;
}
