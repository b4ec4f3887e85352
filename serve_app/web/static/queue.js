// The review queue: filters, orders, groups, decisions on one match or on many, by keyboard.

import { get, path, picture, query } from "./api.js";
import { dialog, h, replace, toast } from "./dom.js";
import { date, fileName, instant, number, percent } from "./format.js";
import { quarantine } from "./guard.js";
import { t, word } from "./i18n.js";
import { decide, decideAll, decisionOf, isTyping, KEYS, reviewer, undo } from "./review.js";

const STATES = ["open", "disputed", "confirmed", "rejected", "licensed", "upheld", "released", "closed", ""];
const RARE = ["disputed", "upheld", "released", "closed"]; // shown where there are some
const SORTS = ["newest", "oldest", "doubtful", "seconds", "probability", "reference", "upload"];
const GROUPED = { reference: "reference_id", upload: "check_id" }; // orders in which rows that share this have a head
const OUTCOMES = ["duplicate", "review"];
const PAGE = 50;
const DAY_MS = 86400000;
const CHOSEN = "dubl-queue"; // of this tab, so that it stays when a match is opened

const chosen = () => ({ state: "open", sort: "newest", ...JSON.parse(sessionStorage.getItem(CHOSEN) || "{}") });

// What is chosen, as the service is asked for it: days of the reader are instants.
export const asked = () => ({ ...chosen(), since: instant(chosen().since, 0), until: instant(chosen().until, DAY_MS - 1) });

export async function queuePage(page) {
  page.title(t("queue.title"));
  const list = h("ul", { class: "plain queue" });
  const more = h("button", { hidden: true, onclick: () => load(false) }, t("queue.more"));
  const tabs = h("div", { class: "segmented", role: "group", "aria-label": t("queue.state") });
  const bulk = h("div", { class: "row wrap bulk", hidden: true });
  const form = filterForm(() => load(true));
  let cursor = "";
  const load = async (fresh) => {
    const wanted = asked();
    const answer = await get(`/v1/reviews/queue${query({ ...wanted, facets: fresh, cursor: fresh ? "" : cursor, limit: PAGE })}`);
    cursor = answer.next_cursor || "";
    if (fresh) replace(list);
    const titles = new Map((answer.facets.reference_id || []).map((one) => [one.value, one]));
    for (const item of answer.items) {
      const last = list.lastElementChild?.item;
      const shared = GROUPED[wanted.sort];
      if (shared && last?.[shared] !== item[shared]) list.append(groupHead(item, shared, titles, list));
      list.append(row(item));
    }
    if (!list.children.length) list.append(h("li", { class: "card muted" }, t("queue.empty")));
    more.hidden = !cursor;
    if (fresh) form.fill(answer.facets);
    replace(tabs, STATES.filter((one) => !RARE.includes(one) || answer.counts[one] || one === wanted.state).map((one) => h("button", { "aria-pressed": String(one === wanted.state), onclick: () => { choose({ state: one }); load(true); } },
      t(`state.${one || "all"}`), one in answer.counts && h("span", { class: "count" }, answer.counts[one]))));
    select(bulk, list, () => load(true));
  };
  list.addEventListener("change", () => select(bulk, list, () => load(true)));
  const held = h("div", {});
  replace(page.main, h("h1", {}, t("queue.title")), held,
    h("div", { class: "row wrap" }, tabs, h("span", { class: "grow" }), h("button", { class: "quiet", onclick: help }, `? ${t("help.title")}`)),
    form.element, bulk, list, more, h("p", { class: "muted keys" }, t("queue.keys")));
  await Promise.all([load(true), quarantine(held)]);
  document.addEventListener("keydown", (event) => onKey(event, list, () => load(true)), { signal: page.stopped.signal });
}

const choose = (values) => sessionStorage.setItem(CHOSEN, JSON.stringify({ ...chosen(), ...values }));

