// The page: films are dropped or chosen, each is given its child, read, and shown one at a time.

import { alike, inWords, nobody, sentOf, subjectOf, withStated } from "./child.js";
import { fieldsIn } from "./fields.js";
import { done, queueOf, running, unread } from "./films.js";
import { listOf } from "./list.js";
import { resultOf } from "./result.js";
import { asCsv, asJson, save } from "./saving.js";
import { takeFrom } from "./taking.js";
import { announce, language, note, say, turnTo } from "./words.js";

const SECONDS_BETWEEN_WORDS = 5;
const by = (id) => document.getElementById(id);
const mostBytes = Number(document.body.dataset.mostBytes);
const columns = document.body.dataset.fields.split(",");
by("entry").reset(); // some browsers bring back what was written for the last child
const queue = queueOf({ changed, looked, gone, mostBytes });
const result = resultOf(queue, (film) => choose(film));
const panel = fieldsIn(by("child"));
const list = listOf(queue, { choose, give, leave });
let current = null; // the film whose sex and age the panel shows
let awaited = null; // the film whose result is to be shown when it is there
let spoke = 0;
let busy = false;
let wrote = 0; // when somebody last wrote in the panel

document.body.classList.add("scripted-page");

// ---- films come in

takeFrom({ input: by("files"), place: by("drop"), mostBytes, take });

// The first of new films goes into the panel, unless somebody has written there since they were chosen.
function take(files, since) {
  if (!files.length) return;
  const films = queue.add(files);
  films.forEach(list.append);
  list.count();
  const first = films.find(unread);
  if (first && wrote < since) putInPanel(first);
  announce(say("list.added", { number: films.length }));
  refresh();
}

// ---- whose they are

function putInPanel(film) {
  current = film;
  refillPanel();
}

function refillPanel() {
  panel.fill(current ?? { entry: nobody(), header: null, over: false });
  drawPanel();
}

function drawPanel() {
  const films = queue.films;
  const looking = current?.header === undefined && current?.state !== "failed";
  by("child").disabled = current === null;
  by("whose").textContent = current?.name ?? "";
  const hints = [
    current === null ? say("child.none") : "",
    current && looking ? say("child.looking") : "",
    current && !unread(current) && !looking ? say("child.again") : "",
    films.length > 1 ? say("child.several") : "",
  ];
  by("child-hint").textContent = hints.filter(Boolean).join(" ");
  by("beside").hidden = current === null || films.length < 2;
  by("before").disabled = films[0] === current;
  by("after").disabled = films[films.length - 1] === current;
}

for (const [id, places] of [["before", -1], ["after", 1]]) {
  by(id).addEventListener("click", () => putInPanel(queue.films[queue.films.indexOf(current) + places]));
}

// What is written in the panel becomes the film's as it is written; a film that was read waits until it is.
by("child").addEventListener("input", () => {
  wrote = performance.now();
  if (current && unread(current)) hear();
});
by("child").addEventListener("change", (event) => {
  if (current && (unread(current) || !event.target.closest(".kind"))) hear();
});

function hear() {
  const child = panel.taken();
  const bad = panel.complain(child.entry.age);
  if (!bad || unread(current)) give(current, child, { ofPanel: true });
}

// A film's sex and age from now on: one that was read, or is being read, is read again with them.
function give(film, child, { retry = false, ofPanel = false } = {}) {
  const before = [sentOf(film), subjectOf(film)];
  Object.assign(film, child);
  const same = sentOf(film).months === before[0].months && alike(subjectOf(film), before[1]);
  if (film === current && !ofPanel) refillPanel();
  list.renew(film);
  if (unread(film) || (same && !(retry && film.state === "failed"))) changed(film);
  else again(film);
}

// What its header states counts from now on, also where something else was written before it was known.
function looked(film) {
  if (film === current) refillPanel();
  list.renew(film);
  const { sex, age } = film.entry;
  const stated = withStated(film.entry, film.header);
  const other = !alike({ sex: sex === "U" ? stated.sex : sex, months: age ?? stated.age }, { sex: stated.sex, months: stated.age });
  if (other) note(say("child.kept", { file: film.name, header: inWords(film.header) }));
}

