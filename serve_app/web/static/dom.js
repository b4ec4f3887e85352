// Builds elements without ever parsing text as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

// Attributes that must be set as properties.
const PROPERTIES = { value: 1, checked: 1, disabled: 1, muted: 1, selected: 1 };

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

export function icon(name) {
  const picture = svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" });
  for (const path of ICONS[name]) picture.append(svg("path", { d: path }));
  return picture;
}

const ICONS = {
  upload: ["M12 16V4", "M7 9l5-5 5 5", "M4 16v4h16v-4"],
  play: ["M7 4l13 8-13 8z"],
  pause: ["M8 5v14", "M16 5v14"],
  back: ["M15 5l-7 7 7 7"],
  next: ["M9 5l7 7-7 7"],
  check: ["M4 12l6 6L20 6"],
  cross: ["M6 6l12 12", "M18 6L6 18"],
  license: ["M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6z", "M9 12l2 2 4-4"],
  film: ["M4 5h16v14H4z", "M8 5v14", "M16 5v14", "M4 12h4", "M16 12h4"],
  sun: ["M12 8a4 4 0 100 8 4 4 0 000-8z", "M12 2v3", "M12 19v3", "M2 12h3", "M19 12h3",
    "M5 5l2 2", "M17 17l2 2", "M19 5l-2 2", "M7 17l-2 2"],
  edit: ["M4 20l4-1L19 8l-3-3L5 16z"],
  trash: ["M5 7h14", "M9 7V4h6v3", "M7 7l1 13h8l1-13"],
  plus: ["M12 5v14", "M5 12h14"],
};

export function toast(text, kind = "info") {
  const note = h("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

// A modal dialog that closes with Escape and restores focus; resolves with the argument of `close`.
export function dialog(title, build) {
  return new Promise((resolve) => {
    const heading = `d${Date.now()}`;
    const box = h("dialog", { "aria-labelledby": heading });
    const close = (value) => { box.close(); box.remove(); resolve(value); };
    box.append(h("h2", { id: heading }, title), build(close));
    box.addEventListener("cancel", (event) => { event.preventDefault(); close(undefined); });
    document.body.append(box);
    box.showModal();
  });
}
