// Decisions on a match: buttons with their keys, the note, the history.

import { get, post, query, session } from "./api.js";
import { confirm } from "./check.js";
import { dialog, h, icon, replace, toast } from "./dom.js";
import { date, fileName, instant } from "./format.js";
import { t } from "./i18n.js";

const NAME = "dubl-reviewer";
const MAX_SHOWN = 8;
export const KEYS = { c: "confirmed", r: "rejected", l: "licensed", u: "reopened" };
const ICONS = { confirmed: "check", rejected: "cross", licensed: "license", reopened: "back" };

export const reviewer = () => localStorage.getItem(NAME) || session.name;

// States that are named by the decision that leads to them; others come by "reopened".
const NAMED = ["confirmed", "rejected", "licensed", "disputed", "upheld", "released"];
const stateAfter = (decision) => NAMED.includes(decision) ? decision : undefined;
// What may be said of a claim, beside the decisions by key, with the states in which it is possible.
const CLAIM = { disputed: ["open", "confirmed", "upheld", "released"], upheld: ["disputed"], released: ["open", "confirmed", "disputed", "upheld"] };
const DISPUTE_DAYS = 30;
const DAY_MS = 86400000;
const decided = [];  // lists of decisions of this page, each undone as one

// `state` is what the reviewer has seen; false if another reviewer's decision stays.
export async function decide(checkId, referenceId, decision, state, note = "", more = {}) {
  const entry = { check_id: checkId, reference_id: referenceId, decision, reviewer: reviewer(), note, ...more };
  const comment = decision === "comment";
  try {
    await post("/v1/reviews", comment ? entry : { ...entry, if_state: state });
  } catch (error) {
    if (error.code !== "state_conflict" || !(await overwrites(error.context))) throw error;
    state = error.context.state;
    await post("/v1/reviews", { ...entry, if_state: state });
  }
  if (!comment) decided.push([{ check_id: checkId, reference_id: referenceId, before: state, after: stateAfter(decision) }]);
  toast(t(comment ? "review.saved" : "review.saved.undo", { decision: t(`decision.${decision}`) }), "good");
  window.dispatchEvent(new Event("dubl-decided"));
}

const overwrites = (other) => confirm(t("review.overwrite"), t("review.conflict", {
  reviewer: other.reviewer || t("review.somebody"), state: t(`state.${other.state}`), at: other.decided_at ? date(other.decided_at) : "" }));

// Decides on many after a preview; false if the reviewer declines.
export async function decideAll(items, decision) {
  const body = { reviewer: reviewer(), items: items.map((one) => ({ check_id: one.check_id, reference_id: one.reference_id, decision, if_state: one.state })) };
  const preview = await post("/v1/reviews/many", { ...body, dry_run: true });
  const title = t("bulk.title", { decision: t(`review.${decision}`), count: preview.decided.length });
  const names = items.slice(0, MAX_SHOWN).map((one) => h("li", { class: "clip" }, `${fileName(one.query_name)} → ${one.title || one.reference_id}`));
  const sure = await dialog(title, (close) => h("div", {},
    h("ul", { class: "plain small" }, names, items.length > MAX_SHOWN && h("li", {}, t("bulk.more", { count: items.length - MAX_SHOWN }))),
    preview.conflicts.length > 0 && h("p", { class: "problem" }, t("bulk.conflicts", { count: preview.conflicts.length })),
    decision === "rejected" && h("p", { class: "muted" }, t("review.remembered")),
    h("div", { class: "row end" }, h("button", { onclick: () => close(false) }, t("library.cancel")), h("button", { class: "primary", onclick: () => close(true) }, title))));
  if (!sure) return false;
  const done = await post("/v1/reviews/many", body);
  decided.push(done.decided.map((one) => ({ ...one, after: stateAfter(decision) })));
  toast(t("bulk.saved", { count: done.decided.length }), "good");
  if (done.conflicts.length) toast(t("bulk.conflicts", { count: done.conflicts.length }), "bad");
  window.dispatchEvent(new Event("dubl-decided"));
  return true;
}

