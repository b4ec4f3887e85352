// References in quarantine: a notice with the decision that ends it.

import { get, post } from "./api.js";
import { h, replace, toast } from "./dom.js";
import { date, number } from "./format.js";
import { t } from "./i18n.js";
import { reviewer } from "./review.js";

// Fills `place` with quarantines, of one reference or of all. Users without the permission to
// decide see none.
export async function quarantine(place, referenceId = "") {
  let items = [];
  try {
    ({ items } = await get("/v1/reviews/quarantine"));
  } catch { /* the key is for other things */ }
  const shown = items.filter((one) => one.status !== "released" && (!referenceId || one.reference_id === referenceId));
  replace(place, shown.length ? h("section", { class: "card quarantine", "aria-label": t("guard.title") },
    h("h2", {}, t("guard.title")), h("ul", { class: "plain list" }, shown.map((one) => item(one, () => quarantine(place, referenceId))))) : null);
}

function item(one, changed) {
  const decide = (decision) => async () => {
    try {
      await post("/v1/reviews/quarantine", { reference_id: one.reference_id, decision, reviewer: reviewer() });
      toast(t(`guard.${decision}.done`), "good");
      await changed();
    } catch (error) { toast(error.message, "bad"); }
  };
  return h("li", { class: "row wrap" },
    h("span", { class: "grow" }, h("a", { href: `#/references/${encodeURIComponent(one.reference_id)}` }, one.reference_id),
      h("span", { class: "muted small" }, ` · ${t("guard.why", { uploads: one.uploads, usual: number(one.usual), time: date(one.created_at) })}`)),
    h("span", { class: `chip ${one.status === "held" ? "open" : ""}` }, t(`guard.status.${one.status}`)),
    h("button", { onclick: decide("release"), "aria-label": `${t("guard.release")}: ${one.reference_id}` }, t("guard.release")),
    one.status === "held" && h("button", { class: "quiet", onclick: decide("keep"), "aria-label": `${t("guard.keep")}: ${one.reference_id}` }, t("guard.keep")));
}
