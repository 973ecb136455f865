// The controls of a demo: they break its servers, tell what is broken, and mend it.
import { morph } from "./morph.js";
import { fetchPart, prefix } from "./live.js";
import { sendTo } from "./request.js";

/** Milliseconds between two looks at what is broken; keys and other terminals break things as well. */
const LOOK_EVERY = 1000;

const address = `${prefix}/ui/demo`;
const panel = document.getElementById("demo");
const controls = document.getElementById("demo-controls");
const said = document.getElementById("demo-said");
let isActing = false;
let looking = 0;

async function look() {
  clearTimeout(looking);
  try {
    const fresh = (await fetchPart(address)).querySelector(".demo");
    if (fresh) {
      const place = document.createElement("div");
      place.id = controls.id;
      place.append(fresh);
      morph(controls, place);
      panel.hidden = false;
      // The demo itself answers while vtorc has ended; such a page shows nothing of the fleet.
      if ("ended" in panel.dataset && !fresh.querySelector('[data-key="vtorc"]')) location.reload();
    }
  } catch {
    // The server starts anew, or the demo takes no commands: the next look tells.
  }
  looking = setTimeout(look, LOOK_EVERY);
}

panel.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || isActing) return;
  isActing = true;
  said.textContent = `${button.textContent} …`;
  try {
    const on = button.dataset.on ?? document.getElementById("demo-on").value;
    const told = await sendTo(address, { do: button.dataset.do, on });
    said.textContent = `Done: ${told.sentence}.`;
  } catch (error) {
    said.textContent = error.message;
  } finally {
    isActing = false;
    look();
  }
});

look();
