// Calls to the service. A failed call throws a Problem with the service's text.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.hint = body.hint || "";
    this.context = body.context || {};
  }
}

// Of the log-in, which is a cookie that scripts cannot read, shared among tabs. `name`: of the key, or of
// the person whom a proxy has signed in.
export const session = {
  name: "",
  known: false,
  byProxy: false,
  async look() {
    const who = await get("/v1/session");
    [this.known, this.name, this.byProxy] = [who.has_key && !who.by_proxy, who.name, who.by_proxy];
  },
  async enter(key) {
    await call("POST", "/v1/session", { key });
    await this.look();
  },
  async leave() {
    await remove("/v1/session");
    [this.known, this.name] = [false, ""];
  },
};

// Pages of other hosts cannot send it, so they cannot use the log-in.
const HEADERS = { "X-Dubl-Console": "1" };

async function call(method, path, { body, prefer, signal, key } = {}) {
  const sent = { ...HEADERS };
  if (key) sent.Authorization = `Bearer ${key}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (prefer) sent.Prefer = prefer;
  const response = await fetch(path, {
    method, signal, headers: sent, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return response.status === 204 ? null : response.json();
}

// For /readyz, which answers 503 with a body, and /metrics, which is not JSON.
export const raw = (path) => fetch(path, { headers: HEADERS });

export const get = (path, options) => call("GET", path, options);
export const post = (path, body) => call("POST", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);

export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const path = (...parts) => parts.map((part) => encodeURIComponent(part)).join("/");

// Sends a file with its fields; `progress` gets the sent share.
export function upload(address, file, fields, progress) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
  form.append("file", file, file.name);
  const request = new XMLHttpRequest();
  request.open("POST", address);
  for (const [name, value] of Object.entries(HEADERS)) request.setRequestHeader(name, value);
  request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(new Problem(0, { detail: "network" }));
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      if (request.status < 400) resolve(body);
      else reject(new Problem(request.status, body));
    };
    request.send(form);
  });
}

// An image; empty if there is no picture.
export function picture(address, { alt = "", ...properties } = {}) {
  const image = document.createElement("img");
  image.alt = alt;
  image.loading = "lazy";
  image.decoding = "async";
  for (const [name, value] of Object.entries(properties)) image.setAttribute(name, value);
  image.addEventListener("error", () => image.classList.add("absent"));
  if (address) image.src = address;
  else image.classList.add("absent");
  return image;
}

// A reference's id, replaced by its title as soon as that is known.
export function titleOf(id) {
  const name = document.createElement("span");
  name.textContent = id;
  get(`/v1/references/${path(id)}`).then((one) => { if (one.title) [name.textContent, name.title] = [one.title, id]; }, () => {}); // it may be deleted
  return name;
}
