// The library: search, add, edit, delete; one reference with the checks that matched it.

import { get, patch, path, picture, post, query, remove, upload } from "./api.js";
import { zipDialog } from "./batch.js";
import { badge, confirm } from "./check.js";
import { dialog, h, icon, replace, toast } from "./dom.js";
import { date, fileName, seconds } from "./format.js";
import { quarantine } from "./guard.js";
import { t } from "./i18n.js";
import { rightsCard } from "./rights.js";

const PAGE = 40;
const POLL_MS = 400;

export async function libraryPage(page) {
  page.title(t("library.title"));
  const libraries = await get("/v1/libraries");
  const text = h("input", { id: "q", type: "search", placeholder: t("library.search"), "aria-label": t("library.search") });
  const library = h("select", { "aria-label": t("check.library") }, h("option", { value: "" }, t("check.all")),
    libraries.items.map((one) => h("option", { value: one.name }, `${one.name} · ${one.references}`)));
  const rows = h("ul", { class: "plain shelf" });
  const more = h("button", { hidden: true }, t("queue.more"));
  let cursor = "";
  const load = async (fresh) => {
    const answer = await get(`/v1/references${query({ q: text.value, library: library.value, limit: PAGE, cursor: fresh ? "" : cursor })}`);
    cursor = answer.next_cursor || "";
    if (fresh) replace(rows);
    rows.append(...answer.items.map(shelfRow));
    if (!rows.children.length) rows.append(h("li", { class: "card muted" }, t("library.empty")));
    more.hidden = !cursor;
  };
  const find = (event) => { event.preventDefault(); load(true); };
  library.addEventListener("change", () => load(true));
  more.addEventListener("click", () => load(false));
  const add = async () => { if (await addDialog(libraries.items)) load(true); };
  const addZip = async () => { if (await zipDialog(libraries.items)) libraryPage(page); };
  replace(page.main,
    h("div", { class: "row wrap" }, h("h1", { class: "grow" }, t("library.title")), h("a", { class: "button", href: "#/clusters" }, t("clusters.title")), h("button", { onclick: addZip }, icon("upload"), t("zip.title")), h("button", { class: "primary", onclick: add }, icon("plus"), t("library.add"))),
    h("form", { class: "row wrap", role: "search", onsubmit: find }, h("div", { class: "search" }, text), library, h("button", {}, t("library.find"))), rows, more);
  await load(true);
}

const shelfRow = (one) => h("li", {}, h("a", { class: "card shelf-item", href: `#/references/${encodeURIComponent(one.id)}` },
  picture(`/v1/references/${path(one.id)}/picture?at=${(one.duration_s / 2).toFixed(1)}`),
  h("span", { class: "grow" }, h("strong", { class: "clip" }, one.title || fileName(one.id)), h("span", { class: "muted small clip" }, [one.owner, one.library].filter(Boolean).join(" · ")),
    h("span", { class: "muted small" }, `${seconds(one.duration_s)} · ${date(one.created_at)}`))));

function field(name, label, properties = {}, note) {
  const input = h(properties.rows ? "textarea" : "input", { id: name, autocomplete: "off", ...properties });
  return [input, h("div", { class: "field" }, h("label", { for: name }, label), input, note && h("span", { class: "muted small" }, note))];
}

const addDialog = (libraries) => dialog(t("library.add"), (close) => {
  const [file, fileRow] = field("add-file", t("library.file"), { type: "file", accept: "video/*,.mkv,.avi,.wmv,.flv,.ts" });
  const [link, linkRow] = field("add-link", t("library.link"), { type: "url", placeholder: "https://" });
  const [id, idRow] = field("add-id", t("library.id"), {}, t("library.id.help"));
  const [title, titleRow] = field("add-title", t("library.name"));
  const [owner, ownerRow] = field("add-owner", t("library.owner"));
  const [library, libraryRow] = field("add-library", t("check.library"), { list: "libraries", value: libraries[0]?.name ?? "main", pattern: "[\\w.\\-]{1,64}" }, t("library.new"));
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": t("progress") });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const button = h("button", { class: "primary" }, t("library.add"));
  const send = async (event) => {
    event.preventDefault();
    const fields = { id: id.value, title: title.value, owner: owner.value, library: library.value };
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
    [bar.hidden, problem.hidden, button.disabled] = [false, true, true];
    try {
      const accepted = file.files.length
        ? await upload("/v1/references", file.files[0], given, (share) => { bar.value = share * 0.5; })
        : await post("/v1/references", { ...given, link: link.value });
      bar.removeAttribute("value");
      const done = await registered(accepted);
      toast(t("library.added", { name: done.title || done.id }), "good");
      close(true);
    } catch (error) {
      problem.textContent = [error.message, error.hint].filter(Boolean).join(" ");
      [bar.hidden, problem.hidden, button.disabled] = [true, false, false];
    }
  };
  return h("form", { onsubmit: send }, fileRow, linkRow, titleRow, ownerRow, libraryRow, idRow,
    h("datalist", { id: "libraries" }, libraries.map((one) => h("option", { value: one.name }))), bar, problem,
    h("div", { class: "row end" }, h("button", { type: "button", onclick: () => close(false) }, t("library.cancel")), button));
});