// The form of filters; `fill` shows the counts of each value.
function filterForm(reload) {
  const set = (name, value) => { choose({ [name]: value }); reload(); };
  const now = chosen();
  const field = (name, input) => h("div", { class: "field" }, h("label", { for: input.id }, t(`queue.${name}`)), input);
  const selectOf = (name, values, text) => h("select", { id: name, onchange: (event) => set(name, event.target.value) },
    values.map((value) => h("option", { value, selected: value === (now[name] || "") }, text(value))));
  const input = (name, type) => h("input", { id: name, type, value: now[name] || "", onchange: (event) => set(name, event.target.value.trim()) });
  const share = (name) => h("input", { id: name, type: "number", min: 0, max: 100, value: now[name] ? now[name] * 100 : "", onchange: (event) => set(name, event.target.value && event.target.value / 100) });
  const search = h("input", { id: "search", type: "search", value: now.q || "", "aria-label": t("queue.search"), placeholder: t("queue.search"), onchange: (event) => set("q", event.target.value.trim()) });
  const facets = ["outcome", "library", "owner", "reference_id", "channel", "modality"].map((name) => [name, selectOf(name, [""], () => t("queue.any"))]);
  const mine = h("input", { id: "mine", type: "checkbox", checked: Boolean(now.reviewer), onchange: (event) => set("reviewer", event.target.checked ? reviewer() : "") });
  const fill = (counted) => {
    for (const [name, element] of facets) {
      const value = chosen()[name] || "";
      const counts = counted[name] || [];
      const always = name === "outcome" ? OUTCOMES.filter((one) => !counts.some((known) => known.value === one)) : [];
      const found = [...counts, ...always.map((one) => ({ value: one, count: 0 }))];
      const known = found.some((one) => one.value === value) || !value ? found : [...found, { value, count: 0 }];
      replace(element, h("option", { value: "" }, t("queue.any")),
        known.map((one) => h("option", { value: one.value, selected: one.value === value }, `${one.title || word(name === "outcome" ? "queue.outcome" : name, one.value)} · ${one.count}`)));
    }
    mine.disabled = !reviewer();
  };
  const clear = () => { sessionStorage.removeItem(CHOSEN); window.dispatchEvent(new Event("hashchange")); };
  const further = facets.slice(1).some(([name]) => now[name]) || now.since || now.until || now.min_probability || now.max_probability || now.reviewer;
  const element = h("div", { class: "filters" },
    h("div", { class: "row wrap" }, h("div", { class: "search" }, search), field("outcome", facets[0][1]), field("sort", selectOf("sort", SORTS, (value) => t(`queue.sort.${value}`)))),
    h("details", { open: Boolean(further) }, h("summary", {}, t("queue.filters")), h("div", { class: "row wrap" },
      facets.slice(1).map(([name, one]) => field(name, one)), field("min_probability", share("min_probability")), field("max_probability", share("max_probability")),
      field("since", input("since", "date")), field("until", input("until", "date")),
      h("label", { class: "tick" }, mine, t("queue.mine")), h("button", { class: "quiet", onclick: clear }, t("queue.clear")))));
  return { element, fill };
}

function groupHead(item, shared, titles, list) {
  const same = () => [...list.querySelectorAll("li")].filter((one) => one.item?.[shared] === item[shared]);
  const ofUpload = shared === "check_id";
  const name = ofUpload ? fileName(item.query_name) : item.title || item.reference_id;
  const facts = ofUpload ? [item.channel, date(item.created_at)] : [item.owner, titles.has(item.reference_id) && t("queue.group", { count: titles.get(item.reference_id).count })];
  const tick = h("input", { type: "checkbox", "aria-label": t("queue.select.group", { name }), onchange: (event) => same().forEach((one) => { one.querySelector("input").checked = event.target.checked; }) });
  return h("li", { class: "group" }, tick, h("a", { href: `#/${ofUpload ? "checks" : "references"}/${encodeURIComponent(item[shared])}` }, name),
    h("span", { class: "muted" }, facts.filter(Boolean).join(" · ")));
}

export const addressOf = (item) => `#/checks/${encodeURIComponent(item.check_id)}/matches/${encodeURIComponent(item.reference_id)}`;

