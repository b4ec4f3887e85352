// The clickable similarity matrix: checked video downwards, reference to the right.

import { get, picture } from "./api.js";
import { h, replace, svg } from "./dom.js";
import { seconds } from "./format.js";
import { t } from "./i18n.js";
import { lineOf } from "./player.js";

const STAGES = ["frames", "network", "sound"];
const STEP_S = 0.5;

export function matrix(evidence, player) {
  const [queryEnd, referenceEnd] = [evidence.query.duration_s, evidence.reference.duration_s];
  const cross = [svg("line", { class: "cross", x1: 0, x2: 100 }), svg("line", { class: "cross", y1: 0, y2: 100 })];
  const lines = evidence.segments.map((one, index) => {
    const line = lineOf(one);
    const at = (time) => [((line.slope * time + line.offset) / referenceEnd) * 100, (time / queryEnd) * 100];
    const [[x1, y1], [x2, y2]] = [at(one.query_start_s), at(one.query_end_s)];
    return svg("line", { class: `found s${index % 8}`, x1, y1, x2, y2 });
  });
  const overlay = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" }, lines, cross);
  const shown = h("div", {});
  const field = h("div", { class: "matrix", tabindex: 0, role: "application", "aria-label": `${t("match.matrix")}. ${t("match.matrix.help")}` }, shown, overlay);
  const ratio = queryEnd / referenceEnd;
  field.style.aspectRatio = `1 / ${Math.min(Math.max(ratio, 0.34), 1)}`;
  let at = [0, 0];
  player.onmove((time, referenceTime) => {
    at = [time, referenceTime];
    set(cross[0], "y", (time / queryEnd) * 100);
    set(cross[1], "x", (referenceTime / referenceEnd) * 100);
  });
  field.addEventListener("click", (event) => {
    const box = field.getBoundingClientRect();
    player.pause();
    player.jump(((event.clientY - box.top) / box.height) * queryEnd, ((event.clientX - box.left) / box.width) * referenceEnd);
  });
  const moves = { ArrowDown: [STEP_S, 0], ArrowUp: [-STEP_S, 0], ArrowRight: [0, STEP_S], ArrowLeft: [0, -STEP_S] };
  field.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    player.pause();
    player.jump(clamp(at[0] + move[0], queryEnd), clamp(at[1] + move[1], referenceEnd));
  });
  const tabs = h("div", { class: "segmented", role: "group", "aria-label": t("match.matrix") });
  const choose = (stage) => {
    for (const button of tabs.children) button.setAttribute("aria-pressed", String(button.dataset.stage === stage));
    replace(shown, picture(`${evidence.matrix_picture}?stage=${stage}&segments=false`, { loading: "eager" }));
  };
  replace(tabs, STAGES.map((stage) => h("button", { "data-stage": stage, onclick: () => choose(stage) }, t(`match.stage.${stage}`))));
  choose("frames");
  hideMissing(evidence, tabs);
  return h("section", { class: "card" }, h("h2", {}, t("match.matrix")), tabs,
    h("div", { class: "matrix-frame" }, h("span", { class: "axis muted" }, `${t("match.axis.reference")} → ${seconds(referenceEnd)}`), field),
    h("p", { class: "muted" }, t("match.matrix.help")));
}

async function hideMissing(evidence, tabs) {
  for (const button of [...tabs.children].slice(1)) {
    try { await get(`${evidence.matrix}?stage=${button.dataset.stage}`); } catch { button.remove(); }
  }
  tabs.hidden = tabs.children.length === 1;
}

function set(line, axis, value) {
  line.setAttribute(`${axis}1`, value);
  line.setAttribute(`${axis}2`, value);
}

const clamp = (value, end) => Math.min(Math.max(value, 0), end);
