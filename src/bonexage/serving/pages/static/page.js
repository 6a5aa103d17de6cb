// The page: films are dropped or chosen, read, and shown one at a time.

import { monthsBetween, monthsOf, today } from "./child.js";
import { done, queueOf, running } from "./films.js";
import { asCsv, asJson, copy, save, stem } from "./saving.js";
import { formOf, send } from "./server.js";
import { isZip, unzip } from "./unzip.js";
import { viewer } from "./viewer.js";
import { age, announce, counted, language, note, say, share } from "./words.js";

const SECONDS_BETWEEN_WORDS = 5;
const by = (id) => document.getElementById(id);
const mostBytes = Number(document.body.dataset.mostBytes);
const fields = document.body.dataset.fields.split(",");
const queue = queueOf({ changed, gone, mostBytes, language });
const rows = new Map();
let shown = null;
let spoke = 0;
let busy = false;

document.body.classList.add("scripted-page");
by("taken").value = today();

// ---- the form

function childOfForm() {
  const sex = document.querySelector("input[name=sex]:checked").value;
  const birth = document.querySelector("#age-kind input[value=birth]").checked;
  const months = birth ? monthsBetween(by("born"), by("taken")) : monthsOf(by("years"), by("months"));
  const problem = by("age-problem");
  problem.textContent = Number.isNaN(months) ? say(birth ? "child.bad_dates" : "child.bad_age") : "";
  for (const input of birth ? [by("born"), by("taken")] : [by("years"), by("months")]) {
    input.setAttribute("aria-invalid", String(Number.isNaN(months)));
  }
  if (Number.isNaN(months)) {
    by(birth ? "born" : "years").focus();
    return null;
  }
  return { sex, months };
}

document.querySelectorAll("#age-kind input").forEach((input) => {
  input.name = "age-kind";
  input.addEventListener("change", () => {
    by("by-age").hidden = input.value !== "age";
    by("by-birth").hidden = input.value === "age";
    by("age-problem").textContent = "";
  });
});
document.querySelector("#age-kind input").checked = true;

by("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  const child = childOfForm();
  if (child) queue.read(unread(), child);
});

by("files").addEventListener("change", () => {
  take([...by("files").files]);
  by("files").value = "";
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    by("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) by("drop").classList.remove("over");
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  by("drop").classList.remove("over");
  take(await dropped(event.dataTransfer));
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take([...event.clipboardData.files]);
});

// All files that were dropped, also those in folders.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files];
  const found = (await Promise.all(entries.filter(Boolean).map(below))).flat();
  const leftOut = found.filter((file) => file === null).length;
  if (leftOut) note(say("problem.left_out", { number: leftOut }));
  return found.filter((file) => file !== null);
}

