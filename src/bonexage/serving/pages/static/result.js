// The result of one film, shown in the language of now with what can be done with it.

import { inWords, subjectOf } from "./child.js";
import { done } from "./films.js";
import { stem } from "./names.js";
import { asJson, copy, save } from "./saving.js";
import { formOf, send } from "./server.js";
import { viewer } from "./viewer.js";
import { language, note, say, sentence } from "./words.js";

const STEPS = [[".previous", -1], [".next", 1]];
const by = (id) => document.getElementById(id);

// `step(film)` is called when the reader goes on to another film.
export function resultOf(queue, step) {
  let shown = null;

  // Nothing is shown but, perhaps, which film is read again and as whose.
  function empty(again = null) {
    shown = null;
    const text = document.createElement("p");
    text.className = "empty";
    text.textContent = again
      ? say("result.again", { file: again.name, whom: inWords(subjectOf(again)) })
      : say("result.empty");
    by("result").replaceChildren(text);
  }

  function show(film, go) {
    lay(film);
    if (go) by("result").querySelector("h2").focus();
    if (go || queue.films.length === 1) comeIntoView();
  }

  // What is shown, in another language.
  function tellAnew(awaited) {
    if (shown) lay(shown);
    else empty(awaited);
  }

  function lay(film) {
    shown = film;
    const filled = by("shown").content.cloneNode(true);
    const part = (name) => filled.querySelector(name);
    part("h2").textContent = film.name;
    part(".pane").dataset.status = film.state;
    if (film.panes) fill(part(".pane"), film);
    else part(".pane").append(problemOf(film));
    for (const [name, places] of STEPS) {
      part(name).addEventListener("click", () => step(beside(film, places)));
    }
    part(".copy").addEventListener("click", () => copy(textOf(film)));
    part(".as-json").addEventListener("click", () => save(`${stem(film.name)}.json`, asJson([film.row]), "application/json"));
    part(".as-json").hidden = !film.row;
    part(".pdf").addEventListener("click", () => pdf(film));
    part(".pdf").hidden = film.state !== "assessed";
    part(".print").addEventListener("click", () => window.print());
    const figure = part(".viewer");
    by("result").replaceChildren(filled);
    steps();
    if (figure) viewer(figure);
  }

  // The film that was read next before or after another.
  function beside(film, places) {
    const read = queue.films.filter((each) => each === film || done(each));
    return read[read.indexOf(film) + places];
  }

  function steps() {
    for (const [name, places] of STEPS) {
      const button = by("result").querySelector(name);
      if (button) button.disabled = !beside(shown, places);
    }
    const both = by("result").querySelector(".steps");
    if (both) both.hidden = queue.films.length < 2;
  }

  return { shown: () => shown, empty, show, steps, tellAnew };
}

function fill(pane, film) {
  pane.innerHTML = film.panes[language].html;
  for (const picture of pane.querySelectorAll("[data-picture]")) {
    picture.src = film.pictures[picture.dataset.picture];
    if (picture.dataset.picture === "film") picture.alt = say("result.film_alt", { file: film.name });
  }
}

function textOf(film) {
  return `${film.name}\n${film.panes ? film.panes[language].text : sentence(film.problem)}`;
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
  text.textContent = sentence(film.problem);
  answer.append(heading, text);
  return answer;
}

// The report of the result that is shown: made of the same film and child, and let go where they have changed since.
async function pdf(film) {
  const { row } = film;
  const { status, answer } = await send("v1/assessments", formOf(film, film.sent), { accept: "application/pdf", kind: "blob" });
  if (film.row !== row) return;
  if (status === 200) save(`${stem(film.name)}.pdf`, answer, "application/pdf");
  else note(status === 406 ? say("problem.no_pdf") : say("problem.other", { status }));
}
