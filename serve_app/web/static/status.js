// What the service is doing: readiness, libraries, verdicts, the latest jobs with their errors.

import { get, raw } from "./api.js";
import { h, replace } from "./dom.js";
import { date } from "./format.js";
import { quarantine } from "./guard.js";
import { t, word } from "./i18n.js";

export async function statusPage(page) {
  page.title(t("status.title"));
  const [ready, libraries, jobs, queue, verdicts] = await Promise.all([
    readiness(), get("/v1/libraries"), get("/v1/jobs?limit=25"), get("/v1/reviews/queue?state=open&limit=1"), verdictCounts()]);
  const held = h("div", {});
  const references = libraries.items.reduce((sum, one) => sum + one.references, 0);
  replace(page.main,
    h("div", { class: "row wrap" }, h("h1", { class: "grow" }, t("status.title")), h("button", { onclick: () => statusPage(page) }, t("status.refresh"))),
    h("section", { class: `card ${ready.ready ? "good" : "bad"}`, role: "status" }, h("strong", {}, t(ready.ready ? "status.ready" : "status.not")),
      !ready.ready && h("p", {}, t("status.waiting", { names: (ready.waiting_for || []).join(", ") }))),
    held, h("div", { class: "tiles" }, tile("status.references", references), tile("status.queue", queue.counts.open, "#/queue"),
      Object.entries(verdicts).map(([outcome, count]) => tile(`outcome.${outcome}`, count))),
    h("div", { class: "two wide" },
      h("section", { class: "card" }, h("h2", {}, t("status.jobs")), jobs.items.length ? table(jobs.items) : h("p", { class: "muted" }, t("status.no.jobs"))),
      h("section", { class: "card" }, h("h2", {}, t("status.libraries")), h("ul", { class: "plain list" }, libraries.items.map((one) => h("li", { class: "row" }, h("span", { class: "grow" }, one.name), t("library.references", { count: one.references })))))));
  await quarantine(held);
}

async function readiness() {
  const response = await raw("/readyz");
  return response.json();
}

const tile = (name, value, address) => h(address ? "a" : "div", { class: "card tile", href: address }, h("strong", {}, value), h("span", { class: "muted" }, t(name)));

// Counters of all processes since they started, in Prometheus' text format.
async function verdictCounts() {
  const counts = { duplicate: 0, review: 0, unique: 0 };
  try {
    const text = await (await raw("/metrics")).text();
    for (const [, outcome, value] of text.matchAll(/^dubl_verdicts_total\{.*?\boutcome="(\w+)".*?\} (\S+)$/gm)) counts[outcome] += Number(value);
  } catch { /* counters are an extra */ }
  return counts;
}

function table(jobs) {
  const columns = ["status.kind", "status.state", "status.subject", "status.at", "status.error"];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("status.jobs") }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, jobs.map((job) => h("tr", {}, h("td", {}, word("kind", job.kind)), h("td", {}, h("span", { class: `chip ${job.status}` }, word("job", job.status))),
      h("td", { class: "clip" }, job.kind === "check" ? h("a", { href: `#/checks/${encodeURIComponent(job.subject_id)}` }, job.subject_id) : job.subject_id),
      h("td", { class: "nowrap" }, date(job.created_at)), h("td", {}, job.error ? job.error.detail : ""))))));
}
