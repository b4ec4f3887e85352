// Words in two languages. `t("name", {value})` replaces {value} in the text.

import { en } from "./text.en.js";
import { ru } from "./text.ru.js";

const TEXTS = { en, ru };
const CHOICE = "dubl-language";

export function language() {
  const chosen = localStorage.getItem(CHOICE);
  if (chosen in TEXTS) return chosen;
  return (navigator.language || "en").toLowerCase().startsWith("ru") ? "ru" : "en";
}

export function setLanguage(name) {
  localStorage.setItem(CHOICE, name);
}

export function t(name, values = {}) {
  const text = TEXTS[language()][name] ?? TEXTS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

// Words of the service ("duplicate", "decode"); unknown ones stay unchanged.
export const word = (kind, value) => {
  const name = `${kind}.${value}`;
  return name in TEXTS.en ? t(name) : value;
};
