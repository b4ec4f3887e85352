// Decisions on a match: buttons with their keys, the note, the history.

import { get, post, query } from "./api.js";
import { h, icon, replace, toast } from "./dom.js";
import { date } from "./format.js";
import { t } from "./i18n.js";

const NAME = "dubl-reviewer";
export const KEYS = { c: "confirmed", r: "rejected", l: "licensed", u: "reopened" };
const ICONS = { confirmed: "check", rejected: "cross", licensed: "license", reopened: "back" };

export const reviewer = () => localStorage.getItem(NAME) || "";

export async function decide(checkId, referenceId, decision, note = "") {
  await post("/v1/reviews", { check_id: checkId, reference_id: referenceId, decision, reviewer: reviewer(), note });
  toast(t("review.saved", { decision: t(`decision.${decision}`) }), "good");
  window.dispatchEvent(new Event("dubl-decided"));
}

// Cyrillic keyboards have other letters, so the physical key counts.
export function decisionOf(event) {
  const letter = event.code?.startsWith("Key") ? event.code.slice(3).toLowerCase() : event.key.toLowerCase();
  return KEYS[letter];
}

export const isTyping = (event) => event.ctrlKey || event.metaKey || event.altKey
  || event.target.closest?.("input, textarea, select, dialog, [role=application]");

export function panel(checkId, referenceId) {
  const note = h("textarea", { id: "note", rows: 2 });
  const name = h("input", { id: "reviewer", autocomplete: "name", value: reviewer() });
  name.addEventListener("change", () => localStorage.setItem(NAME, name.value.trim()));
  const history = h("ol", { class: "plain history" });
  const state = h("p", { class: "muted", role: "status" });
  const refresh = async () => {
    const filter = { check_id: checkId, reference_id: referenceId };
    const [entries, queue] = await Promise.all([get(`/v1/reviews${query(filter)}`), get(`/v1/reviews/queue${query({ ...filter, min_probability: 0 })}`)]);
    replace(history, entries.items.length ? entries.items.map(entry) : h("li", { class: "muted" }, t("review.empty")));
    replace(state, queue.items.length ? h("span", { class: `chip ${queue.items[0].state}` }, t(`state.${queue.items[0].state}`)) : null);
  };
  const send = async (decision) => {
    if (decision === "comment" && !note.value.trim()) { toast(t("review.comment.empty")); note.focus(); return; }
    try { await decide(checkId, referenceId, decision, note.value.trim()); note.value = ""; await refresh(); } catch (error) { toast(error.message, "bad"); }
  };
  const buttons = Object.entries(KEYS).map(([letter, decision]) => h("button", { class: `decide ${decision}`, onclick: () => send(decision) },
    icon(ICONS[decision]), h("span", {}, t(`review.${decision}`)), h("kbd", {}, letter.toUpperCase())));
  const element = h("section", { class: "card review" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("review.title")), state),
    h("div", { class: "decisions" }, buttons),
    h("div", { class: "field" }, h("label", { for: "note" }, t("review.note")), note),
    h("div", { class: "row" }, h("div", { class: "field grow" }, h("label", { for: "reviewer" }, t("review.reviewer")), name),
      h("button", { onclick: () => send("comment") }, t("review.comment"))),
    h("p", { class: "muted" }, t("review.remembered")), h("h3", {}, t("review.history")), history);
  return { element, send, refresh };
}

const entry = (one) => h("li", {}, h("span", { class: `chip ${one.decision}` }, t(`decision.${one.decision}`)),
  h("span", {}, one.note), h("span", { class: "muted" }, [one.reviewer, date(one.created_at)].filter(Boolean).join(" · ")));
