// The page's texts, as the server put them into it.

const texts = JSON.parse(document.body.dataset.words);
export const language = document.body.dataset.language;

export function say(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function counted(key, number) {
  const one = number === 1 || (language === "fr" && number === 0);
  return say(`${key}_${one ? "one" : "other"}`, { number });
}

// Years and months, a half month rounded to the even one, as the server does.
export function age(months) {
  const whole = months % 1 === 0.5 ? 2 * Math.round(months / 2) : Math.round(months);
  return say("form.age", {
    years: counted("form.years", Math.floor(whole / 12)),
    months: counted("form.months", whole % 12),
  });
}

export function share(part) {
  return say("form.share", { number: Math.round(100 * part) });
}

// Speak to those who listen; the same words twice are heard twice.
export function announce(text) {
  const said = document.getElementById("said");
  said.textContent = said.textContent === text ? `${text}\u00a0` : text;
}

let fading = 0;

// Say something to everyone for a while.
export function note(text) {
  const place = document.getElementById("note");
  place.hidden = false;
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => {
    place.hidden = true;
  }, 6000);
}
