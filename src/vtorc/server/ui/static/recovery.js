// The page of a recovery: copy it as text, and cancel one in progress.
import { refresh } from "./live.js";
import { send, tell } from "./request.js";

document.addEventListener("click", async (event) => {
  if (event.target.id !== "copy") return;
  const text = document.getElementById("text");
  try {
    await navigator.clipboard.writeText(text.textContent);
    document.getElementById("copied").textContent = "Copied";
  } catch {
    // Browsers allow the clipboard on secure pages only: the text is selected, ready to be copied by hand.
    getSelection().selectAllChildren(text);
    document.getElementById("copied").textContent = "Selected: copy it with the keyboard";
  }
});

document.addEventListener("submit", async (event) => {
  const id = event.target.dataset.acknowledge;
  if (id === undefined) return;
  event.preventDefault();
  const refusal = event.target.querySelector("[data-refusal]");
  try {
    await send(`/recoveries/${encodeURIComponent(id)}/acknowledge`, { comment: event.target.elements.comment.value });
    refresh();
  } catch (error) {
    refusal.textContent = error.message;
    refusal.hidden = false;
  }
});

document.addEventListener("submit", async (event) => {
  if (event.target.id !== "cancel") return;
  event.preventDefault();
  const form = event.target;
  try {
    const path = form.dataset.shard.replace("/ui", "");
    await send(`${path}/cancel`, { reason: new FormData(form).get("reason") });
  } catch (error) {
    tell(error);
  }
});
