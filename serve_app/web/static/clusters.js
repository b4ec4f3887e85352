// Duplicates inside a library as graphs: the video to keep in the middle, its copies around it.

import { get, path } from "./api.js";
import { h, replace, svg } from "./dom.js";
import { date, fileName, number, percent } from "./format.js";
import { t } from "./i18n.js";

const SHOWN = 100;
const SIDE = 320;
const RADIUS = 118;
const DOT = 13;
const LABEL = 16;

export async function clustersPage(page, library) {
  page.title(t("clusters.title"));
  const libraries = (await get("/v1/libraries")).items;
  const largest = libraries.reduce((best, one) => (one.references > (best?.references ?? -1) ? one : best), undefined);
  const chosen = library || largest?.name || "main";
  const select = h("select", { "aria-label": t("check.library") }, libraries.map((one) => h("option", { value: one.name, selected: one.name === chosen }, `${one.name} · ${one.references}`)));
  select.addEventListener("change", () => { location.hash = `#/clusters/${encodeURIComponent(select.value)}`; });
  const place = h("div", {});
  replace(page.main, h("div", { class: "row wrap" }, h("h1", {}, t("clusters.title")), select), h("p", { class: "lead" }, t("clusters.lead")), place);
  try {
    show(place, await get(`/v1/libraries/${path(chosen)}/duplicates`));
  } catch (error) {
    if (error.status !== 404) throw error;
    replace(place, h("section", { class: "card" }, h("p", {}, t("clusters.none")), h("pre", { tabindex: 0, role: "region", "aria-label": t("clusters.command") }, `dubl dedupe --library ${chosen} --data DATA --out duplicates/`)));
  }
}

function show(place, found) {
  const copies = found.clusters.reduce((sum, one) => sum + one.members.length - 1, 0);
  replace(place, h("p", { role: "status" }, t("clusters.count", { clusters: found.clusters.length, copies, at: date(found.made_at) })),
    h("div", { class: "clusters" }, found.clusters.slice(0, SHOWN).map(card)),
    found.clusters.length > SHOWN && h("p", { class: "muted" }, t("clusters.more", { count: found.clusters.length - SHOWN })));
}

const address = (member) => `#/references/${encodeURIComponent(member.id)}`;
const name = (member) => member.title || fileName(member.id);

const card = (cluster, index) => h("section", { class: "card cluster" },
  h("h2", {}, t("clusters.cluster", { number: index + 1, count: cluster.members.length })), graph(cluster),
  h("ul", { class: "plain small" }, cluster.members.map((member, place) => h("li", { class: "row" },
    h("a", { class: "grow clip", href: address(member) }, name(member)), h("span", { class: "muted nowrap" }, `${number(member.duration_s, 1)} s`),
    place === 0 && h("span", { class: "chip done" }, t("clusters.keeper"))))));

function graph(cluster) {
  const places = new Map(cluster.members.map((member, index) => [member.id, position(index, cluster.members.length)]));
  const edges = cluster.pairs.map((pair) => {
    const [a, b] = [places.get(pair.a), places.get(pair.b)];
    return svg("line", { class: "edge", x1: a.x, y1: a.y, x2: b.x, y2: b.y, "stroke-opacity": pair.probability }, svg("title", {}, percent(pair.probability)));
  });
  const nodes = cluster.members.map((member, index) => {
    const { x, y } = places.get(member.id);
    const label = name(member).length > LABEL ? `${name(member).slice(0, LABEL - 1)}…` : name(member);
    return svg("a", { href: address(member), class: index === 0 ? "node keeper" : "node", "aria-label": name(member) },
      svg("circle", { cx: x, cy: y, r: index === 0 ? DOT * 1.4 : DOT }), svg("text", { x, y: y + DOT + 16, "text-anchor": "middle" }, label));
  });
  return svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "graph" }, edges, nodes);
}

function position(index, count) {
  if (index === 0) return { x: SIDE / 2, y: SIDE / 2 };
  const angle = (2 * Math.PI * (index - 1)) / (count - 1) - Math.PI / 2;
  return { x: SIDE / 2 + RADIUS * Math.cos(angle), y: SIDE / 2 - 8 + RADIUS * Math.sin(angle) };
}