// The files at and below an entry; null for one that cannot be opened.
async function below(entry) {
  if (entry.name.startsWith(".")) return [];
  try {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
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

async function take(files) {
  let number = 0;
  for (const file of files) {
    const films = await filmsIn(file);
    for (const { file: each, problem } of films) {
      const film = queue.add(each);
      append(film);
      if (problem) queue.fail(film, say(problem));
    }
    number += films.length;
  }
  if (number) announce(say("list.added", { number }));
  refresh();
}

// A zip archive stands for the films in it; one without any, or that cannot be unpacked, for itself.
async function filmsIn(file) {
  if (!isZip(file)) return [{ file }];
  try {
    const films = await unzip(file, mostBytes);
    return films.length ? films : [{ file, problem: "problem.no_film" }];
  } catch {
    return [{ file, problem: "problem.archive" }];
  }
}

const unread = () => queue.films.filter((film) => film.state === "waiting" || film.state === "cancelled");

// ---- the list

function append(film) {
  const row = by("row").content.firstElementChild.cloneNode(true);
  const part = (name) => row.querySelector(name);
  part(".name").textContent = film.name;
  part(".open").addEventListener("click", () => show(film, true));
  part(".edit").setAttribute("aria-label", say("list.edit", { file: film.name }));
  part(".edit").setAttribute("aria-expanded", "false");
  part(".edit").addEventListener("click", () => edit(film, part(".editor").hidden));
  part(".drop-out").addEventListener("click", () => leave(film));
  part(".editor").addEventListener("submit", (event) => {
    event.preventDefault();
    takeOver(film);
  });
  part("progress").setAttribute("aria-label", film.name);
  rows.set(film, row);
  by("list").append(row);
  draw(film);
}

function edit(film, open) {
  const row = rows.get(film);
  const [editor, sex] = [row.querySelector(".editor"), row.querySelector("select")];
  editor.hidden = !open;
  row.querySelector(".edit").setAttribute("aria-expanded", String(open));
  if (!open) return;
  const child = film.child ?? { sex: document.querySelector("input[name=sex]:checked").value, months: null };
  sex.value = child.sex;
  const whole = child.months === null ? null : Math.round(10 * child.months) / 10;
  row.querySelector(".years").value = whole === null ? "" : Math.floor(whole / 12);
  row.querySelector(".months").value = whole === null ? "" : Math.round(10 * (whole % 12)) / 10;
  sex.focus();
}

// The editor's sex and age become the film's own; one that was read has to be read again.
function takeOver(film) {
  const row = rows.get(film);
  const months = monthsOf(row.querySelector(".years"), row.querySelector(".months"));
  row.querySelector(".problem").textContent = Number.isNaN(months) ? say("child.bad_age") : "";
  if (Number.isNaN(months)) return;
  const before = film.state;
  if (running(film)) queue.stop(film);
  film.child = { sex: row.querySelector("select").value, months };
  film.own = true;
  edit(film, false);
  row.querySelector(".edit").focus();
  if (before === "waiting" || before === "cancelled") changed(film);
  else queue.read([film], film.child);
}

function leave(film) {
  if (running(film)) {
    queue.stop(film);
    return;
  }
  const row = rows.get(film);
  const next = row.nextElementSibling ?? row.previousElementSibling;
  forget(film);
  refresh();
  (next?.querySelector(".drop-out") ?? by("files")).focus();
}

function forget(film) {
  queue.remove(film);
  rows.get(film).remove();
  rows.delete(film);
  if (shown === film) empty();
}

function draw(film) {
  const row = rows.get(film);
  if (!row) return;
  row.dataset.state = film.state;
  row.querySelector(".told").textContent = told(film);
  row.querySelector(".whom").textContent = whom(film);
  row.querySelector(".open").setAttribute("aria-current", String(shown === film));
  const bar = row.querySelector("progress");
  bar.hidden = !["sending", "reading"].includes(film.state);
  if (film.state === "sending") bar.value = film.share;
  else bar.removeAttribute("value");
  const out = running(film) ? "list.cancel_one" : "list.remove_one";
  row.querySelector(".drop-out").setAttribute("aria-label", say(out, { file: film.name }));
}

function told(film) {
  if (film.state === "sending") return say("state.sending", { share: share(film.share) });
  if (film.state !== "assessed") return say(`state.${film.state}`);
  const cautions = film.row.cautions ? film.row.cautions.split(";").length : 0;
  const parts = [film.age];
  if (cautions) parts.push(counted("state.cautions", cautions));
  return parts.join(" · ");
}

function whom(film) {
  const used = film.row ? { sex: film.row.sex, months: film.row.age_months } : film.child;
  if (!used) return "";
  const sex = say({ F: "child.girl", M: "child.boy", U: "child.unknown" }[used.sex]);
  return used.months === null ? sex : `${sex}, ${age(used.months)}`;
}

function changed(film) {
  draw(film);
  if (done(film) && (shown === film || (shown === null && isNext(film)))) show(film, false);
  else if (shown === film && !done(film)) empty();
  refresh();
}

// Whether no film before it in the list is still to come.
function isNext(film) {
  return !queue.films.slice(0, queue.films.indexOf(film)).some(running);
}

function refresh() {
  const { films } = queue;
  const finished = films.filter(done).length;
  const open = films.filter(running).length;
  const waiting = unread().length;
  by("films").hidden = films.length === 0;
  by("read").disabled = waiting === 0;
  by("read").textContent = waiting > 1 ? say("list.read_some", { number: waiting }) : say("list.read");
  by("child-hint").hidden = films.length < 2;
  by("cancel").hidden = open === 0;
  by("remove").hidden = open > 0;
  for (const id of ["csv", "json"]) by(id).hidden = !films.some((film) => film.row);
  const progress = by("progress");
  progress.hidden = open === 0;
  progress.max = Math.max(1, films.length - waiting);
  progress.value = finished;
  const text = say("list.progress", { done: finished, all: films.length });
  by("count").textContent = films.length ? text : "";
  steps();
  speak(text, open, finished);
}

// Say how far it is now and then, and how it ended.
function speak(text, open, finished) {
  if (busy && open === 0 && finished) {
    const read = queue.films.filter((film) => film.state === "assessed").length;
    announce(say("list.finished", { read, not_read: finished - read }));
  } else if (open && Date.now() - spoke > 1000 * SECONDS_BETWEEN_WORDS) {
    spoke = Date.now();
    announce(text);
  }
  busy = open > 0;
}

by("cancel").addEventListener("click", () => {
  queue.films.filter(running).forEach(queue.stop);
  by("read").focus();
});
by("remove").addEventListener("click", () => {
  [...queue.films].forEach(forget);
  refresh();
  by("files").focus();
});
const results = () => queue.films.filter((film) => film.row).map((film) => film.row);
by("csv").addEventListener("click", () => save("bone-ages.csv", asCsv(results(), fields), "text/csv"));
by("json").addEventListener("click", () => save("bone-ages.json", asJson(results()), "application/json"));

// ---- the result

function empty() {
  shown = null;
  const text = document.createElement("p");
  text.className = "empty";
  text.textContent = say("result.empty");
  by("result").replaceChildren(text);
}

function show(film, go) {
  if (!done(film)) {
    if (go) edit(film, rows.get(film).querySelector(".editor").hidden);
    return;
  }
  const before = shown;
  shown = film;
  if (before && before !== film) draw(before);
  draw(film);
  const filled = by("shown").content.cloneNode(true);
  const part = (name) => filled.querySelector(name);
  const heading = part("h2");
  heading.textContent = film.name;
  part(".pane").dataset.status = film.state;
  if (film.html) part(".pane").innerHTML = film.html;
  else part(".pane").append(problemOf(film));
  for (const [name, step] of [[".previous", -1], [".next", 1]]) {
    part(name).addEventListener("click", () => show(beside(film, step), true));
  }
  part(".copy").addEventListener("click", () => copy(film.text ?? `${film.name}\n${film.problem}`));
  part(".as-json").addEventListener("click", () => save(`${stem(film.name)}.json`, asJson([film.row]), "application/json"));
  part(".as-json").hidden = !film.row;
  part(".pdf").addEventListener("click", () => pdf(film));
  part(".pdf").hidden = film.state !== "assessed";
  part(".print").addEventListener("click", () => window.print());
  const figure = part(".viewer");
  by("result").replaceChildren(filled);
  steps();
  if (figure) viewer(figure);
  if (go) heading.focus();
  if (go || queue.films.length === 1) comeIntoView();
}

// The film that was read next before or after another.
function beside(film, step) {
  const read = queue.films.filter((each) => each === film || done(each));
  return read[read.indexOf(film) + step];
}

function steps() {
  for (const [name, step] of [[".previous", -1], [".next", 1]]) {
    const button = by("result").querySelector(name);
    if (button) button.disabled = !beside(shown, step);
  }
  const both = by("result").querySelector(".steps");
  if (both) both.hidden = queue.films.length < 2;
}

// Where the result lies below the fold, as on a phone, go there.
function comeIntoView() {
  if (by("result").getBoundingClientRect().top > 0.6 * innerHeight) by("result").scrollIntoView();
}

function problemOf(film) {
  const answer = document.createElement("section");
  answer.className = "answer refusal";
  const [heading, text] = [document.createElement("h3"), document.createElement("p")];
  heading.className = "told";
  heading.textContent = say(`state.${film.state}`);
  text.className = "sentence";
  text.textContent = film.problem;
  answer.append(heading, text);
  return answer;
}

async function pdf(film) {
  const given = await send("v1/assessments", formOf(film.file, film.child), { accept: "application/pdf", kind: "blob" });
  if (given.status === 200) save(`${stem(film.name)}.pdf`, given.answer, "application/pdf");
  else note(given.status === 406 ? say("problem.no_pdf") : say("problem.other", { status: given.status }));
}

// ---- the server

function gone(away, hurry) {
  by("gone").hidden = !away;
  if (away) by("try").onclick = hurry;
}

window.addEventListener("beforeunload", (event) => {
  if (queue.films.length) event.preventDefault();
});

refresh();
