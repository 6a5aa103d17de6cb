// Sex and age of a child, as the form and the films' own fields give them. Dates never leave this file.

const DAYS_A_MONTH = 365.25 / 12;
const MOST_MONTHS = 1440;
const A_DAY = 86400000;

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

export function today() {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
}

export function same(one, other) {
  return one.sex === other.sex && one.months === other.months;
}
