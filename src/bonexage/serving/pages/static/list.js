// The list of films: each with whose it is, how far it is, and its own small editor; and several at once.

import { locked, nobody, states, whom, withStated } from "./child.js";
import { fieldsIn } from "./fields.js";
import { running } from "./films.js";
import { counted, language, note, say, share } from "./words.js";

const by = (id) => document.getElementById(id);

// `acts` are what the reader can do: choose(film), give(film, child), leave(film).
export function listOf(queue, acts) {
  const rows = new Map();
  const ticked = new Set();
  const fieldsTemplate = () => by("fields").content.cloneNode(true);

  function append(film) {
    const row = by("row").content.firstElementChild.cloneNode(true);
    const part = (name) => row.querySelector(name);
    part(".editor").prepend(fieldsTemplate());
    const fields = fieldsIn(part(".editor"));
    rows.set(film, { row, fields });
    part(".name").textContent = film.name;
    part(".open").addEventListener("click", () => acts.choose(film));
    part(".edit").addEventListener("click", () => edit(film, part(".editor").hidden));
    part(".drop-out").addEventListener("click", () => acts.leave(film));
    part(".pick input").addEventListener("change", (event) => tick(film, event.target.checked));
    part(".editor").addEventListener("submit", (event) => {
      event.preventDefault();
      takeOver(film);
    });
    part("progress").setAttribute("aria-label", film.name);
    by("list").append(row);
    draw(film, null);
  }

  function edit(film, open) {
    const { row, fields } = rows.get(film);
    row.querySelector(".editor").hidden = !open;
    row.querySelector(".edit").setAttribute("aria-expanded", String(open));
    if (!open) return;
    fields.fill(film);
    fields.focus();
  }

  // The editor's sex and age become the film's own.
  function takeOver(film) {
    const { row, fields } = rows.get(film);
    const child = fields.taken();
    if (fields.complain(child.entry.age)) return fields.focusAge();
    edit(film, false);
    row.querySelector(".edit").focus();
    return acts.give(film, child, { retry: true });
  }

  // The film's sex and age were changed elsewhere: an open editor shows them as they are now.
  function renew(film) {
    const { row, fields } = rows.get(film);
    if (!row.querySelector(".editor").hidden) fields.fill(film);
  }

  function forget(film) {
    const { row } = rows.get(film);
    const beside = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    rows.delete(film);
    ticked.delete(film);
    count();
    return beside?.querySelector(".drop-out") ?? null;
  }

  function draw(film, shown) {
    const known = rows.get(film);
    if (!known) return;
    const { row } = known;
    row.dataset.state = film.state;
    row.dataset.header = film.header === undefined ? "unknown" : "known";
    row.querySelector(".told").textContent = told(film);
    row.querySelector(".whom").textContent = whom(film);
    row.querySelector(".open").setAttribute("aria-current", String(shown === film));
    row.querySelector(".edit").setAttribute("aria-label", say("list.edit", { file: film.name }));
    row.querySelector(".pick input").setAttribute("aria-label", say("list.select", { file: film.name }));
    const bar = row.querySelector("progress");
    bar.hidden = !["sending", "reading"].includes(film.state);
    if (film.state === "sending") bar.value = film.share;
    else bar.removeAttribute("value");
    const out = running(film) ? "list.cancel_one" : "list.remove_one";
    row.querySelector(".drop-out").setAttribute("aria-label", say(out, { file: film.name }));
  }

  // In another language: what the fields say of headers.
  function relabel() {
    for (const { fields } of rows.values()) fields.label();
    count();
  }

  // ---- several films at once

  by("batch-fields").replaceWith(fieldsTemplate());
  const [, , open] = by("batch").querySelectorAll("select.sex option");
  open.dataset.say = "list.leave";
  open.textContent = say("list.leave");
  const several = fieldsIn(by("batch"));
  empty();

  const chosen = () => queue.films.filter((film) => ticked.has(film));

  // Nothing that was written there is kept for the next films.
  function empty() {
    several.fill({ entry: nobody(), header: null, over: false });
    by("over-headers").checked = false;
  }

  function tick(film, whether) {
    rows.get(film).row.querySelector(".pick input").checked = whether;
    if (whether) ticked.add(film);
    else ticked.delete(film);
    count();
  }

  // How many are selected, of how many; a film that is alone needs no selecting.
  function count() {
    const all = queue.films.length;
    if (all === 1 && ticked.has(queue.films[0])) return tick(queue.films[0], false);
    const number = ticked.size;
    if (number === 0) empty();
    by("batch").hidden = number === 0;
    by("batch-heading").textContent = counted("list.selected", number);
    by("select-all").checked = number > 0 && number === all;
    by("select-all").indeterminate = number > 0 && number < all;
    by("select-all-line").hidden = all < 2;
    by("films").classList.toggle("several", all > 1);
    return undefined;
  }

  by("select-all").addEventListener("change", (event) => {
    const whether = event.target.checked;
    queue.films.forEach((film) => tick(film, whether));
  });
  by("batch").addEventListener("input", () => several.show(""));
  by("batch").addEventListener("submit", (event) => {
    event.preventDefault();
    setForChosen();
  });

  function setForChosen() {
    const films = chosen();
    const { entry } = several.taken();
    if (several.complain(entry.age)) return several.focusAge();
    if (entry.sex === "U" && entry.age === null) return several.show("list.set_none");
    if (films.some((film) => film.header === undefined && film.state !== "failed")) return several.show("list.set_wait");
    let kept = 0;
    for (const film of films) {
      const { child, left } = withWritten(film, entry, by("over-headers").checked);
      kept += left;
      acts.give(film, child);
    }
    films.forEach((film) => tick(film, false));
    by("select-all").focus();
    return note([say("list.set_done", { number: films.length }), kept ? say("list.set_kept", { number: kept }) : ""].join(" "));
  }

  // A film's own entry with what is written for several in its place; `left` says whether its header kept some of it out.
  function withWritten(film, { sex, ...dated }, overriding) {
    const over = film.over || (overriding && states(film.header));
    const own = over && !film.over ? withStated(film.entry, film.header) : film.entry;
    const held = locked({ header: film.header, over });
    const wanted = { sex: sex !== "U", age: dated.age !== null };
    const written = { ...(wanted.sex && !held.sex ? { sex } : {}), ...(wanted.age && !held.age ? dated : {}) };
    const left = (wanted.sex && held.sex) || (wanted.age && held.age);
    return { child: { entry: { ...own, ...written }, over }, left };
  }

  // Whether something is written for several films and not set yet; says so.
  function unset() {
    const { entry } = several.taken();
    const written = !by("batch").hidden && (entry.sex !== "U" || entry.age !== null);
    if (written) {
      several.show("list.set_open");
      by("set").focus();
    }
    return written;
  }

  return { append, renew, forget, draw, relabel, count, unset };
}

function told(film) {
  if (film.state === "sending") return say("state.sending", { share: share(film.share) });
  if (film.state !== "assessed") return say(`state.${film.state}`);
  const cautions = film.row.cautions ? film.row.cautions.split(";").length : 0;
  const parts = [film.panes[language].age];
  if (cautions) parts.push(counted("state.cautions", cautions));
  return parts.join(" · ");
}
