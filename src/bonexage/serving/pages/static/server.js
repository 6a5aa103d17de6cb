// One film to the server and its answer back; and whether the server is there at all.

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

export function formOf(file, child) {
  const form = new FormData();
  form.append("file", file, file.name);
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
