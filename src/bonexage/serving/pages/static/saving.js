// Results leave the page as text, JSON, CSV or PDF, into the clipboard or a file of the reader's choice.

import { note, say } from "./words.js";

// What begins a formula in a spreadsheet, perhaps after a separator that it splits at.
const FORMULA = /^[=+\-@＝＋－＠]/u;
const AFTER_SEPARATOR = /[;\t]\s*[=+\-@＝＋－＠]|\r/u;

export async function copy(text) {
  note(say((await copied(text)) ? "result.copied" : "result.not_copied"));
}

async function copied(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // refused by the browser: the older way may still be open
    }
  }
  const area = document.createElement("textarea");
  area.className = "heard";
  area.value = text;
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}

export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function asJson(rows) {
  return `${JSON.stringify(rows, null, 2)}\n`;
}

// A table as the command line writes it: text that a spreadsheet would take for a formula has an apostrophe before
// it, as OWASP describes, and so has text with a blank at an end.
export function asCsv(rows, fields) {
  return [fields, ...rows.map((row) => fields.map((field) => row[field]))].map(line).join("");
}

function line(values) {
  const cells = values.map((value) => (typeof value === "string" ? marked(value) : written(value)));
  const all = cells.some((cell) => AFTER_SEPARATOR.test(cell));
  const quoted = cells.map((cell, at) => {
    const quotes = (all && typeof values[at] !== "number") || /[",\n\r]/.test(cell);
    return quotes ? `"${cell.replaceAll('"', '""')}"` : cell;
  });
  return `${quoted.join(",")}\n`;
}

function marked(text) {
  const rest = text.replace(/^'+/, "");
  return FORMULA.test(rest) || /^\s|\s$/.test(rest) ? `'${text}` : text;
}

// Numbers as the command line writes them: 126.0, not 126; nothing for what is missing.
function written(value) {
  if (value === null || value === undefined) return "";
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
