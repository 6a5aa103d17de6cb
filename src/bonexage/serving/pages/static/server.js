// One film to the server and its answer back; and whether the server is there at all.

import { sentName } from "./names.js";

const LONGEST_WAIT = 300000;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 8000;

// Send a form. Gives { status, retryAfter, answer }, status 0 where nobody answered, null where it was aborted; `sending` hears how much is sent.
export function send(address, form, { accept, kind, sending, started }) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = kind;
    request.timeout = LONGEST_WAIT;
    request.setRequestHeader("Accept", accept);
    request.upload.onprogress = (event) => sending?.(event.lengthComputable ? event.loaded / event.total : 0);
    request.upload.onload = () => sending?.(1);
    const done = () =>
      resolve({
        status: request.status,
        retryAfter: Number(request.getResponseHeader("Retry-After")) || 2,
        answer: request.response,
      });
    request.onload = done;
    request.onerror = done;
    request.ontimeout = done;
    request.onabort = () => resolve(null);
    started?.(request);
    request.send(form);
  });
}

// A film as it is sent, with what is asked of it: nothing, or the sex and age that it is to be read with.
export function formOf(film, child = { sex: "U", months: null }) {
  const form = new FormData();
  form.append("file", film.file, sentName(film.name));
  form.append("sex", child.sex);
  if (child.months !== null) form.append("age_months", child.months.toFixed(3));
  return form;
}

export async function isThere() {
  // Whole, as fetch refuses what is seen from an address with a password in it.
  const address = location.origin + new URL("healthz", location.href).pathname;
  try {
    return (await fetch(address, { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

// Wait until the server is back; `hurry` gives a way to be asked sooner.
export async function untilThere(hurry) {
  for (let pause = FIRST_PAUSE; !(await isThere()); pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      hurry(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

export function readable(file) {
  return file.slice(0, 1).arrayBuffer().then(
    () => true,
    () => false,
  );
}

const DICOM_MARK = [128, "DICM"];
const DICOM_NAME = /\.(dcm|dicom|dic)$/i;
const PICTURES = [
  /^\x89PNG\r\n/,
  /^\xff\xd8\xff/,
  /^II[*+]\0/,
  /^MM\0[*+]/,
  /^BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0/s,
  /^RIFF.{4}WEBP/s,
  /^.{4}ftyp(avi[fs]|hei[cxms]|hev[cxms]|mi[fa][12f]|msf1|1pic)/s,
];

// Whether a file whose first bytes are these, each a character, is a picture of a kind that is read.
export function beginsAsPicture(head) {
  return PICTURES.some((begin) => begin.test(head));
}

// Whether a file is surely a picture of a kind in whose header nobody is named; the server is asked of any other.
export async function hasNoHeader(film) {
  const [at, mark] = DICOM_MARK;
  const bytes = new Uint8Array(await film.file.slice(0, at + mark.length).arrayBuffer().catch(() => new ArrayBuffer(0)));
  const head = String.fromCharCode(...bytes);
  return !DICOM_NAME.test(sentName(film.name)) && head.slice(at) !== mark && beginsAsPicture(head);
}
