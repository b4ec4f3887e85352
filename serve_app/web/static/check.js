// Checks a video: drop it or paste a link, see the progress, read the verdict.

import { get, path, post, query, remove, upload, picture, titleOf } from "./api.js";
import { checkZip } from "./batch.js";
import { checkMany, checkRow, filesOf } from "./checks.js";
import { dialog, h, icon, replace, toast } from "./dom.js";
import { date, fileName, number, percent, range } from "./format.js";
import { t, word } from "./i18n.js";
import { belowReview, held, ruling } from "./rights.js";

const POLL_MS = 400;
const STAGES = ["upload", "decode", "embed", "retrieve", "rerank"];

// `reference`: id of a reference that a video is to be compared with.
export async function checkPage(page, reference = "") {
  page.title(t("check.title"));
  const [libraries, recent] = await Promise.all([get("/v1/libraries"), get("/v1/checks?limit=8")]);
  const progress = h("div", {});
  const library = h("select", { id: "library" }, h("option", { value: "" }, t("check.all")),
    libraries.items.map((one) => h("option", { value: one.name }, `${one.name} · ${one.references}`)));
  const start = (send, name) => follow(page, progress, send, name, compared.value.trim());
  const address = () => `/v1/checks${query({ library: library.value })}`;
  const territory = h("input", { id: "territory", maxlength: 2, pattern: "[A-Za-z]{2}", placeholder: "DE", autocomplete: "off" });
  const channel = h("input", { id: "channel", autocomplete: "off" });
  const compared = h("input", { id: "reference", autocomplete: "off", value: reference });
  const context = () => Object.fromEntries(Object.entries({ territory: territory.value, channel: channel.value, reference_id: compared.value.trim() }).filter(([, value]) => value));
  const sendFile = (file) => start((share) => upload(address(), file, context(), share), file.name);
  const askFile = async (file, mark) => {
    mark("upload");
    const accepted = await upload(address(), file, context(), () => {});
    await finished(page, accepted.id, accepted.job_id, mark);
    return get(`/v1/checks/${path(accepted.id)}`);
  };
  const sendZip = (file) => checkZip(page, progress, file, { library: library.value, territory: territory.value, channel: channel.value }, checkRow);
  const sendOne = (file) => (/\.zip$/i.test(file.name) ? sendZip(file) : sendFile(file));
  const sendFiles = (files) => (files.length === 1 ? sendOne(files[0]) : files.length && checkMany(page, progress, files, askFile));
  const link = h("input", { id: "link", type: "url", placeholder: "https://", required: true, autocomplete: "off" });
  const sendLink = (event) => { event.preventDefault(); start(() => post(address(), { link: link.value, ...context() }), link.value); };
  replace(page.main,
    h("h1", {}, t("check.title")), h("p", { class: "lead" }, t("check.lead")),
    h("div", { class: "two" },
      h("section", { class: "card" }, dropZone(sendFiles),
        h("form", { class: "linkform", onsubmit: sendLink },
          h("div", { class: "field grow" }, h("label", { for: "link" }, t("check.link")), link),
          h("div", { class: "field" }, h("label", { for: "library" }, t("check.library")), library),
          h("button", { class: "primary" }, t("check.start"))),
        h("details", { class: "where", open: Boolean(reference) }, h("summary", {}, t("check.where")), h("div", { class: "row wrap" },
          h("div", { class: "field" }, h("label", { for: "territory" }, t("check.territory")), territory),
          h("div", { class: "field grow" }, h("label", { for: "channel" }, t("check.channel")), channel),
          h("div", { class: "field grow" }, h("label", { for: "reference" }, t("check.compare")), compared, h("p", { class: "muted small" }, t("check.compare.note"))))),
        progress),
      h("section", { class: "card" }, h("h2", {}, t("check.recent")),
        recent.items.length ? h("ul", { class: "plain list" }, recent.items.map(checkRow)) : h("p", { class: "muted" }, t("check.none")), h("p", {}, h("a", { href: "#/checks" }, t("checks.all"))))));
}

function dropZone(send) {
  const input = h("input", { type: "file", id: "file", multiple: true, accept: "video/*,.mkv,.avi,.wmv,.flv,.ts,.zip", class: "hidden-input" });
  input.addEventListener("change", () => { send([...input.files]); input.value = ""; });
  const zone = h("label", { class: "drop", for: "file" }, icon("upload"), h("strong", {}, t("check.drop")),
    h("span", { class: "muted" }, t("check.or")), h("span", { class: "button" }, t("check.choose")), input);
  const over = (on) => (event) => { event.preventDefault(); zone.classList.toggle("over", on); };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", async (event) => { over(false)(event); send(await filesOf(event.dataTransfer)); });
  return zone;
}

export const badge = (outcome) => h("span", { class: `badge ${outcome}` }, word("outcome", outcome));

// `reference`: its match is opened then, whatever the verdict.
async function follow(page, place, send, name, reference) {
  const steps = new Map(STAGES.map((stage) => [stage, h("li", {}, t(`stage.${stage}`))]));
  const line = h("progress", { max: 1, value: 0, "aria-label": t("progress") });
  const say = h("p", { class: "muted clip", role: "status" }, fileName(name));
  replace(place, h("div", { class: "progress" }, say, line, h("ol", { class: "steps" }, [...steps.values()])));
  const mark = (stage, share) => {
    const reached = STAGES.indexOf(stage);
    STAGES.forEach((one, index) => {
      steps.get(one).className = index < reached ? "done" : index === reached ? "now" : "";
    });
    line.value = share;
  };
  mark("upload", 0);
  try {
    const accepted = await send((share) => mark("upload", share * 0.3));
    mark("decode", 0.35);
    await finished(page, accepted.id, accepted.job_id, mark);
    if (!page.stopped.signal.aborted) location.hash = `#/checks/${encodeURIComponent(accepted.id)}${reference ? `/matches/${encodeURIComponent(reference)}` : ""}`;
  } catch (error) {
    replace(place, h("div", { class: "problem", role: "alert" }, h("strong", {}, t("error")), h("p", {}, error.message), error.hint && h("p", { class: "muted" }, error.hint)));
  }
}

