// The films in a zip archive, unpacked in the browser, each as a file of its own.

import { beginsAsPicture } from "./server.js";

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const MOST_ENTRIES = 20000;
const PICTURE = /\.(png|jpe?g|jpe|jfif|tiff?|bmp|dib|webp|avif|hei[cf]|hif|dcm|dicom|dic|ima)$/i;
const MAY_BE_DICOM = /(^|\/)[^/.]+$|\.[0-9.]+$/;
const FOLDER = /[\\/]$/;
const LITTER = /(^|\/)(\.|__MACOSX\/)|(^|\/)DICOMDIR$/i;

export function isZip(file) {
  return /\.zip$/i.test(file.name);
}

// Films as { file, problem }, none of more than `most` bytes; throws where it is no archive that can be unpacked.
export async function unzip(archive, most) {
  const view = new DataView(await archive.arrayBuffer());
  const end = endOf(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count > MOST_ENTRIES) throw new Error("too many files");
  const films = [];
  for (let number = 0; number < count; number++) {
    if (view.getUint32(at, true) !== ENTRY) throw new Error("damaged");
    const entry = {
      encrypted: view.getUint16(at + 8, true) & 1,
      method: view.getUint16(at + 10, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      start: view.getUint32(at + 42, true),
    };
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const written = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, name));
    const path = FOLDER.test(written) ? "" : below(written);
    at += 46 + name + extra + comment;
    if (isZip({ name: path }) && !LITTER.test(path)) {
      films.push({ file: new File([], `${archive.name}/${path}`), problem: "problem.archive_within" });
    } else if (path && !LITTER.test(path) && (PICTURE.test(path) || MAY_BE_DICOM.test(path))) {
      films.push(await unpacked(view, entry, `${archive.name}/${path}`, most));
    }
  }
  return films.filter((film) => film !== null).sort((one, other) => (one.file.name < other.file.name ? -1 : 1));
}

// A member's name as a path below the archive, however the archive writes it.
function below(name) {
  return name.split(/[\\/]/).filter((part) => !["", ".", ".."].includes(part)).join("/");
}

function endOf(view) {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 65557); at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw new Error("no archive");
}

async function unpacked(view, entry, name, most) {
  if (entry.encrypted || ![0, 8].includes(entry.method)) throw new Error("encrypted or packed unlike others");
  const start = entry.start + 30 + view.getUint16(entry.start + 26, true) + view.getUint16(entry.start + 28, true);
  const bytes = new Blob([new Uint8Array(view.buffer, start, entry.packed)]);
  if (entry.method === 0) return (await isFilm(name, bytes)) ? { file: new File([bytes], name) } : null;
  const tooLarge = { file: new File([], name), problem: "problem.too_large" };
  if (entry.size > most) return tooLarge;
  const parts = [];
  let length = 0;
  const reader = bytes.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    length += value.length;
    if (length > most) {
      await reader.cancel();
      return tooLarge;
    }
    parts.push(value);
  }
  const file = new File(parts, name);
  return (await isFilm(name, file)) ? { file } : null;
}

// What has no picture's ending is a film by its first bytes.
async function isFilm(name, bytes) {
  if (PICTURE.test(name)) return true;
  const head = String.fromCharCode(...new Uint8Array(await bytes.slice(0, 132).arrayBuffer()));
  return head.slice(128) === "DICM" || beginsAsPicture(head);
}
