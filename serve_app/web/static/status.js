// State of the service: readiness, libraries, verdicts, the latest jobs with their errors.

import { get, raw } from "./api.js";
import { h, replace } from "./dom.js";
import { date, percent } from "./format.js";
import { quarantine } from "./guard.js";
import { t, word } from "./i18n.js";

export async function statusPage(page) {
  page.title(t("status.title"));
  const [ready, libraries, jobs, queue, metrics] = await Promise.all([
    readiness(), get("/v1/libraries"), get("/v1/jobs?limit=25"), get("/v1/reviews/queue?state=open&limit=1"), readMetrics()]);
  const verdicts = verdictCounts(metrics);
  const held = h("div", {});
  const references = libraries.items.reduce((sum, one) => sum + one.references, 0);
  replace(page.main,
    h("div", { class: "row wrap" }, h("h1", { class: "grow" }, t("status.title")), h("button", { onclick: () => statusPage(page) }, t("status.refresh"))),
    h("section", { class: `card ${ready.ready ? "good" : "bad"}`, role: "status" }, h("strong", {}, t(ready.ready ? "status.ready" : "status.not")),
      !ready.ready && h("p", {}, t("status.waiting", { names: (ready.waiting_for || []).join(", ") }))),
    held, h("div", { class: "tiles" }, tile("status.references", references), tile("status.queue", queue.counts.open, "#/queue"),
      Object.entries(verdicts).map(([outcome, count]) => tile(`outcome.${outcome}`, count))),
    h("div", { class: "facts" }, facts("status.queues", named(queueRows(metrics, ready))), facts("status.index", named(indexRows(metrics))), facts("status.replicas", replicaRows(metrics))),
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

// Prometheus' text format; the rest of the page works without it.
async function readMetrics() {
  try { return await (await raw("/metrics")).text(); } catch { return ""; }
}

// Samples of one metric: labels as text, and the value; no other part of the format is needed.
const samples = (metrics, name) => [...metrics.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, "gm"))].map(([, labels, value]) => ({ labels: labels || "", value: Number(value) }));

const label = (sample, name) => sample.labels.match(new RegExp(`(?:^|,)${name}="([^"]*)"`))?.[1];

function verdictCounts(metrics) {
  const counts = { duplicate: 0, review: 0, unique: 0 };
  for (const sample of samples(metrics, "dubl_verdicts_total")) counts[label(sample, "outcome")] += sample.value;
  return counts;
}

function indexRows(metrics) {
  const frames = Object.fromEntries(samples(metrics, "dubl_index_frames").map((sample) => [label(sample, "state"), sample.value]));
  const recall = samples(metrics, "dubl_index_recall")[0]?.value;
  const fresh = frames.all ? 1 - frames.unindexed / frames.all : 1;
  return [["status.frames", frames.all ?? "–"], ["status.fresh", percent(fresh)], ["status.recall", Number.isFinite(recall) ? percent(recall) : t("status.no.audit")]];
}

function queueRows(metrics, ready) {
  const waiting = samples(metrics, "dubl_jobs_unfinished").reduce((sum, sample) => sum + sample.value, 0);
  return [["status.unfinished", waiting], ["status.running", ready.running_jobs ?? "–"]];
}

function replicaRows(metrics) {
  const counts = {};
  for (const sample of samples(metrics, "(?:ray_)?serve_deployment_replica_healthy")) {
    const name = label(sample, "deployment");
    if (sample.value > 0) counts[name] = (counts[name] || 0) + 1;
  }
  return Object.entries(counts).sort();
}

const facts = (title, rows) => rows.length > 0 && h("section", { class: "card" }, h("h2", {}, t(title)), h("dl", {}, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));

const named = (rows) => rows.map(([name, value]) => [t(name), value]);

function table(jobs) {
  const columns = ["status.kind", "status.state", "status.subject", "status.at", "status.error"];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("status.jobs") }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, jobs.map((job) => h("tr", {}, h("td", {}, word("kind", job.kind)), h("td", {}, h("span", { class: `chip ${job.status}` }, word("job", job.status))),
      h("td", { class: "clip" }, job.kind === "check" ? h("a", { href: `#/checks/${encodeURIComponent(job.subject_id)}` }, job.subject_id) : job.subject_id),
      h("td", { class: "nowrap" }, date(job.created_at)), h("td", {}, job.error ? job.error.detail : ""))))));
}
