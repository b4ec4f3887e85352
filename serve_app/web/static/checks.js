// All finished checks, found by name, hash, verdict and day; and many files checked at once.

import { get, query } from "./api.js";
import { badge } from "./check.js";
import { h, replace } from "./dom.js";
import { date, fileName, instant } from "./format.js";
import { t } from "./i18n.js";

const PAGE = 50;
const OUTCOMES = ["duplicate", "review", "unique"];
const HASH = /^[0-9a-f]{8,64}$/i; // of a file, or its beginning; else a name
const DAY_MS = 86400000;
const AT_ONCE = 2; // files that are sent at a time, so that the others of a key have room; chosen

export async function checksPage(page) {
  page.title(t("checks.title"));
  const list = h("ul", { class: "plain list" });
  const more = h("button", { hidden: true, onclick: () => load(false) }, t("queue.more"));
  const text = h("input", { id: "search", type: "search", "aria-label": t("checks.search"), placeholder: t("checks.search") });
  const outcome = h("select", { id: "outcome" }, h("option", { value: "" }, t("queue.any")), OUTCOMES.map((one) => h("option", { value: one }, t(`outcome.${one}`))));
  const [since, until] = ["since", "until"].map((id) => h("input", { id, type: "date" }));
  const field = (name, input) => h("div", { class: "field" }, h("label", { for: input.id }, t(`queue.${name}`)), input);
  let cursor = "";
  const load = async (fresh) => {
    const sought = text.value.trim();
    const answer = await get(`/v1/checks${query({ [HASH.test(sought) ? "sha256" : "q"]: sought, outcome: outcome.value, since: instant(since.value, 0), until: instant(until.value, DAY_MS - 1), limit: PAGE, cursor: fresh ? "" : cursor })}`);
    cursor = answer.next_cursor || "";
    if (fresh) replace(list);
    list.append(...answer.items.map(checkRow));
    if (!list.children.length) list.append(h("li", { class: "muted" }, t("checks.none")));
    more.hidden = !cursor;
  };
  const find = (event) => { event.preventDefault(); load(true); };
  replace(page.main, h("h1", {}, t("checks.title")),
    h("form", { class: "row wrap filters", role: "search", onsubmit: find, onchange: find }, h("div", { class: "search" }, text),
      field("verdict", outcome), field("since", since), field("until", until), h("button", {}, t("library.find"))),
    h("section", { class: "card" }, list), h("p", {}, more));
  await load(true);
}

export const checkRow = (check) => h("li", {}, h("a", { href: `#/checks/${encodeURIComponent(check.id)}`, class: "rowlink" },
  badge(check.outcome), h("span", { class: "grow clip" }, fileName(check.query_name)), h("span", { class: "muted nowrap" }, date(check.created_at))));

// The files of a drop or a choice, those of folders too.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(inside))).flat();
}

async function inside(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => { entry.file(resolve, reject); })];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader gives some hundred entries at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(inside))).flat());
  }
}

// Checks many files, some at a time; each has a row with its verdict, or its error. `ask(file, mark)`
// resolves with the check.
export async function checkMany(page, place, files, ask) {
  const say = h("p", { role: "status" });
  const list = h("ul", { class: "plain list" });
  replace(place, say, list);
  const waiting = files.map((file) => {
    const state = h("span", { class: "muted" }, t("stage.queued"));
    const line = h("li", {}, h("span", { class: "rowlink" }, h("span", { class: "grow clip" }, file.name), state));
    list.append(line);
    return { file, line, state };
  });
  let [ended, failed] = [0, 0];
  const tell = () => { say.textContent = t("checks.progress", { done: ended, total: files.length, failed }); };
  tell();
  const work = async () => {
    while (waiting.length && !page.stopped.signal.aborted) {
      const { file, line, state } = waiting.shift();
      try {
        line.replaceWith(checkRow(await ask(file, (stage) => { state.textContent = t(`stage.${stage}`); })));
      } catch (error) {
        failed += 1;
        replace(line, h("b", {}, file.name), " ", h("span", { class: "problem-text" }, [error.message, error.hint].filter(Boolean).join(" ")));
      }
      ended += 1;
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