async function finished(page, id, jobId, mark) {
  while (!page.stopped.signal.aborted) {
    const job = await get(`/v1/jobs/${path(jobId)}`);
    if (job.error) throw Object.assign(new Error(job.error.detail), { hint: job.error.hint });
    if (job.status === "done") return;
    if (STAGES.includes(job.stage)) mark(job.stage, 0.35 + 0.6 * (job.progress || 0));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function verdictPage(page, id) {
  const check = await get(`/v1/checks/${path(id)}`, { prefer: "wait=20", signal: page.stopped.signal });
  if (check.error) throw Object.assign(new Error(check.error.detail), { hint: check.error.hint });
  if (check.status !== "done") return setTimeout(() => !page.stopped.signal.aborted && verdictPage(page, id), POLL_MS);
  page.title(fileName(check.query_name));
  const matches = h("div", { class: "matches" });
  const counted = new Set(check.matches.map((match) => match.reference_id));
  const list = (items) => replace(matches, items.length ? items.map((match) => matchCard(check, match, !counted.has(match.reference_id))) : h("p", { class: "muted" }, t("verdict.none")));
  const weak = h("button", { class: "quiet", onclick: async () => { const all = await get(`/v1/checks/${path(id)}?min_probability=0`); list(all.matches); weak.remove(); } }, t("verdict.weak"));
  list(check.matches);
  return replace(page.main,
    h("section", { class: `card verdict ${check.outcome}` },
      h("div", {}, badge(check.outcome), h("h1", {}, fileName(check.query_name)), h("p", {}, t(`outcome.lead.${lead(check)}`)), check.outcome !== "unique" && h("p", {}, t("rights.wish", { action: t(`action.${check.action}`) }))),
      h("div", { class: "big" }, h("strong", {}, percent(check.probability)), h("span", { class: "muted" }, t("match.probability")))),
    h("div", { class: "two wide" },
      h("section", {}, h("h2", {}, t("verdict.matches")), matches, h("p", {}, weak, " ", h("a", { class: "button", href: "#/" }, t("check.again")))),
      facts(check)));
}

// Unique with a match: the match is licensed.
const lead = (check) => (check.searched?.references === 0 ? "blind" : check.outcome === "unique" && check.matches.some((match) => !match.rejected) ? "licensed" : check.outcome);

// Of a weak match nothing is stored to look at.
function matchCard(check, match, weak) {
  const address = `#/checks/${encodeURIComponent(check.id)}/matches/${encodeURIComponent(match.reference_id)}`;
  const first = match.segments[0];
  const at = first ? (first.reference_start_s + first.reference_end_s) / 2 : 0;
  return h(weak ? "div" : "a", { class: "card match", href: weak ? undefined : address },
    picture(`/v1/references/${path(match.reference_id)}/picture?at=${at.toFixed(2)}`),
    h("div", { class: "grow" }, h("strong", { class: "clip" }, titleOf(match.reference_id)),
      h("span", { class: "muted" }, `${match.library} · ${t("match.similarity", { value: number(match.similarity) })}`),
      match.rejected ? h("span", { class: "chip" }, t("verdict.rejected")) : weak && match.rights?.counts ? belowReview(match) : ruling(match), held(match),
      h("ul", { class: "plain small" }, match.segments.slice(0, 4).map((one) => h("li", {}, `${range(one.query_start_s, one.query_end_s)}  →  ${range(one.reference_start_s, one.reference_end_s)}`)))),
    h("div", { class: "big" }, h("strong", {}, percent(match.probability)), weak ? null : h("span", { class: "link" }, t("verdict.look"))));
}

function facts(check) {
  const ask = async () => {
    const sure = await confirm(t("forget"), t("forget.ask"));
    if (sure) { await remove(`/v1/checks/${path(check.id)}/evidence`); toast(t("forget.done")); }
  };
  const times = Object.entries(check.timings_ms).map(([stage, ms]) => `${word("stage", stage)} ${number(ms, 0)}`);
  const rows = [["verdict.at", date(check.created_at)], ["verdict.libraries", check.libraries.join(", ") || t("check.all")],
    ["verdict.territory", check.context.territory ?? ""], ["verdict.channel", check.context.channel ?? ""],
    ["verdict.model", check.model_id], ["verdict.policy", check.policy_version], ["verdict.index", check.index_version],
    ["verdict.time", `${times.join(" · ")} ms`], ["verdict.sha", check.query_sha256]];
  return h("section", { class: "card" }, h("h2", {}, t("verdict.facts")),
    h("dl", {}, rows.filter(([, value]) => value !== "").map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)])),
    check.earlier_id && h("p", {}, h("a", { href: `#/checks/${encodeURIComponent(check.earlier_id)}` }, t("verdict.earlier"))),
    h("button", { class: "quiet", onclick: ask }, icon("trash"), t("forget")));
}

export const confirm = (title, text) => dialog(title, (close) => h("div", {}, h("p", {}, text),
  h("div", { class: "row end" }, h("button", { onclick: () => close(false) }, t("library.cancel")), h("button", { class: "danger", onclick: () => close(true) }, title))));
