// Results leave the page as text, JSON, CSV or PDF, into the clipboard or a file of the reader's choice.

import { note, say } from "./words.js";

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

export function asCsv(rows, fields) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : written(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [fields, ...rows.map((row) => fields.map((field) => row[field]))]
    .map((cells) => `${cells.map(cell).join(",")}\n`)
    .join("");
}

// Numbers as the command line writes them: 126.0, not 126.
function written(value) {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

// What a film's file is called without its folder and ending.
export function stem(name) {
  return name.split("/").pop().replace(/\.[^.]*$/, "") || "film";
}
