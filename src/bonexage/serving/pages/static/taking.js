// Files come into the page: chosen, dropped with their folders, pasted, or unpacked from a zip archive.

import { isZip, unzip } from "./unzip.js";
import { note, say } from "./words.js";

// `take(films, since)` is given films as { file, path, problem }, as soon as they are there, and when they were chosen.
export function takeFrom({ input, place, mostBytes, take }) {
  const all = async (files) => {
    const since = performance.now();
    const films = [];
    for (const each of await files) films.push(...(await filmsIn(each, mostBytes)));
    take(films, since);
  };
  const plain = (files) => [...files].map((file) => ({ file, path: file.name }));
  input.addEventListener("change", () => {
    all(plain(input.files));
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      place.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) place.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    all(dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) all(plain(event.clipboardData.files));
  });
}

// All files that were dropped, also those in folders.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = (await Promise.all(entries.filter(Boolean).map(below))).flat();
  const leftOut = found.filter((file) => file === null).length;
  if (leftOut) note(say("problem.left_out", { number: leftOut }));
  return found.filter((file) => file !== null);
}

// The files at and below an entry, each with its path; null for one that cannot be opened.
async function below(entry) {
  if (entry.name.startsWith(".")) return [];
  try {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return [{ file, path: entry.fullPath.replace(/^\//, "") }];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return (await Promise.all(found.map(below))).flat();
      found.push(...some);
    }
  } catch {
    return [null];
  }
}

// A zip archive stands for the films in it; one without any, or that cannot be unpacked, for itself.
async function filmsIn({ file, path }, mostBytes) {
  if (!isZip(file)) return [{ file, path }];
  try {
    const films = await unzip(file, mostBytes);
    if (!films.length) return [{ file, path, problem: { key: "problem.no_film" } }];
    return films.map((film) => ({ ...film, path: film.file.name, problem: film.problem && { key: film.problem } }));
  } catch {
    return [{ file, path, problem: { key: "problem.archive" } }];
  }
}
