// The films on the page: what is known of each, and the queues in which they go to the server.

import { alike, nobody, NOTHING_STATED, sentOf, subjectOf } from "./child.js";
import { shownName, unlike } from "./names.js";
import { formOf, hasNoHeader, readable, send, untilThere } from "./server.js";
import { announce, say } from "./words.js";

const AT_ONCE = 2; // of films that are read, and of headers that are looked at
const LOST_FOR_GOOD = 3; // a film with which the server goes away so often is the cause
const RUNNING = ["queued", "sending", "reading", "busy", "held"];
const DONE = ["assessed", "refused", "unreadable", "failed"];
const GONE = [0, 502, 504];
const BUSY = [429, 503];

export const running = (film) => RUNNING.includes(film.state);
export const done = (film) => DONE.includes(film.state);
export const unread = (film) => film.state === "waiting" || film.state === "cancelled";

// `changed(film)` is called whenever something of a film has, `looked(film)` when what its header states is known,
// and `gone(away, hurry)` when the server goes or comes.
export function queueOf({ changed, looked, gone, mostBytes }) {
  const films = [];
  const names = new Set();
  let away = false;
  let number = 0;

  // New films, given as { file, path, problem }. Each is nobody's yet: `header` is what its header states, undefined
  // until that is known.
  function add(some) {
    const made = some.map(({ file, path, problem = null }) => {
      const name = unlike(shownName(path), names);
      names.add(name.normalize());
      const state = problem ? "failed" : "waiting";
      return { number: number++, file, name, entry: nobody(), over: false, header: undefined, state, problem, lost: 0 };
    });
    films.push(...made);
    pump();
    return made;
  }

  function remove(film) {
    stop(film);
    films.splice(films.indexOf(film), 1);
    names.delete(film.name.normalize());
    const { look } = film;
    film.look = null;
    look?.request?.abort();
    pump();
  }

  function turn(film, state, more = {}) {
    Object.assign(film, more, { state });
    changed(film);
  }

  function read(some) {
    for (const film of some) {
      film.lost = 0;
      turn(film, "queued", { row: null, panes: null, pictures: null, problem: null });
    }
    pump();
  }

  function stop(film) {
    const ticket = film.ticket;
    film.ticket = null;
    clearTimeout(film.timer);
    if (running(film)) turn(film, "cancelled");
    ticket?.request?.abort();
    pump();
  }

  // Headers are looked at as soon as films are there; a film is read when its header is known.
  function pump() {
    const start = (kind, wants, begin) => {
      while (!away && films.filter((film) => film[kind]).length < AT_ONCE) {
        const next = films.find((film) => !film[kind] && wants(film));
        if (!next) return;
        next[kind] = {};
        begin(next, next[kind]);
      }
    };
    start("look", (film) => film.header === undefined && film.state !== "failed", look);
    start("ticket", (film) => film.header !== undefined && film.state === "queued", one);
  }

  // What a film's header states; it counts as long as the film still looks for it.
  async function look(film, ticket) {
    const over = (more) => {
      film.look = null;
      if (more) turn(film, more.state ?? film.state, more);
      if (more?.header) looked(film);
      pump();
    };
    const problem = await unsendable(film);
    if (film.look !== ticket) return undefined;
    if (problem) return over({ state: "failed", problem });
    if (await hasNoHeader(film)) return film.look === ticket ? over({ header: NOTHING_STATED }) : undefined;
    const answered = await send("page/headers", formOf(film), started(ticket));
    return film.look === ticket ? settleLook(film, answered, over) : undefined;
  }

  function settleLook(film, { status, retryAfter, answer }, over) {
    if (status === 200 && answer?.header) return over({ header: answer.header, lost: 0 });
    if (GONE.includes(status)) return lostWith(film, status, over);
    if (BUSY.includes(status)) {
      const { look: ticket } = film;
      setTimeout(() => film.look === ticket && over(), 1000 * retryAfter);
      return undefined;
    }
    return over({ state: "failed", problem: problemIn(status, answer) });
  }

  // One film's way to the server and back; it counts as long as the film still has this ticket.
  async function one(film, ticket) {
    const over = (more) => {
      film.ticket = null;
      turn(film, more.state, more);
      pump();
    };
    const problem = await unsendable(film);
    if (film.ticket !== ticket) return undefined;
    if (problem) return over({ state: "failed", problem });
    const [sent, subject] = [sentOf(film), subjectOf(film)];
    turn(film, "sending", { share: 0 });
    const given = await send("page/films", formOf(film, sent), {
      ...started(ticket),
      sending: (part) => {
        if (film.ticket === ticket) turn(film, part < 1 ? "sending" : "reading", { share: part });
      },
    });
    return film.ticket === ticket ? settle(film, { ...given, sent, subject }, over) : undefined;
  }

  function settle(film, { status, retryAfter, answer, sent, subject }, over) {
    if (status === 200 && answer?.row) {
      const row = { ...answer.row, file: film.name };
      const used = { sex: row.sex, months: row.age_months };
      if (row.status === "assessed" && !alike(used, subject)) {
        film.over = false;
        over({ state: "failed", header: answer.header, problem: { key: "problem.other_child" } });
        return looked(film);
      }
      return over({ state: row.status, row, sent, panes: answer.panes, pictures: answer.pictures });
    }
    if (GONE.includes(status)) return lostWith(film, status, over);
    if (BUSY.includes(status)) {
      film.timer = setTimeout(() => {
        turn(film, "queued");
        pump();
      }, 1000 * retryAfter);
      return over({ state: "busy" });
    }
    return over({ state: "failed", problem: problemIn(status, answer) });
  }

  const started = (ticket) => ({
    accept: "application/json",
    kind: "json",
    started: (request) => {
      ticket.request = request;
    },
  });

  function problemIn(status, answer) {
    if (answer?.said) return { said: answer.said };
    return status === 413 ? { key: "problem.too_large" } : { key: "problem.other", values: { status } };
  }

  async function unsendable(film) {
    if (film.file.size > mostBytes) return { key: "problem.too_large" };
    return (await readable(film.file)) ? null : { key: "problem.not_sent" };
  }

  function lostWith(film, status, over) {
    film.lost += 1;
    if (film.lost >= LOST_FOR_GOOD) return over({ state: "failed", problem: problemIn(status) });
    lose();
    return over({ state: running(film) ? "held" : film.state });
  }

  async function lose() {
    if (away) return;
    away = true;
    let sooner = () => {};
    gone(true, () => sooner());
    await untilThere((hurry) => {
      sooner = hurry;
    });
    away = false;
    gone(false);
    announce(say("server.back"));
    release();
  }

  function release() {
    films.filter((film) => film.state === "held").forEach((film) => turn(film, "queued"));
    pump();
  }

  return { films, add, remove, read, stop };
}
