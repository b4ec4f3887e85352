// Frame of the console: navigation, language, theme, and the routes of pages.

import { get, Problem, session } from "./api.js";
import { dialog, h, icon, replace, toast } from "./dom.js";
import { language, setLanguage, t } from "./i18n.js";
import { checkPage, verdictPage } from "./check.js";
import { checksPage } from "./checks.js";
import { clustersPage } from "./clusters.js";
import { libraryPage, referencePage } from "./library.js";
import { matchPage } from "./match.js";
import { queuePage } from "./queue.js";
import { statusPage } from "./status.js";

const THEME = "dubl-theme";
const THEMES = ["auto", "light", "dark"];
const ROUTES = [
  [/^$/, checkPage, "check"],
  [/^compare(?:\/([^/]+))?$/, checkPage, "check"],
  [/^checks$/, checksPage, "check"],
  [/^checks\/([^/]+)$/, verdictPage, "check"],
  [/^checks\/([^/]+)\/matches\/([^/]+)$/, matchPage, "queue"],
  [/^queue$/, queuePage, "queue"],
  [/^library$/, libraryPage, "library"],
  [/^references\/([^/]+)$/, referencePage, "library"],
  [/^clusters(?:\/([^/]+))?$/, clustersPage, "library"],
  [/^status$/, statusPage, "status"],
];
const LINKS = [["check", "#/"], ["queue", "#/queue"], ["library", "#/library"], ["status", "#/status"]];

let leave = () => {};

async function show() {
  leave();
  const main = h("div", {}); // of its own, so that a late answer of a page that was left shows nothing
  const address = location.hash.replace(/^#\/?/, "");
  const found = ROUTES.find(([pattern]) => pattern.test(address));
  const parts = found ? address.match(found[0]).slice(1).map((part) => part && decodeURIComponent(part)) : [];
  const page = { stopped: new AbortController(), main, title: (text) => { document.title = text ? `${text} · Dubl` : "Dubl"; } };
  leave = () => page.stopped.abort();
  bar(found?.[2]);
  replace(document.getElementById("main"), main);
  replace(main, h("p", { class: "muted", "aria-busy": "true" }, `${t("loading")}…`));
  try {
    if (!found) throw new Error(t("missing"));
    await found[1](page, ...parts);
  } catch (error) {
    if (!page.stopped.signal.aborted) await failed(main, error);
  }
}

async function failed(main, error) {
  if (error instanceof Problem && error.status === 401) return askForKey();
  const text = error instanceof TypeError ? t("error.network") : error.message;
  replace(main, h("section", { class: "card" }, h("h1", {}, t("error")), h("p", {}, text), error.hint && h("p", { class: "muted" }, error.hint)));
  return undefined;
}

async function askForKey() {
  await dialog(t("key.title"), (close) => {
    const field = h("input", { id: "key", type: "password", autocomplete: "off", required: true });
    const wrong = h("p", { class: "problem", role: "alert", hidden: true });
    const send = async (event) => {
      event.preventDefault();
      try {
        await session.enter(field.value.trim());
        close();
      } catch (error) {
        wrong.textContent = error.status === 401 ? t("key.wrong") : error.message;
        wrong.hidden = false;
        field.focus();
      }
    };
    return h("form", { onsubmit: send }, h("label", { for: "key" }, t("key.label")), field, wrong,
      h("p", { class: "muted" }, t("key.note")), h("div", { class: "row end" }, h("button", { class: "primary" }, t("key.use"))));
  });
  if (session.known) show();
}

async function logOut() {
  await session.leave();
  show();
}

function bar(current) {
  const links = LINKS.map(([name, address]) => h("a", { href: address, "aria-current": name === current ? "page" : undefined },
    t(`nav.${name}`), name === "queue" && h("span", { class: "count", id: "waiting", hidden: true })));
  replace(document.querySelector("header.bar"),
    h("a", { class: "brand", href: "#/" }, h("img", { src: "/console/icon.svg", alt: "", width: 26, height: 26 }), "Dubl"),
    h("nav", { "aria-label": t("nav.main") }, links),
    h("div", { class: "tools" },
      session.known && h("button", { class: "quiet", onclick: logOut, title: t("key.of", { name: session.name }) }, t("key.forget")),
      session.byProxy && h("span", { class: "muted" }, session.name),
      h("button", { class: "quiet", lang: language() === "en" ? "ru" : "en", title: t("language.name"), onclick: switchLanguage }, t("language")),
      h("button", { class: "quiet square", title: t(`theme.${theme()}`), "aria-label": t(`theme.${theme()}`), onclick: switchTheme }, icon("sun"))));
  document.querySelector(".skip").textContent = t("skip");
  countWaiting();
}

export async function countWaiting() {
  const place = document.getElementById("waiting");
  try {
    const { counts } = await get("/v1/reviews/queue?state=open&limit=1");
    place.textContent = counts.open;
    place.hidden = counts.open === 0;
  } catch { /* the page itself says what is wrong */ }
}

function switchLanguage() {
  setLanguage(language() === "en" ? "ru" : "en");
  document.documentElement.lang = language();
  show();
}

const theme = () => localStorage.getItem(THEME) || "auto";

function switchTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  localStorage.setItem(THEME, next);
  document.documentElement.dataset.theme = next;
  bar(document.querySelector("nav [aria-current]") && currentPage());
  toast(t(`theme.${next}`));
}

const currentPage = () => ROUTES.find(([pattern]) => pattern.test(location.hash.replace(/^#\/?/, "")))?.[2];

document.documentElement.lang = language();
document.documentElement.dataset.theme = theme();
window.addEventListener("hashchange", () => { show(); document.getElementById("main").focus({ preventScroll: true }); window.scrollTo(0, 0); });
window.addEventListener("dubl-decided", countWaiting);
session.look().catch(() => {}).then(show); // a page that needs the key asks for it
