// Numbers, times and dates in the user's language.

import { language } from "./i18n.js";

export function seconds(value) {
  const whole = Math.max(0, value);
  const minutes = Math.floor(whole / 60);
  const rest = (whole - minutes * 60).toFixed(1).padStart(4, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const range = (start, end) => `${seconds(start)} – ${seconds(end)}`;

export const percent = (value) =>
  new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 1 }).format(
    Math.floor(value * 1000) / 1000);

export const number = (value, digits = 2) =>
  new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);

export function date(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return text;
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(when);
}

// The file name of a path or link.
export const fileName = (text) => text.split("/").pop() || text;

// A day of the reader and milliseconds after its beginning, as an instant; empty without a day.
export const instant = (day, after) => day && new Date(new Date(`${day}T00:00`).getTime() + after).toISOString();
