// What films are called on the page: each unlike all others, and without signs that show a name as another one.

// Controls, line ends, halves of letters, and marks that turn the order of letters or are not seen.
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const LONGEST_SENT = 150;

export function shownName(name) {
  return name.replace(UNSEEN, "\ufffd") || "film";
}

// The name, numbered where it is among those taken, a set of them in normal form: "hand.png", "hand (2).png".
export function unlike(name, taken) {
  const [, stem, suffix] = /^(.*?)(\.[^./\\]*)?$/su.exec(name);
  let made = name;
  for (let number = 2; taken.has(made.normalize()); number++) made = `${stem} (${number})${suffix ?? ""}`;
  return made;
}

// The name as it is sent: no path, and not so long that its ending would be cut off.
export function sentName(name) {
  return [...name.replace(/[/\\]/g, "_")].slice(-LONGEST_SENT).join("");
}

// What a film's file is called without its folder and ending.
export function stem(name) {
  return name.split("/").pop().replace(/\.[^.]*$/, "") || "film";
}