function again(film) {
  const wanted = result.shown() === film || awaited === film;
  if (running(film)) queue.stop(film);
  if (wanted) awaited = film;
  queue.read([film]);
  if (wanted) result.empty(film);
  announce(say("list.again", { file: film.name, whom: inWords(subjectOf(film)) }));
}

by("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  if (current && unread(current)) hear();
  const films = queue.films.filter(unread);
  const bad = films.find((film) => Number.isNaN(subjectOf(film).months));
  if (bad) {
    if (bad !== current) putInPanel(bad);
    panel.focusAge();
    return;
  }
  if (!films.length || list.unset()) return;
  awaited = null;
  result.empty();
  if (!films.includes(current)) putInPanel(films[0]);
  queue.read(films);
});

// ---- the films in the list

// The film is the one that the reader turns to: in the panel, and shown where it was read.
function choose(film) {
  putInPanel(film);
  awaited = null;
  if (done(film)) show(film, true);
  else panel.focus();
}

function leave(film) {
  if (running(film)) {
    queue.stop(film);
    return;
  }
  const next = forget(film);
  refresh();
  (next ?? by("files")).focus();
}

function forget(film) {
  queue.remove(film);
  if (result.shown() === film) result.empty();
  if (awaited === film) awaited = null;
  if (current === film) putInPanel(null);
  return list.forget(film);
}

function changed(film) {
  if (!queue.films.includes(film)) return;
  if (done(film)) {
    if (isToBeShown(film)) show(film, false);
  } else if (result.shown() === film || (film === awaited && unread(film))) {
    awaited = null;
    result.empty();
  }
  list.draw(film, result.shown());
  refresh();
}

function isToBeShown(film) {
  if (awaited) return film === awaited;
  return result.shown() === film || (result.shown() === null && isNext(film));
}

// Whether no film before it in the list is still to come.
function isNext(film) {
  return !queue.films.slice(0, queue.films.indexOf(film)).some(running);
}

function show(film, go) {
  const before = result.shown();
  awaited = null;
  result.show(film, go);
  if (before && before !== film) list.draw(before, film);
  list.draw(film, film);
}

function refresh() {
  const { films } = queue;
  const finished = films.filter(done).length;
  const open = films.filter(running).length;
  const waiting = films.filter(unread).length;
  by("films").hidden = films.length === 0;
  by("read").disabled = waiting === 0;
  by("read").textContent = waiting > 1 ? say("list.read_some", { number: waiting }) : say("list.read");
  by("cancel").hidden = open === 0;
  by("remove").hidden = open > 0;
  for (const id of ["csv", "json"]) by(id).hidden = !films.some((film) => film.row);
  const progress = by("progress");
  progress.hidden = open === 0;
  progress.max = Math.max(1, films.length - waiting);
  progress.value = finished;
  const text = say("list.progress", { done: finished, all: films.length });
  by("count").textContent = films.length ? text : "";
  result.steps();
  drawPanel();
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
by("csv").addEventListener("click", () => save("bone-ages.csv", asCsv(results(), columns), "text/csv"));
by("json").addEventListener("click", () => save("bone-ages.json", asJson(results()), "application/json"));

// ---- the language

const links = [...document.querySelectorAll("nav a[hreflang]")];
for (const link of links) {
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (await turnTo(languageOf(link))) tellAnew();
    else note(say("problem.language"));
  });
}

const languageOf = (link) => new URL(link.href).searchParams.get("lang");

// Films and results stay as they are; all that is said of them is said in the language of now.
function tellAnew() {
  for (const link of links) {
    if (languageOf(link) !== language) link.removeAttribute("aria-current");
    else {
      link.setAttribute("aria-current", "true");
      history.replaceState(null, "", link.href);
    }
  }
  panel.label();
  list.relabel();
  for (const film of queue.films) list.draw(film, result.shown());
  result.tellAnew(awaited);
  refresh();
}

// ---- the server

function gone(away, hurry) {
  by("gone").hidden = !away;
  if (away) by("try").onclick = hurry;
}

window.addEventListener("beforeunload", (event) => {
  if (queue.films.length) event.preventDefault();
});

putInPanel(null);
refresh();
