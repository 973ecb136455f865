// Holds of operators: put one in force, and lift it.
import { send } from "./request.js";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if ("hold" in form.dataset) {
    event.preventDefault();
    await tried(form, () => send("/holds", holdOf(new FormData(form))));
  } else if ("lift" in form.dataset) {
    event.preventDefault();
    await tried(form, () => send(`/holds/${form.dataset.lift}`, { reason: form.elements.reason.value }, "DELETE"));
  }
});

function holdOf(given) {
  const seconds = given.get("seconds");
  return {
    scope: given.get("scope"),
    effects: [given.get("effect")],
    reason: given.get("reason"),
    seconds: seconds ? Number(seconds) : null,
  };
}

/** Send what a form asks for; a refusal is told in the form, and success closes it. */
async function tried(form, act) {
  const refusal = form.querySelector("[data-refusal]");
  try {
    await act();
    refusal.hidden = true;
    form.reset();
    form.closest("details")?.removeAttribute("open");
  } catch (error) {
    refusal.textContent = error.message;
    refusal.hidden = false;
  }
}
