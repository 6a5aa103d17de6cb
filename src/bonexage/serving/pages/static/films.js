// The films on the page: what is known of each, and the queue in which they go to the server.

import { formOf, readable, send, untilThere } from "./server.js";
import { announce, say } from "./words.js";

const AT_ONCE = 2;
const LOST_FOR_GOOD = 3; // a film with which the server goes away so often is the cause
const RUNNING = ["queued", "sending", "reading", "busy", "held"];
const DONE = ["assessed", "refused", "unreadable", "failed"];

export const running = (film) => RUNNING.includes(film.state);
export const done = (film) => DONE.includes(film.state);

// `changed(film)` is called whenever something of a film has; `gone(away, hurry)` when the server goes or comes.
export function queueOf({ changed, gone, mostBytes, language }) {
  const films = [];
  let away = false;
  let number = 0;

  function add(file) {
    const film = { number: number++, file, name: file.name, child: null, state: "waiting", lost: 0 };
    films.push(film);
    return film;
  }

  function remove(film) {
    stop(film);
    films.splice(films.indexOf(film), 1);
  }

  function turn(film, state, more = {}) {
    Object.assign(film, more, { state });
    changed(film);
  }

  function fail(film, problem) {
    turn(film, "failed", { problem });
  }

  // A film that was given sex and age of its own keeps them.
  function read(some, child) {
    for (const film of some) {
      if (!film.own) film.child = { ...child };
      film.lost = 0;
      turn(film, "queued", { row: null, html: null, text: null, problem: null });
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

  function pump() {
    while (!away && films.filter((film) => film.ticket).length < AT_ONCE) {
      const next = films.find((film) => film.state === "queued" && !film.ticket);
      if (!next) return;
      next.ticket = {};
      one(next, next.ticket);
    }
  }

  // One film's way to the server and back; it counts as long as the film still has this ticket.
  async function one(film, ticket) {
    const over = (state, more) => {
      film.ticket = null;
      turn(film, state, more);
      pump();
    };
    if (film.file.size > mostBytes) return over("failed", { problem: say("problem.too_large") });
    const whole = await readable(film.file);
    if (film.ticket !== ticket) return undefined;
    if (!whole) return over("failed", { problem: say("problem.not_sent") });
    turn(film, "sending", { share: 0 });
    const given = await send(`page/films?lang=${language}`, formOf(film.file, film.child), {
      accept: "application/json",
      kind: "json",
      started: (request) => {
        ticket.request = request;
      },
      sending: (part) => {
        if (film.ticket === ticket) turn(film, part < 1 ? "sending" : "reading", { share: part });
      },
    });
    return film.ticket === ticket ? settle(film, given, over) : undefined;
  }

  function settle(film, { status, retryAfter, answer }, over) {
    if (status === 200 && answer?.row) {
      const row = { ...answer.row, file: film.name };
      return over(row.status, { row, html: answer.html, text: answer.text, age: answer.age });
    }
    if (status === 0 || status === 502 || status === 504) {
      film.lost += 1;
      if (film.lost >= LOST_FOR_GOOD) return over("failed", { problem: say("problem.other", { status }) });
      lose();
      return over("held");
    }
    if (status === 429 || status === 503) {
      film.timer = setTimeout(() => {
        turn(film, "queued");
        pump();
      }, 1000 * retryAfter);
      return over("busy");
    }
    const said = answer?.said ?? say(status === 413 ? "problem.too_large" : "problem.other", { status });
    return over("failed", { problem: said });
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

  return { films, add, remove, fail, read, stop };
}
