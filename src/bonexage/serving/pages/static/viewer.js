// The film in a result: window and level, zoom, turning, moving, and the map that fades over it.

const TURN = 5;
const MOVE = 40;
const LEAST_ZOOM = 0.5;
const MOST_ZOOM = 8;
const PLAIN = { zoom: 1, x: 0, y: 0, angle: 0, width: 1, level: 0.5, inverted: false };
const SHOWN_MAP = 0.6;

export async function viewer(figure) {
  const film = figure.querySelector(".film");
  const stage = figure.querySelector(".stage");
  const turned = figure.querySelector(".turned");
  const map = figure.querySelector(".map");
  const controls = figure.querySelector(".controls");
  controls.append(document.getElementById("controls").content.cloneNode(true));
  if (!map) controls.querySelector(".of-map").remove();
  const found = (name) => controls.querySelector(`.${name}`);
  const sliders = { map: found("map-range"), width: found("window-range"), level: found("level-range"), zoom: found("zoom-range") };
  await film.decode();
  const canvas = canvasOf(film);
  const grey = greyOf(canvas);
  film.replaceWith(canvas);
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", film.alt);
  const view = { ...PLAIN, map: SHOWN_MAP };
  let waiting = false;

  function show() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint(canvas, grey, view);
      turned.style.transform = `translate(${view.x}px, ${view.y}px) rotate(${view.angle}deg) scale(${view.zoom})`;
      stage.classList.toggle("held", view.zoom > 1 || dragWindows());
      if (map) map.style.opacity = view.map;
      for (const [name, slider] of Object.entries(sliders)) {
        if (!slider) continue;
        slider.value = 100 * view[name];
        const told = `${Math.round(100 * view[name])} %`;
        slider.nextElementSibling.textContent = told;
        slider.setAttribute("aria-valuetext", told);
      }
      found("invert").setAttribute("aria-pressed", String(view.inverted));
    });
  }

  function set(changes) {
    Object.assign(view, changes);
    view.zoom = between(view.zoom, LEAST_ZOOM, MOST_ZOOM);
    view.width = between(view.width, 0.02, 2);
    view.level = between(view.level, 0, 1);
    const room = [stage.clientWidth, stage.clientHeight].map((side) => (side * Math.max(1, view.zoom)) / 2);
    view.x = between(view.x, -room[0], room[0]);
    view.y = between(view.y, -room[1], room[1]);
    show();
  }

  // Zoom so that what lies under a place of the stage stays there.
  function zoomAt(times, x, y) {
    const zoom = between(view.zoom * times, LEAST_ZOOM, MOST_ZOOM);
    const box = stage.getBoundingClientRect();
    const [ax, ay] = [x - box.left - box.width / 2, y - box.top - box.height / 2];
    const part = zoom / view.zoom;
    set({ zoom, x: ax - part * (ax - view.x), y: ay - part * (ay - view.y) });
  }

  const dragWindows = () => found("drag").querySelector("input[value=window]").checked;

  for (const [name, slider] of Object.entries(sliders)) {
    slider?.addEventListener("input", () => set({ [name]: slider.value / 100 }));
  }
  const group = `drag-${Math.random()}`;
  found("drag").querySelectorAll("input").forEach((input) => {
    input.name = group;
  });
  found("drag").querySelector("input").checked = true;
  found("drag").addEventListener("change", show);
  found("left").addEventListener("click", () => set({ angle: view.angle - 90 }));
  found("right").addEventListener("click", () => set({ angle: view.angle + 90 }));
  found("invert").addEventListener("click", () => set({ inverted: !view.inverted }));
  found("reset").addEventListener("click", () => set({ ...PLAIN, map: SHOWN_MAP }));

  stage.addEventListener("keydown", (event) => {
    const changes = keyed(event, view, map !== null);
    if (changes) {
      event.preventDefault();
      set(changes);
    }
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && document.activeElement !== stage) return;
      event.preventDefault();
      zoomAt(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", (event) => zoomAt(2, event.clientX, event.clientY));
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  dragged(stage, {
    one: (dx, dy, windows) => {
      if (windows || dragWindows()) set({ width: view.width + dx / 300, level: view.level - dy / 300 });
      else set({ x: view.x + dx, y: view.y + dy });
    },
    two: (dx, dy, times, x, y) => {
      zoomAt(times, x, y);
      set({ x: view.x + dx, y: view.y + dy });
    },
  });
  show();
}

function keyed(event, view, hasMap) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.shiftKey && event.key.startsWith("Arrow")) {
    return {
      ArrowLeft: { width: view.width - 0.05 },
      ArrowRight: { width: view.width + 0.05 },
      ArrowUp: { level: view.level + 0.025 },
      ArrowDown: { level: view.level - 0.025 },
    }[event.key];
  }
  const zoomed = (zoom) => ({ zoom, x: (view.x * zoom) / view.zoom, y: (view.y * zoom) / view.zoom });
  return {
    ArrowLeft: { x: view.x - MOVE },
    ArrowRight: { x: view.x + MOVE },
    ArrowUp: { y: view.y - MOVE },
    ArrowDown: { y: view.y + MOVE },
    "+": zoomed(view.zoom * 1.25),
    "=": zoomed(view.zoom * 1.25),
    "-": zoomed(view.zoom / 1.25),
    "[": { angle: view.angle - TURN },
    "]": { angle: view.angle + TURN },
    i: { inverted: !view.inverted },
    m: hasMap ? { map: view.map > 0 ? 0 : SHOWN_MAP } : null,
    0: { ...PLAIN },
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}

// Hear one pointer's way, or how two pointers move, spread and where their middle is.
function dragged(stage, { one, two }) {
  const down = new Map();
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return;
    const before = middle([...down.values()]);
    down.set(event.pointerId, event);
    const after = middle([...down.values()]);
    const [dx, dy] = [after.x - before.x, after.y - before.y];
    if (down.size === 1) one(dx, dy, (event.buttons & 2) !== 0);
    else two(dx, dy, before.spread > 0 ? after.spread / before.spread : 1, after.x, after.y);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => down.delete(event.pointerId));
  }
}

function middle(points) {
  const [first, last] = [points[0], points[points.length - 1]];
  return {
    x: (first.clientX + last.clientX) / 2,
    y: (first.clientY + last.clientY) / 2,
    spread: Math.hypot(first.clientX - last.clientX, first.clientY - last.clientY),
  };
}

function canvasOf(film) {
  const canvas = document.createElement("canvas");
  canvas.width = film.naturalWidth;
  canvas.height = film.naturalHeight;
  canvas.className = "film";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", film.alt);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(film, 0, 0);
  return canvas;
}

function greyOf(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
}

// The film's greys through the window: all below it black, all above it white.
function paint(canvas, grey, { width, level, inverted }) {
  const shades = Uint32Array.from({ length: 256 }, (_, value) => {
    const part = between((value / 255 - level) / width + 0.5, 0, 1);
    const shade = Math.round(255 * (inverted ? 1 - part : part));
    return 0xff000000 + 0x010101 * shade;
  });
  const painted = new Uint32Array(grey.length);
  for (let at = 0; at < grey.length; at++) painted[at] = shades[grey[at]];
  const data = new Uint8ClampedArray(painted.buffer);
  canvas.getContext("2d").putImageData(new ImageData(data, canvas.width, canvas.height), 0, 0);
}

function between(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
