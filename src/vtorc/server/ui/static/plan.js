// The page of a plan: it is carried out once, with a reason, and followed at the address of its recovery.
import { prefix } from "./live.js";
import { send, tell } from "./request.js";

const form = document.getElementById("confirm");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const given = new FormData(form);
    const begun = await send(`/plans/${encodeURIComponent(form.dataset.plan)}/execute`, {
      reason: given.get("reason"),
      accept_loss: given.has("accept_loss"),
    });
    const query = new URLSearchParams({ shard: begun.recovery.shard });
    location.assign(`${prefix}/ui/recoveries/${encodeURIComponent(begun.recovery.id)}?${query}`);
  } catch (error) {
    tell(error);
    button.disabled = false;
  }
});
