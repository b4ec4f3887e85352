// The HTTP contract, read from /openapi.json: every call with its fields, answers and a curl line.

import { h, replace } from "./dom.js";

const DEEPEST = 5;
const main = document.getElementById("main");

function show(contract) {
  const calls = operations(contract);
  const tags = [...new Set(calls.map((call) => call.tag))];
  const filter = h("input", { type: "search", placeholder: "Filter by path or words", "aria-label": "Filter by path or words" });
  const sections = tags.map((tag) => h("section", { class: "card calls" }, h("h2", {}, tag), calls.filter((call) => call.tag === tag).map((call) => call.view)));
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase();
    for (const call of calls) call.view.hidden = !call.text.includes(words);
    for (const section of sections) section.hidden = ![...section.querySelectorAll("details")].some((one) => !one.hidden);
  });
  replace(main, h("h1", {}, contract.info.title), h("p", { class: "lead" }, "Errors are application/problem+json with a code, a hint and the request id. With keys: Authorization: Bearer KEY."),
    h("div", { class: "field" }, filter), h("div", { class: "column" }, sections));
}

function operations(contract) {
  const found = [];
  for (const [path, methods] of Object.entries(contract.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      const text = `${method} ${path} ${about.summary || ""} ${about.description || ""}`.toLowerCase();
      found.push({ tag: about.tags?.[0] || "other", text, view: view(contract, method.toUpperCase(), path, about) });
    }
  }
  return found;
}

function view(contract, method, path, about) {
  const [lead, ...rest] = (about.description || about.summary || "").split("\n\n");
  return h("details", { id: about.operationId },
    h("summary", {}, h("code", { class: `method ${method.toLowerCase()}` }, method), h("code", {}, path), h("span", { class: "muted clip" }, lead)),
    h("div", { class: "call" }, h("p", {}, lead), rest.map((text) => h("p", {}, text)),
      parameters(about.parameters || []), bodies(contract, about.requestBody), answers(contract, about.responses),
      block("curl", curl(method, path, about))));
}

function parameters(all) {
  if (!all.length) return null;
  const row = (one) => h("tr", {}, h("td", {}, h("code", {}, one.name)), h("td", {}, one.in), h("td", {}, typeOf(one.schema || {})), h("td", {}, one.required ? "required" : shown(one.schema?.default), " ", one.description || ""));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Parameters" }, h("table", {}, h("tbody", {}, all.map(row))));
}

const bodies = (contract, body) => Object.entries(body?.content || {}).map(([type, { schema }]) => block(`Body: ${type}`, shape(contract, schema)));

const answers = (contract, responses) => Object.entries(responses).filter(([code]) => code !== "422").map(([code, answer]) => {
  const contents = Object.entries(answer.content || {});
  if (!contents.length) return h("h3", {}, `${code} ${answer.description || ""}`);
  return contents.map(([type, { schema }]) => (schema ? block(`${code}: ${type}`, shape(contract, schema)) : h("h3", {}, `${code}: ${type}`)));
});

const block = (title, text) => [h("h3", {}, title), h("pre", { tabindex: 0, role: "region", "aria-label": title }, text)];

const shown = (value) => (value === undefined || value === "" ? "" : `default ${JSON.stringify(value)}`);

function typeOf(schema) {
  const among = schema.anyOf || schema.oneOf;
  if (among) return among.map(typeOf).join(" | ");
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  return schema.type || "any";
}

function shape(contract, schema, depth = 0) {
  const among = schema.anyOf || schema.oneOf;
  if (among) return among.map((one) => shape(contract, one, depth)).join(depth ? " | " : "\n\nor\n\n");
  if (schema.$ref) return shape(contract, contract.components.schemas[schema.$ref.split("/").pop()], depth);
  if (schema.type === "array") return `[${shape(contract, schema.items || {}, depth)}, …]`;
  if (!schema.properties || depth >= DEEPEST) return typeOf(schema);
  const indent = "  ".repeat(depth + 1);
  const lines = Object.entries(schema.properties).map(([name, one]) => {
    const must = schema.required?.includes(name) ? "" : "?";
    const note = one.description ? `  // ${one.description}` : "";
    return `${indent}${name}${must}: ${shape(contract, one, depth + 1)}${note}`;
  });
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

function curl(method, path, about) {
  const types = Object.keys(about.requestBody?.content || {});
  const parts = ["curl -s"];
  if (method !== "GET") parts.push(`-X ${method}`);
  if (types.includes("multipart/form-data")) parts.push("-F file=@video.mp4");
  else if (types.length) parts.push("-H 'Content-Type: application/json' -d '{…}'");
  return `${parts.join(" ")} ${location.origin}${path}`;
}

try {
  const contract = await (await fetch("/openapi.json")).json();
  show(contract);
} catch (error) {
  replace(main, h("section", { class: "card" }, h("h1", {}, "Error"), h("p", {}, error.message)));
}