// Takes the last decision back, or the last ones if they were made together; false if there is none.
export async function undo() {
  const last = decided.pop();
  if (!last) return false;
  const items = last.map((one) => ({ check_id: one.check_id, reference_id: one.reference_id, decision: stateAfter(one.before) || "reopened", if_state: one.after }));
  const { conflicts } = await post("/v1/reviews/many", { items, reviewer: reviewer() }).catch((error) => {
    decided.push(last); // it can be taken back later
    throw error;
  });
  toast(conflicts.length ? t("bulk.conflicts", { count: conflicts.length }) : t("review.undone"), conflicts.length ? "bad" : "good");
  window.dispatchEvent(new Event("dubl-decided"));
  return true;
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
  let seen;
  const refresh = async () => {
    const filter = { check_id: checkId, reference_id: referenceId };
    const [entries, queue] = await Promise.all([get(`/v1/reviews${query(filter)}`), get(`/v1/reviews/queue${query({ ...filter, min_probability: 0 })}`)]);
    replace(history, entries.items.length ? entries.items.map(entry) : h("li", { class: "muted" }, t("review.empty")));
    seen = queue.items[0]?.state;
    replace(state, queue.items.length ? h("span", { class: `chip ${queue.items[0].state}` }, t(`state.${queue.items[0].state}`)) : null);
    replace(claim, Object.keys(CLAIM).filter((one) => CLAIM[one].includes(seen)).flatMap((one) => CLAIM_BUTTONS[one]()));
  };
  const send = async (decision, more) => {
    if (decision === "comment" && !note.value.trim()) { toast(t("review.comment.empty")); note.focus(); return; }
    try { await decide(checkId, referenceId, decision, seen, note.value.trim(), more); note.value = ""; } catch (error) { toast(error.message, "bad"); }
    await refresh();
  };
  const claim = h("div", { class: "row wrap claim" });
  const CLAIM_BUTTONS = {
    disputed: () => [h("button", { onclick: async () => { const more = await askForDispute(note.value.trim()); if (more) await send("disputed", more); } }, t("review.disputed"))],
    upheld: () => [h("button", { onclick: () => send("upheld") }, t("review.upheld"))],
    released: () => [h("button", { onclick: () => send("released") }, t("review.released")),
      h("button", { onclick: () => confirm(t("review.exclude"), t("review.exclude.note")).then((sure) => sure && send("released", { exclude: true })) }, t("review.exclude"))],
  };
  const buttons = Object.entries(KEYS).map(([letter, decision]) => h("button", { class: `decide ${decision}`, onclick: () => send(decision) },
    icon(ICONS[decision]), h("span", {}, t(`review.${decision}`)), h("kbd", {}, letter.toUpperCase())));
  const element = h("section", { class: "card review" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("review.title")), state),
    h("div", { class: "decisions" }, buttons), claim,
    h("div", { class: "field" }, h("label", { for: "note" }, t("review.note")), note),
    h("div", { class: "row" }, h("div", { class: "field grow" }, h("label", { for: "reviewer" }, t("review.reviewer")), name),
      h("button", { onclick: () => send("comment") }, t("review.comment"))),
    h("p", { class: "muted" }, t("review.remembered")), h("h3", {}, t("review.history")), history);
  return { element, send, refresh };
}

// Why, and until when it waits for an answer; undefined if nothing is disputed after all.
function askForDispute(why) {
  const reason = h("textarea", { id: "dispute", rows: 3, required: true }, why);
  const day = new Date(Date.now() + DISPUTE_DAYS * DAY_MS).toISOString().slice(0, 10);
  const end = h("input", { id: "dispute-end", type: "date", value: day });
  return dialog(t("review.disputed"), (close) => {
    const send = (event) => { event.preventDefault(); close({ note: reason.value.trim(), until: instant(end.value, DAY_MS - 1) }); };
    return h("form", { onsubmit: send }, h("div", { class: "field" }, h("label", { for: "dispute" }, t("dispute.why")), reason),
      h("div", { class: "field" }, h("label", { for: "dispute-end" }, t("dispute.until")), end), h("p", { class: "muted" }, t("dispute.note")),
      h("div", { class: "row end" }, h("button", { type: "button", onclick: () => close() }, t("library.cancel")), h("button", { class: "primary" }, t("dispute.send"))));
  });
}

const entry = (one) => h("li", {}, h("span", { class: `chip ${one.decision}` }, t(`decision.${one.decision}`)),
  h("span", {}, one.note), h("span", { class: "muted" }, [one.reviewer, date(one.created_at), one.until && t("queue.dispute", { until: date(one.until) })].filter(Boolean).join(" · ")));
