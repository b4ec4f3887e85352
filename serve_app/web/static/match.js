// One match for review: both videos in step, segments, the matrix, frames side by side.

import { get, path, picture, query, titleOf } from "./api.js";
import { badge } from "./check.js";
import { h, replace, toast } from "./dom.js";
import { fileName, number, percent, seconds } from "./format.js";
import { t } from "./i18n.js";
import { matrix } from "./matrix.js";
import { Player } from "./player.js";
import { addressOf, asked } from "./queue.js";
import { decisionOf, isTyping, panel, undo } from "./review.js";
import { rulingOf } from "./rights.js";
import { timeline } from "./timeline.js";

export async function matchPage(page, checkId, referenceId) {
  const review = panel(checkId, referenceId);
  let evidence;
  try {
    evidence = await get(`/v1/checks/${path(checkId)}/matches/${path(referenceId)}/evidence`);
  } catch (error) {
    if (error.code !== "evidence_not_kept") throw error;
    return withoutEvidence(page, checkId, referenceId, review, error);
  }
  page.title(`${fileName(evidence.query.name)} · ${referenceId}`);
  const player = new Player(evidence);
  const reason = h("div", {});
  replace(page.main, header(evidence, reason),
    h("div", { class: "two match-page" },
      h("div", { class: "column" }, player.element, timeline(evidence, player), pairs(evidence, player)),
      h("div", { class: "column" }, review.element, matrix(evidence, player), terms(evidence))));
  keys(page, player, review, checkId, referenceId);
  await Promise.all([player.start(page.stopped.signal), review.refresh(), rulingOf(checkId, referenceId).then((words) => replace(reason, words))]);
  return undefined;
}

async function withoutEvidence(page, checkId, referenceId, review, error) {
  page.title(referenceId);
  replace(page.main, h("h1", {}, titleOf(referenceId)),
    h("section", { class: "card" }, h("p", {}, t("match.no.evidence")), h("p", { class: "muted" }, error.message),
      h("a", { class: "button", href: `#/checks/${encodeURIComponent(checkId)}` }, t("check.opens", { name: checkId.slice(0, 8) }))),
    review.element);
  await review.refresh();
}

function header(evidence, reason) {
  const { policy } = evidence;
  const why = t(`match.why.${evidence.rejected ? "rejected" : evidence.outcome}`, { duplicate: percent(policy.duplicate_probability), review: percent(policy.review_probability) });
  const checkAddress = `#/checks/${encodeURIComponent(evidence.check_id)}`;
  const referenceAddress = `#/references/${encodeURIComponent(evidence.reference_id)}`;
  return h("section", { class: `card verdict ${evidence.outcome}` },
    h("div", { class: "grow" }, badge(evidence.outcome),
      h("h1", {}, h("a", { href: checkAddress, class: "clip" }, fileName(evidence.query.name)), h("span", { class: "muted", "aria-hidden": "true" }, " ⇄ "), h("a", { href: referenceAddress, class: "clip" }, titleOf(evidence.reference_id))),
      h("ul", { class: "plain chips", "aria-label": t("match.hints") }, evidence.hints.length ? evidence.hints.map(hintChip) : h("li", { class: "muted" }, t("hint.none"))), reason),
    h("div", { class: "big" }, h("strong", {}, percent(evidence.probability)), h("span", { class: "muted" }, t("match.probability")), scale(evidence), h("span", { class: "muted small" }, why)));
}

const SHARES = ["inset", "cropped"];

function hintChip(hint) {
  const value = SHARES.includes(hint.kind) ? percent(hint.value) : number(hint.value);
  return h("li", { class: "chip" }, t(`hint.${hint.kind}`, { value }));
}

// The place of the probability between the policy's thresholds.
function scale(evidence) {
  const { policy } = evidence;
  const mark = (value, name) => { const one = h("span", { class: name }); one.style.left = `${value * 100}%`; return one; };
  return h("div", { class: "scale", "aria-hidden": "true" }, mark(policy.review_probability, "threshold"), mark(policy.duplicate_probability, "threshold"), mark(evidence.probability, "here"));
}

// What led to the probability. Bars are log-odds, to the right for a copy.
function terms(evidence) {
  if (!evidence.terms.length) return null;
  const most = Math.max(...evidence.terms.map((one) => Math.abs(one.log_odds)), 1);
  const bar = (one) => {
    const line = h("span", { class: one.log_odds < 0 ? "against" : "for" });
    line.style.width = `${(Math.abs(one.log_odds) / most) * 50}%`;
    return h("span", { class: "weight", "aria-hidden": "true" }, line);
  };
  const rows = evidence.terms.map((one) => h("tr", {}, h("th", { scope: "row" }, t(`term.${one.name}`)), h("td", {}, number(one.value)), h("td", {}, bar(one)), h("td", {}, number(one.log_odds, 1))));
  return h("section", { class: "card" }, h("h2", {}, t("term.title")),
    h("table", { class: "terms" }, h("thead", {}, h("tr", {}, ["term.evidence", "term.value", "term.for", "term.odds"].map((name) => h("th", { scope: "col" }, t(name))))), h("tbody", {}, rows)),
    h("p", { class: "muted small" }, t("term.note")));
}

function pairs(evidence, player) {
  if (!evidence.pairs.length) return null;
  const card = (pair) => {
    const label = t("match.pair", { query: seconds(pair.query_s), reference: seconds(pair.reference_s), similarity: number(pair.similarity) });
    const go = () => { player.pause(); player.jump(pair.query_s, pair.reference_s); };
    return h("button", { class: `pair s${pair.segment % 8}`, "aria-label": label, title: label, onclick: go },
      picture(pair.query_picture), picture(pair.reference_picture),
      h("span", { class: "muted small" }, `${seconds(pair.query_s)} · ${seconds(pair.reference_s)}`));
  };
  return h("section", { class: "card" }, h("h2", {}, t("match.pairs")), h("div", { class: "pairs" }, evidence.pairs.map(card)));
}

function keys(page, player, review, checkId, referenceId) {
  const actions = {
    Space: () => player.toggle(), ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1),
    BracketLeft: () => player.toSegment(player.current - 1), BracketRight: () => player.toSegment(player.current + 1),
    KeyN: () => next(checkId, referenceId),
    KeyZ: () => undo().then(review.refresh).catch((error) => toast(error.message, "bad")),
  };
  document.addEventListener("keydown", (event) => {
    if (isTyping(event) || (event.code === "Space" && event.target.closest("button, a"))) return;
    const decision = decisionOf(event);
    const action = decision ? () => review.send(decision) : actions[event.code];
    if (action) { event.preventDefault(); action(); }
  }, { signal: page.stopped.signal });
}

// In the order, and of the filters, that the queue was left with.
async function next(checkId, referenceId) {
  const { items } = await get(`/v1/reviews/queue${query({ ...asked(), state: "open", limit: 200 })}`);
  const here = items.findIndex((one) => one.check_id === checkId && one.reference_id === referenceId);
  const found = items[here + 1] ?? items[0];
  location.hash = found ? addressOf(found) : "#/queue";
}
