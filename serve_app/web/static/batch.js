// Many videos at once: sends a zip, then shows its videos until all have ended.

import { get, path, query, upload } from "./api.js";
import { dialog, h } from "./dom.js";
import { t, word } from "./i18n.js";

const POLL_MS = 500;
const SENDING_SHARE = 0.3;
const MAX_SHOWN = 500;
const ENDED = ["done", "failed", "cancelled"];

export const zipDialog = (libraries) => dialog(t("zip.title"), (close) => {
  const file = h("input", { id: "zip-file", type: "file", accept: ".zip,application/zip", required: true });
  const library = h("input", { id: "zip-library", list: "zip-libraries", autocomplete: "off", value: libraries[0]?.name ?? "main", pattern: "[\\w.\\-]{1,64}" });
  const owner = h("input", { id: "zip-owner", autocomplete: "off" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("progress") });
  const say = h("p", { class: "muted", role: "status" });
  const failures = h("ul", { class: "plain small failures" });
  const work = h("div", { hidden: true }, say, bar, failures);
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const leave = h("button", { type: "button", onclick: () => close(started) }, t("library.cancel"));
  const button = h("button", { class: "primary" }, t("zip.send"));
  const form = h("div", {}, field("zip-file", "zip.file", file), field("zip-library", "check.library", library), field("zip-owner", "library.owner", owner),
    h("datalist", { id: "zip-libraries" }, libraries.map((one) => h("option", { value: one.name }))));
  let started = false;
  const send = async (event) => {
    event.preventDefault();
    [work.hidden, problem.hidden, button.disabled] = [false, true, true];
    say.textContent = t("stage.upload");
    try {
      const fields = { kind: "reference", library: library.value, owner: owner.value };
      const accepted = await upload("/v1/batches", file.files[0], fields, (share) => { bar.value = share * SENDING_SHARE; });
      [form.hidden, started] = [true, true];
      await follow(accepted.job_id, "zip.progress", bar, say, failures, () => leave.isConnected);
      leave.textContent = t("close");
      button.hidden = true;
    } catch (error) {
      problem.textContent = [error.message, error.hint].filter(Boolean).join(" ");
      [work.hidden, problem.hidden, button.disabled] = [true, false, false];
    }
  };
  return h("form", { onsubmit: send }, form, work, problem, h("div", { class: "row end" }, leave, button));
});

const field = (id, label, input) => h("div", { class: "field" }, h("label", { for: id }, t(label)), input);

// Checks the videos of a zip; each has a row with its verdict, or its error. `row` makes that of a check.
export async function checkZip(page, place, file, fields, row) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("progress") });
  const say = h("p", { class: "muted", role: "status" }, t("stage.upload"));
  const failures = h("ul", { class: "plain small failures" });
  const list = h("ul", { class: "plain list" });
  place.replaceChildren(h("div", { class: "progress" }, say, bar), failures, list);
  const watched = () => !page.stopped.signal.aborted;
  try {
    const accepted = await upload("/v1/batches", file, { kind: "check", ...fields }, (share) => { bar.value = share * SENDING_SHARE; });
    await follow(accepted.job_id, "checks.progress", bar, say, failures, watched);
    const { items } = await get(`/v1/jobs${query({ batch: accepted.job_id, status: "done", limit: MAX_SHOWN })}`);
    for (const job of items) if (watched()) list.append(row(await get(`/v1/checks/${path(job.result_id)}`)));
  } catch (error) {
    place.replaceChildren(h("div", { class: "problem", role: "alert" }, h("strong", {}, t("error")), h("p", {}, [error.message, error.hint].filter(Boolean).join(" "))));
  }
}

// The job's children end one by one; failures are shown with their reasons.
async function follow(id, words, bar, say, failures, watched) {
  while (watched()) {
    const job = await get(`/v1/jobs/${path(id)}`);
    if (job.error) throw Object.assign(new Error(job.error.detail), { hint: job.error.hint });
    const counts = job.children || {};
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const ended = ENDED.reduce((sum, name) => sum + (counts[name] || 0), 0);
    bar.value = SENDING_SHARE + (1 - SENDING_SHARE) * (total ? ended / total : 0);
    say.textContent = total ? t(words, { done: counts.done || 0, total, failed: counts.failed || 0 }) : word("stage", job.stage || "queued");
    if (counts.failed) await name(id, failures);
    if (ENDED.includes(job.status)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function name(id, failures) {
  const { items } = await get(`/v1/jobs${query({ batch: id, status: "failed", limit: MAX_SHOWN })}`);
  failures.replaceChildren(...items.map((job) => h("li", {}, h("span", { class: "chip failed" }, word("job", "failed")), " ", h("b", {}, job.name), ` ${job.error?.detail || ""} `, h("span", { class: "muted" }, job.error?.hint || ""))));
}
