// Rights of a reference: display, editing, and their effect on a match.

import { get, patch, path } from "./api.js";
import { dialog, h, icon, replace, toast } from "./dom.js";
import { date, range, seconds } from "./format.js";
import { language, t } from "./i18n.js";

const ACTIONS = ["block", "monetize", "track", "allow"];

const LEAVES_LITTLE = ["too_short", "excluded", "common", "other_modality"];

// The reason why a match counts or not. The service's own text is English and longer.
const reasonOf = (rights) => (language() === "en" ? rights.reason : t(`reason.${rights.reason_code}`));

// Why too little is left of a match to count; only its probability has no reason.
export const belowReview = ({ rights }) => h("p", { class: "ruling small" }, h("span", { class: "chip" }, t("verdict.below")), " ",
  LEAVES_LITTLE.includes(rights.reason_code) ? h("span", { class: "muted" }, reasonOf(rights)) : null);

export function ruling(match) {
  const { rights } = match;
  if (!rights?.reason) return null;
  const state = rights.quarantined ? "open" : rights.counts ? "rejected" : "licensed";
  return h("p", { class: "ruling small" }, h("span", { class: `chip ${state}` }, t(rights.quarantined ? "rights.held" : rights.counts ? "rights.counts" : "rights.not")), " ",
    h("span", { class: "muted" }, reasonOf(rights)));
}

// The rule without which the probability would be higher.
export const held = ({ limit }) => limit && h("p", { class: "small held" }, h("span", { class: "chip open" }, t("limit.title")), " ", h("span", { class: "muted" }, t(`limit.${limit}`)));

export async function rulingOf(checkId, referenceId) {
  const check = await get(`/v1/checks/${path(checkId)}?min_probability=0`);
  const match = check.matches.find((one) => one.reference_id === referenceId);
  return match ? [ruling(match), heard(match), held(match)] : null;
}

// What the sounds of both videos say; nothing if they say nothing.
function heard(match) {
  if (!match.sound) return null;
  const words = t(match.modality === "audio" ? "sound.alone" : `sound.${match.sound}`);
  return h("p", { class: "small" }, h("span", { class: "chip" }, t(`modality.${match.modality}`)), " ", h("span", { class: "muted" }, words));
}

export function rightsCard(reference, changed) {
  const { rights } = reference;
  const edit = async () => { if (await editRights(reference)) changed(); };
  const windows = rights.license_windows.map((one) => h("li", {}, windowText(one)));
  const segments = rights.excluded_segments.map((one) => h("li", {}, range(one.start_s, one.end_s), one.label && ` · ${one.label}`));
  const rows = [["rights.action", t(`action.${rights.action}`)],
    ["rights.windows", windows.length ? h("ul", { class: "plain" }, windows) : t("rights.no.windows")],
    ["rights.excluded", segments.length ? h("ul", { class: "plain" }, segments) : t("rights.no.excluded")],
    ["rights.least", rights.min_copied_s ? seconds(rights.min_copied_s) : t("rights.any")]];
  return h("section", { class: "card rights" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("rights.title")), h("button", { onclick: edit }, icon("edit"), t("rights.edit"))),
    h("dl", {}, rows.map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)])));
}

function windowText(one) {
  const from = one.from ? t("rights.since", { time: date(one.from) }) : "";
  const until = one.until ? t("rights.till", { time: date(one.until) }) : t("rights.endless");
  return [[from, until].filter(Boolean).join(" "), one.territories.join(", ") || t("rights.everywhere"), one.channels.join(", ") || t("rights.channels.all")].join(" · ");
}

