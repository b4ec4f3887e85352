// All segments of two videos: bands from their place in one to their place in the other.

import { h, svg } from "./dom.js";
import { number, range, seconds } from "./format.js";
import { t } from "./i18n.js";

const WIDTH = 1000;

export function timeline(evidence, player) {
  const across = (time, side) => (time / Math.max(evidence[side].duration_s, 0.001)) * WIDTH;
  const bands = evidence.segments.map((one, index) => {
    const [a, b] = [across(one.query_start_s, "query"), across(one.query_end_s, "query")];
    let [c, d] = [across(one.reference_start_s, "reference"), across(one.reference_end_s, "reference")];
    if (one.reversed) [c, d] = [d, c];
    const band = svg("g", { class: `band s${index % 8}` },
      svg("rect", { x: a, y: 0, width: Math.max(b - a, 2), height: 18, rx: 3 }),
      svg("polygon", { points: `${a},18 ${b},18 ${d},62 ${c},62` }),
      svg("rect", { x: Math.min(c, d), y: 62, width: Math.max(Math.abs(d - c), 2), height: 18, rx: 3 }));
    band.addEventListener("click", () => player.toSegment(index));
    return band;
  });
  const heads = [svg("line", { class: "head", y1: 0, y2: 18 }), svg("line", { class: "head", y1: 62, y2: 80 })];
  player.onmove((time, referenceTime) => {
    place(heads[0], across(time, "query"));
    place(heads[1], across(Math.min(Math.max(referenceTime, 0), evidence.reference.duration_s), "reference"));
  });
  const drawing = svg("svg", { class: "timeline", viewBox: `0 0 ${WIDTH} 80`, preserveAspectRatio: "none", role: "img", "aria-label": t("match.timeline") },
    svg("rect", { class: "rail", width: WIDTH, height: 18, rx: 3 }), svg("rect", { class: "rail", y: 62, width: WIDTH, height: 18, rx: 3 }), bands, heads);
  const end = (name, side) => h("div", { class: "rail-name" }, h("span", {}, t(name)), h("span", { class: "muted" }, seconds(evidence[side].duration_s)));
  return h("section", { class: "card" }, h("h2", {}, t("match.segments")),
    end("match.axis.query", "query"), drawing, end("match.axis.reference", "reference"), chips(evidence, player));
}

function chips(evidence, player) {
  if (!evidence.segments.length) return h("p", { class: "muted" }, t("match.none"));
  const buttons = evidence.segments.map((one, index) => h("button", { class: `stretch s${index % 8}`, onclick: () => player.toSegment(index) },
    h("strong", {}, t("match.segment", { number: index + 1 })),
    h("span", {}, `${range(one.query_start_s, one.query_end_s)} → ${range(one.reference_start_s, one.reference_end_s)}`),
    Math.abs(one.speed - 1) > 0.03 && h("span", { class: "muted" }, t("match.speed", { value: number(one.speed) })),
    one.reversed && h("span", { class: "muted" }, t("match.reversed"))));
  player.onmove((_time, _reference, current) => buttons.forEach((button, index) => button.setAttribute("aria-current", String(index === current))));
  return h("div", { class: "stretches" }, buttons);
}

function place(line, x) {
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
}