async function registered(accepted) {
  for (;;) {
    const reference = await get(`/v1/references/${path(accepted.id)}`, { prefer: "wait=10" });
    if (reference.error) throw Object.assign(new Error(reference.error.detail), { hint: reference.error.hint });
    if (reference.status === "ready") return reference;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function referencePage(page, id) {
  const [reference, checks] = await Promise.all([get(`/v1/references/${path(id)}`), get(`/v1/checks${query({ reference_id: id, limit: 20 })}`)]);
  page.title(reference.title || id);
  const held = h("div", {});
  const change = async () => { if (await editDialog(reference)) referencePage(page, id); };
  const drop = async () => {
    const name = reference.title || id;
    if (!(await confirm(t("library.delete"), t("library.ask", { name })))) return;
    await remove(`/v1/references/${path(id)}`);
    toast(t("library.deleted", { name }));
    location.hash = "#/library";
  };
  const rows = [["library.id", id], ["check.library", reference.library], ["library.owner", reference.owner], ["library.duration", seconds(reference.duration_s)],
    ["library.frames", reference.frame_count], ["library.registered", date(reference.created_at)], ["library.source", reference.source], ["verdict.sha", reference.sha256],
    ["library.metadata", Object.keys(reference.metadata).length ? JSON.stringify(reference.metadata) : ""]];
  replace(page.main,
    h("div", { class: "row wrap" }, h("h1", { class: "grow clip" }, reference.title || id), h("a", { class: "button", href: `#/compare/${encodeURIComponent(id)}` }, t("library.compare")), h("button", { onclick: change }, icon("edit"), t("library.edit")), h("button", { class: "danger", onclick: drop }, icon("trash"), t("library.delete"))), held,
    h("div", { class: "two wide" },
      h("div", { class: "column" },
        h("section", { class: "card" }, h("div", { class: "strip" }, [0.05, 0.25, 0.5, 0.75, 0.95].map((share) => picture(`/v1/references/${path(id)}/picture?at=${(reference.duration_s * share).toFixed(1)}`)))),
        h("section", { class: "card" }, h("h2", {}, t("library.matches")),
          checks.items.length ? h("ul", { class: "plain list" }, checks.items.map((check) => h("li", {}, h("a", { class: "rowlink", href: `#/checks/${encodeURIComponent(check.id)}/matches/${encodeURIComponent(id)}` },
            badge(check.outcome), h("span", { class: "grow clip" }, fileName(check.query_name)), h("span", { class: "muted nowrap" }, date(check.created_at)))))) : h("p", { class: "muted" }, t("library.no.matches")))),
      h("div", { class: "column" }, rightsCard(reference, () => referencePage(page, id)),
        h("section", { class: "card" }, h("dl", {}, rows.filter(([, value]) => value !== "").map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)]))))));
  await quarantine(held, id);
}

const editDialog = (reference) => dialog(t("library.edit"), (close) => {
  const [title, titleRow] = field("edit-title", t("library.name"), { value: reference.title });
  const [owner, ownerRow] = field("edit-owner", t("library.owner"), { value: reference.owner });
  const [metadata, metadataRow] = field("edit-metadata", t("library.metadata"), { rows: 5, value: JSON.stringify(reference.metadata, null, 2) });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const save = async (event) => {
    event.preventDefault();
    try {
      await patch(`/v1/references/${path(reference.id)}`, { title: title.value, owner: owner.value, metadata: JSON.parse(metadata.value || "{}") });
      toast(t("library.saved"), "good");
      close(true);
    } catch (error) { problem.textContent = error.message; problem.hidden = false; }
  };
  return h("form", { onsubmit: save }, titleRow, ownerRow, metadataRow, problem,
    h("div", { class: "row end" }, h("button", { type: "button", onclick: () => close(false) }, t("library.cancel")), h("button", { class: "primary" }, t("library.save"))));
});