// A list of rows that can be added and removed; `build` gives the row's elements and its value.
function rows(title, add, items, build) {
  const list = h("div", { class: "rows" });
  const known = new Set();
  const push = (item) => {
    const { elements, value } = build(item, known.size);
    const drop = h("button", { type: "button", class: "quiet", "aria-label": `${t("rights.remove")}: ${title} ${known.size + 1}` }, icon("trash"));
    const row = h("fieldset", { class: "rights-row" }, h("legend", { class: "small muted" }, `${title} ${known.size + 1}`), elements, drop);
    drop.addEventListener("click", () => { known.delete(value); row.remove(); more.focus(); });
    known.add(value);
    list.append(row);
    return row;
  };
  const more = h("button", { type: "button", onclick: () => push({}).querySelector("input").focus() }, icon("plus"), add);
  items.forEach(push);
  return { element: h("div", { class: "field" }, list, more), values: () => [...known].map((value) => value()) };
}

const field = (label, input) => h("label", { class: "small" }, label, input);
const list = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
const local = (text) => (text ? text.slice(0, 16) : "");
const instant = (input) => (input.value ? `${input.value}Z` : null);

function windowRow(one) {
  const from = h("input", { type: "datetime-local", value: local(one.from) });
  const until = h("input", { type: "datetime-local", value: local(one.until) });
  const territories = h("input", { value: (one.territories ?? []).join(", "), placeholder: "DE, AT", autocomplete: "off" });
  const channels = h("input", { value: (one.channels ?? []).join(", "), autocomplete: "off" });
  return { elements: [field(t("rights.from"), from), field(t("rights.until"), until), field(t("rights.territories"), territories), field(t("rights.channels"), channels)],
    value: () => ({ from: instant(from), until: instant(until), territories: list(territories.value), channels: list(channels.value) }) };
}

function segmentRow(one) {
  const number = (value) => h("input", { type: "number", min: 0, step: "any", required: true, value: value ?? "" });
  const [start, end] = [number(one.start_s), number(one.end_s)];
  const label = h("input", { value: one.label ?? "", autocomplete: "off" });
  return { elements: [field(t("rights.start"), start), field(t("rights.end"), end), field(t("rights.label"), label)],
    value: () => ({ start_s: Number(start.value), end_s: Number(end.value), label: label.value }) };
}

const backwards = (rights) => rights.license_windows.some((one) => one.from && one.until && one.from >= one.until)
  || rights.excluded_segments.some((one) => one.start_s >= one.end_s);

const editRights = (reference) => dialog(t("rights.edit"), (close) => {
  const { rights } = reference;
  const action = h("select", { id: "rights-action" }, ACTIONS.map((one) => h("option", { value: one, selected: one === rights.action }, t(`action.${one}`))));
  const least = h("input", { id: "rights-least", type: "number", min: 0, step: "any", value: rights.min_copied_s });
  const windows = rows(t("rights.window"), t("rights.window.add"), rights.license_windows, windowRow);
  const segments = rows(t("rights.segment"), t("rights.segment.add"), rights.excluded_segments, segmentRow);
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const save = async (event) => {
    event.preventDefault();
    const given = { action: action.value, min_copied_s: Number(least.value), license_windows: windows.values(), excluded_segments: segments.values(), modalities: rights.modalities };
    try {
      if (backwards(given)) throw new Error(t("rights.backwards"));
      await patch(`/v1/references/${path(reference.id)}`, { rights: given });
      toast(t("rights.saved"), "good");
      close(true);
    } catch (error) { replace(problem, error.message); problem.hidden = false; }
  };
  return h("form", { onsubmit: save, class: "rights-form" },
    h("div", { class: "field" }, h("label", { for: "rights-action" }, t("rights.action")), action),
    h("h3", {}, t("rights.windows")), windows.element, h("h3", {}, t("rights.excluded")), segments.element,
    h("div", { class: "field" }, h("label", { for: "rights-least" }, t("rights.least")), least),
    h("p", { class: "muted small" }, t("rights.note")), problem,
    h("div", { class: "row end" }, h("button", { type: "button", onclick: () => close(false) }, t("library.cancel")), h("button", { class: "primary" }, t("library.save"))));
});
