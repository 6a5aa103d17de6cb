// Whose a film is: what was entered for it and what its header states become one sex and age. Dates never leave the page.

import { age, say } from "./words.js";

const DAYS_A_MONTH = 365.25 / 12;
const MOST_MONTHS = 1440;
const A_DAY = 86400000;
const ALIKE_MONTHS = 0.06; // ages are told with one decimal

export const NOTHING_STATED = { sex: "U", months: null, notes: {} };

// What is entered for a film nobody has entered anything for; `age` is what the fields make, NaN where they make none.
export const nobody = () => ({ sex: "U", kind: "age", years: "", months: "", born: "", taken: today(), age: null });

// Months from years and months as written; null where nothing is, NaN where it cannot be.
export function monthsOf(years, months) {
  if (years.validity.badInput || months.validity.badInput) return NaN;
  if (years.value === "" && months.value === "") return null;
  if (!years.validity.valid || !months.validity.valid || Number(months.value) >= 12) return NaN;
  const all = 12 * Number(years.value) + Number(months.value);
  return all <= MOST_MONTHS ? all : NaN;
}

// Months from two dates as written; null where no birth is, NaN where it cannot be.
export function monthsBetween(born, taken) {
  if (born.value === "" && !born.validity.badInput) return null;
  const days = (Date.parse(taken.value) - Date.parse(born.value)) / A_DAY;
  const months = days / DAYS_A_MONTH;
  return months >= 0 && months <= MOST_MONTHS ? months : NaN;
}

function today() {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
}

// Whether a header says anything of whose a film is.
export function states(header) {
  return Boolean(header) && (header.sex !== "U" || header.months !== null);
}

// An age as the fields for it show it.
export function ageEntry(months) {
  const tenths = Math.round(10 * months);
  return { kind: "age", years: String(Math.floor(tenths / 120)), months: String((tenths % 120) / 10), age: months };
}

// What a header states in place of an entry; what it leaves open is the entry's.
export function withStated(entry, header) {
  const sex = header.sex === "U" ? {} : { sex: header.sex };
  return { ...entry, ...sex, ...(header.months === null ? {} : ageEntry(header.months)) };
}

// An entry without what a header states.
export function withoutStated(entry, header) {
  const { sex, ...rest } = nobody();
  return { ...entry, ...(header.sex === "U" ? {} : { sex }), ...(header.months === null ? {} : rest) };
}

// What of sex and age a header states and nobody chose to override.
export function locked({ header, over }) {
  const stated = header ?? NOTHING_STATED;
  return { sex: stated.sex !== "U" && !over, age: stated.months !== null && !over };
}

// What is sent with a film; what its header states is left to it unless that is overridden.
export function sentOf(film) {
  const { sex, age: held } = locked(film);
  return { sex: sex ? "U" : film.entry.sex, months: held ? null : film.entry.age };
}

// Who a film is read as: `months` is null for no age and NaN for one that cannot be.
export function subjectOf(film) {
  const header = film.header ?? NOTHING_STATED;
  const { sex, months } = sentOf(film);
  return { sex: sex === "U" ? header.sex : sex, months: months === null ? header.months : months };
}

export function alike(one, other) {
  const ages = [one.months, other.months];
  const known = ages.every((months) => months !== null);
  return one.sex === other.sex && (known ? Math.abs(ages[0] - ages[1]) < ALIKE_MONTHS : ages[0] === ages[1]);
}

// A sex and an age in words.
export function inWords({ sex, months }) {
  if (sex === "U" && months === null) return say("child.nothing");
  return say("child.whom", { sex: sexInWords(sex), age: ageInWords(months) });
}

const sexInWords = (sex) => say({ F: "child.girl", M: "child.boy", U: "child.no_sex" }[sex]);

function ageInWords(months) {
  if (months === null) return say("child.no_age");
  return Number.isNaN(months) ? say("child.no_such_age") : age(months);
}

// Who a film is read as, in words, and where that is known from.
export function whom(film) {
  if (film.header === undefined) return film.state === "failed" ? "" : say("child.looking");
  const { header } = film;
  const subject = subjectOf(film);
  const stated = { sex: header.sex === "U" ? subject.sex : header.sex, months: header.months ?? subject.months };
  if (!alike(subject, stated)) return say("child.instead", { whom: inWords(subject), header: inWords(header) });
  const of = locked(film);
  if (!of.sex && !of.age) return inWords(subject);
  const marked = (is, what) => (is ? say("child.of_header", { what }) : what);
  if (of.sex === of.age) return marked(true, inWords(subject));
  const [sex, months] = [marked(of.sex, sexInWords(subject.sex)), marked(of.age, ageInWords(subject.months))];
  return say("child.whom", { sex, age: months });
}