function row(item) {
  const names = { query: fileName(item.query_name), reference: item.title || item.reference_id };
  const facts = [item.owner, item.library, item.channel, date(item.created_at), item.copied_s && t("queue.copied", { seconds: number(item.copied_s, 1) }), item.reviewer && t("queue.by", { reviewer: item.reviewer }), item.limit && `${t("limit.title")}: ${t(`limit.${item.limit}`)}`, item.until && t("queue.dispute", { until: date(item.until) })];
  const element = h("li", { class: "item" }, h("input", { type: "checkbox", "aria-label": t("queue.select", names) }),
    h("a", { class: "card match grow", href: addressOf(item), "aria-label": `${t("queue.of", names)}, ${percent(item.probability)}, ${t(`state.${item.state}`)}` },
      h("span", { class: "thumbs" }, picture(`/v1/checks/${path(item.check_id)}/picture?at=2`), picture(`/v1/references/${path(item.reference_id)}/picture?at=2`)),
      h("span", { class: "grow" }, h("strong", { class: "clip" }, names.query), h("span", { class: "clip" }, names.reference), h("span", { class: "muted small" }, facts.filter(Boolean).join(" · "))),
      h("span", { class: "big" }, h("strong", {}, percent(item.probability)), h("span", { class: `chip ${item.state}` }, t(`state.${item.state}`)))));
  element.item = item;
  return element;
}

// The bar of decisions on what is selected.
function select(bulk, list, reload) {
  const rows = [...list.querySelectorAll("li.item")];
  const ticked = rows.filter((one) => one.querySelector("input").checked);
  const all = h("input", { id: "all", type: "checkbox", checked: rows.length > 0 && ticked.length === rows.length, onchange: (event) => {
    rows.forEach((one) => { one.querySelector("input").checked = event.target.checked; });
    select(bulk, list, reload);
  } });
  bulk.hidden = !rows.length;
  replace(bulk, h("label", { class: "tick", for: "all" }, all, t("queue.select.all", { count: rows.length })),
    ticked.length > 0 && [h("span", { role: "status" }, t("queue.selected", { count: ticked.length })),
      Object.values(KEYS).map((decision) => h("button", { class: `decide ${decision}`, onclick: () => many(ticked.map((one) => one.item), decision, reload) }, t(`review.${decision}`)))]);
}

async function many(items, decision, reload) {
  try {
    if (await decideAll(items, decision)) await reload();
  } catch (error) { toast(error.message, "bad"); }
}

async function onKey(event, list, reload) {
  if (isTyping(event) && event.target.type !== "checkbox") return;
  const rows = [...list.querySelectorAll("a.match")];
  const here = rows.indexOf(document.activeElement);
  const move = { KeyJ: 1, ArrowDown: 1, KeyK: -1, ArrowUp: -1 }[event.code];
  const decision = decisionOf(event);
  const ticked = [...list.querySelectorAll("li.item")].filter((one) => one.querySelector("input").checked);
  if (move && rows.length) {
    event.preventDefault();
    rows[here < 0 ? 0 : Math.min(Math.max(here + move, 0), rows.length - 1)].focus();
  } else if (event.key === "?") {
    await help();
  } else if (event.code === "KeyX" && here >= 0) {
    rows[here].previousElementSibling.click();
  } else if (event.code === "KeyZ" || (decision === "reopened" && !ticked.length)) {
    event.preventDefault();
    try { if (await undo() === false) toast(t("review.nothing")); } catch (error) { toast(error.message, "bad"); }
    await reload();
  } else if (decision && ticked.length) {
    event.preventDefault();
    await many(ticked.map((one) => one.item), decision, reload);
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

const HELP = [["J", "j"], ["K", "k"], ["Enter", "enter"], ["X", "x"], ["C", "c"], ["R", "r"], ["L", "l"], ["U", "u"], ["Z", "z"], ["N", "n"], ["␣", "space"], ["← →", "arrows"], ["[ ]", "brackets"]];

const help = () => dialog(t("help.title"), (close) => h("div", {},
  h("dl", { class: "keys" }, HELP.map(([letter, name]) => [h("dt", {}, h("kbd", {}, letter)), h("dd", {}, t(`help.${name}`))])),
  h("div", { class: "row end" }, h("button", { class: "primary", onclick: () => close() }, t("help.close")))));
