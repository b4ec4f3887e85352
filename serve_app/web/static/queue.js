// The review queue, usable by keyboard.

import { get, path, picture, query } from "./api.js";
import { dialog, h, replace, toast } from "./dom.js";
import { date, fileName, percent } from "./format.js";
import { quarantine } from "./guard.js";
import { t } from "./i18n.js";
import { decide, decisionOf, isTyping, undo } from "./review.js";

const STATES = ["open", "confirmed", "rejected", "licensed", ""];
const PAGE = 30;

export async function queuePage(page) {
  page.title(t("queue.title"));
  const list = h("ul", { class: "plain queue" });
  const more = h("button", { hidden: true }, t("queue.more"));
  const tabs = h("div", { class: "segmented", role: "group", "aria-label": t("queue.state") });
  const search = h("input", { id: "search", type: "search", "aria-label": t("queue.search"), placeholder: t("queue.search"), onchange: () => load(true) });
  const outcome = h("select", { id: "outcome", "aria-label": t("queue.outcome"), onchange: () => load(true) },
    ["", "duplicate", "review"].map((one) => h("option", { value: one }, t(`queue.outcome.${one || "all"}`))));
  let [state, cursor] = ["open", ""];
  const load = async (fresh) => {
    const answer = await get(`/v1/reviews/queue${query({ state, cursor: fresh ? "" : cursor, q: search.value.trim(), outcome: outcome.value, limit: PAGE })}`);
    cursor = answer.next_cursor || "";
    if (fresh) replace(list);
    list.append(...answer.items.map(row));
    if (!list.children.length) list.append(h("li", { class: "card muted" }, t("queue.empty")));
    more.hidden = !cursor;
    replace(tabs, STATES.map((one) => h("button", { "aria-pressed": String(one === state), onclick: () => { state = one; load(true); } },
      t(`state.${one || "all"}`), one in answer.counts && h("span", { class: "count" }, answer.counts[one]))));
  };
  more.addEventListener("click", () => load(false));
  const held = h("div", {});
  replace(page.main, h("h1", {}, t("queue.title")), held,
    h("div", { class: "row wrap" }, tabs, outcome, h("div", { class: "grow" }, search), h("button", { class: "quiet", onclick: help }, `? ${t("help.title")}`)), list, more,
    h("p", { class: "muted keys" }, t("queue.keys")));
  await Promise.all([load(true), quarantine(held)]);
  document.addEventListener("keydown", (event) => onKey(event, list, () => load(true)), { signal: page.stopped.signal });
}

function row(item) {
  const address = `#/checks/${encodeURIComponent(item.check_id)}/matches/${encodeURIComponent(item.reference_id)}`;
  const names = { query: fileName(item.query_name), reference: item.reference_id };
  const element = h("li", {}, h("a", { class: "card match", href: address, "aria-label": `${t("queue.of", names)}, ${percent(item.probability)}, ${t(`state.${item.state}`)}` },
    h("span", { class: "thumbs" }, picture(`/v1/checks/${path(item.check_id)}/picture?at=2`), picture(`/v1/references/${path(item.reference_id)}/picture?at=2`)),
    h("span", { class: "grow" }, h("strong", { class: "clip" }, names.query), h("span", { class: "clip" }, names.reference),
      h("span", { class: "muted small" }, `${item.library} · ${date(item.created_at)}${item.reviewer ? ` · ${t("queue.by", { reviewer: item.reviewer })}` : ""}`)),
    h("span", { class: "big" }, h("strong", {}, percent(item.probability)), h("span", { class: `chip ${item.state}` }, t(`state.${item.state}`)))));
  element.item = item;
  return element;
}

async function onKey(event, list, reload) {
  if (isTyping(event)) return;
  const rows = [...list.querySelectorAll("a.match")];
  const here = rows.indexOf(document.activeElement);
  const move = { KeyJ: 1, ArrowDown: 1, KeyK: -1, ArrowUp: -1 }[event.code];
  const decision = decisionOf(event);
  if (move && rows.length) {
    event.preventDefault();
    rows[here < 0 ? 0 : Math.min(Math.max(here + move, 0), rows.length - 1)].focus();
  } else if (event.key === "?") {
    await help();
  } else if (event.code === "KeyZ" || decision === "reopened") {
    event.preventDefault();
    try { if (await undo() === false) toast(t("review.nothing")); } catch (error) { toast(error.message, "bad"); }
    await reload();
  } else if (decision && here >= 0) {
    event.preventDefault();
    const { item } = rows[here].parentElement;
    try {
      await decide(item.check_id, item.reference_id, decision, item.state);
    } catch (error) { toast(error.message, "bad"); }
    try {
      await reload();
      const left = list.querySelectorAll("a.match");
      left[Math.min(here, left.length - 1)]?.focus();
    } catch (error) { toast(error.message, "bad"); }
  }
}

const HELP = [["J", "j"], ["K", "k"], ["Enter", "enter"], ["C", "c"], ["R", "r"], ["L", "l"], ["U", "u"], ["Z", "z"], ["N", "n"], ["␣", "space"], ["← →", "arrows"], ["[ ]", "brackets"]];

const help = () => dialog(t("help.title"), (close) => h("div", {},
  h("dl", { class: "keys" }, HELP.map(([letter, name]) => [h("dt", {}, h("kbd", {}, letter)), h("dd", {}, t(`help.${name}`))])),
  h("div", { class: "row end" }, h("button", { class: "primary", onclick: () => close() }, t("help.close")))));
