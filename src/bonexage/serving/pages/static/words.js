// The page's texts, as the server put them into it, and in another language when the reader changes it.

let texts = JSON.parse(document.body.dataset.words);
export let language = document.body.dataset.language;

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

// A text of the page as { key, values }, or of the server as { said }, in the language of now.
export function sentence({ key, values, said }) {
  return said ? said[language] : say(key, values);
}

// Write every text that stands alone in its element, and every label, in the language of now.
export function translate(root) {
  for (const each of root.querySelectorAll("[data-say]")) each.textContent = say(each.dataset.say);
  for (const each of root.querySelectorAll("[data-label]")) each.setAttribute("aria-label", say(each.dataset.label));
  for (const each of root.querySelectorAll("template")) translate(each.content);
}

let turning = "";

// Have the page in another language; false where the server does not give its texts. The last wish counts.
export async function turnTo(wanted) {
  turning = wanted;
  // Whole, as fetch refuses what is seen from an address with a password in it.
  const address = location.origin + new URL(`page/words/${wanted}`, location.href).pathname;
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) return false;
    const { tag, texts: others } = await answer.json();
    if (turning !== wanted) return true;
    [texts, language] = [others, wanted];
    document.documentElement.lang = tag;
  } catch {
    return false;
  }
  document.title = `${say("page.title")} · bonexage`;
  document.getElementById("note").hidden = true;
  document.getElementById("said").textContent = "";
  translate(document);
  return true;
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
