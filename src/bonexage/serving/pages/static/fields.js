// The fields for sex and age, wherever they stand: in the panel, in a film's row, and for several films at once.

import { inWords, locked, monthsBetween, monthsOf, NOTHING_STATED, nobody, states, withoutStated, withStated } from "./child.js";
import { language, say } from "./words.js";

const RAW = ["kind", "years", "months", "born", "taken"];
let groups = 0;

// The fields in an element; `of` is who they are filled with: an entry, what the header states, and whether that is overridden.
export function fieldsIn(root) {
  const part = (name) => root.querySelector(`.${name}`);
  const [sex, kind] = [pickOf(root, "sex"), pickOf(root, "kind")];
  const [over, problem] = [part("over"), part("problem")];
  let of = { entry: nobody(), header: NOTHING_STATED, over: false };
  let filled = of.entry;

  function fill({ entry, header, over: overridden }) {
    of = { entry, header: header ?? NOTHING_STATED, over: overridden };
    write();
  }

  // Show who it is: where the header's counts, the header's.
  function write() {
    filled = of.over ? of.entry : withStated(of.entry, of.header);
    sex.value = filled.sex;
    kind.value = filled.kind;
    for (const name of RAW.slice(1)) if (part(name).value !== filled[name]) part(name).value = filled[name];
    over.checked = of.over;
    const kept = locked(of);
    part("of-sex").disabled = kept.sex;
    part("of-age").disabled = kept.age;
    turn();
    complain(filled.age);
    label();
  }

  // What is said of the header, in the language of now.
  function label() {
    const stated = states(of.header);
    part("over-line").hidden = !stated;
    part("over-line").querySelector("span").textContent = stated ? say("child.over", { header: inWords(of.header) }) : "";
    part("notes").textContent = (of.header.notes[language] ?? []).join(" ");
  }

  function turn() {
    part("by-age").hidden = kind.value !== "age";
    part("by-birth").hidden = kind.value === "age";
  }

  function months() {
    if (RAW.every((name) => raw(name) === filled[name]) && !badInput()) return filled.age;
    return kind.value === "birth" ? monthsBetween(part("born"), part("taken")) : monthsOf(part("years"), part("months"));
  }

  const raw = (name) => (name === "kind" ? kind.value : part(name).value);
  const shownInputs = () => (kind.value === "birth" ? ["born", "taken"] : ["years", "months"]).map(part);
  const badInput = () => shownInputs().some((input) => input.validity.badInput);

  // What the fields say now: an entry, and whether it overrides the header.
  function taken() {
    const entry = { ...of.entry };
    const kept = locked(of);
    if (!kept.sex) entry.sex = sex.value;
    if (!kept.age) Object.assign(entry, Object.fromEntries(RAW.map((name) => [name, raw(name)])), { age: months() });
    return { entry, over: of.over };
  }

  // Say what is wrong with an age; whether anything is.
  function complain(age) {
    const bad = Number.isNaN(age);
    show(bad ? (kind.value === "birth" ? "child.bad_dates" : "child.bad_age") : "");
    for (const input of shownInputs()) input.setAttribute("aria-invalid", String(bad));
    return bad;
  }

  // A problem by its key, '' for none.
  function show(key) {
    if (key) problem.dataset.say = key;
    else delete problem.dataset.say;
    problem.textContent = key ? say(key) : "";
  }

  kind.listen(() => {
    turn();
    complain(null);
  });
  over.addEventListener("change", () => {
    const { entry } = taken();
    of = { ...of, over: over.checked, entry: over.checked ? withStated(entry, of.header) : withoutStated(entry, of.header) };
    write();
  });

  return { fill, taken, complain, label, show, focusAge: () => shownInputs()[0].focus(), focus: () => focusFirst(root) };
}

function focusFirst(root) {
  const first = root.querySelector("input[type=radio]:checked:enabled") ?? root.querySelector("select:enabled, input:enabled");
  first?.focus();
}

// One of several, as a select or as radio buttons.
function pickOf(root, name) {
  const select = root.querySelector(`select.${name}`);
  const radios = [...root.querySelectorAll(`.${name} input`)];
  const group = `group-${groups++}`;
  for (const radio of radios) radio.name ||= group;
  return {
    get value() {
      return select ? select.value : radios.find((radio) => radio.checked).value;
    },
    set value(value) {
      if (select) select.value = value;
      else for (const radio of radios) radio.checked = radio.value === value;
    },
    listen: (heard) => (select ? [select] : radios).forEach((each) => each.addEventListener("change", heard)),
  };
}
