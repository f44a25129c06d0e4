// The scan viewer of the dashboard: a Streamlit component without dependencies. Text is only ever set as textContent.
import { controls } from "./controls.js";
import { showNote } from "./note.js";
import { Pane } from "./pane.js";
import { onRender, ready, send, setHeight } from "./streamlit.js";

const root = document.getElementById("viewer");
const [first, second] = ["scan", "seen"].map((name) => document.getElementById(`${name}-pane`));
const pane = new Pane(first.querySelector("canvas")), beside = new Pane(second.querySelector("canvas"));
const state = { key: null, tool: "window", seen: true, overlay: -1, opacity: 0.5, inverted: false, slice: 0, preset: 0 };
let scan = null, maps = [], lines = [], region = null, drag = null;
const bar = controls(document.getElementById("controls"), state, {
  tool, clear, slice: (index) => step(index - state.slice),
  preset(index) { state.preset = index; show(scan.presets[index]); },
  invert() { state.inverted = !state.inverted; show(pane.window); },
  fit: reset,
  seen() { state.seen = !state.seen; layout(); },
  overlay(index) { state.overlay = index; refresh(); setHeight(); },
  opacity(value) { state.opacity = value; refresh(); },
  keys() { const keys = document.getElementById("keys"); keys.hidden = !keys.hidden; setHeight(); },
});

pane.overlay = () => {
  const map = maps[state.overlay];
  const number = map?.slices > 1 ? map.numbers.indexOf(scan.numbers[state.slice]) : 0;
  return map && number >= 0 ? { map, number, opacity: state.opacity } : null;
};
pane.marks = (context) => {
  context.lineWidth = 2;
  context.font = "600 13px system-ui, sans-serif";
  for (const line of lines.filter((one) => one.slice === state.slice)) {
    const [a, b] = [pane.toScreen(...line.from), pane.toScreen(...line.to)];
    context.strokeStyle = "#ffe14d";
    context.beginPath(); context.moveTo(...a); context.lineTo(...b); context.stroke();
    write(context, length(line), b[0] + 8, b[1]);
  }
  if (region && region.slice === scan.numbers[state.slice]) {
    const [left, top] = pane.toScreen(region.x0, region.y0), [right, bottom] = pane.toScreen(region.x1, region.y1);
    context.strokeStyle = "#4de1ff";
    context.strokeRect(left, top, right - left, bottom - top);
  }
};

function write(context, text, x, y) {
  context.strokeStyle = "#000"; context.lineWidth = 3; context.strokeText(text, x, y);
  context.fillStyle = "#ffe14d"; context.fillText(text, x, y); context.lineWidth = 2;
}

// Millimetres where the spacing of pixels is stated, else pixels.
function length({ from, to }) {
  const [down, across] = scan.spacing ?? [1, 1];
  const size = Math.hypot((from[0] - to[0]) * across, (from[1] - to[1]) * down);
  return scan.spacing ? `${size.toFixed(1)} mm` : `${size.toFixed(0)} ${scan.texts.pixels}`;
}

onRender((args) => {
  root.hidden = args.kind === "note";
  document.getElementById("note-text").hidden = args.kind !== "note";
  if (args.kind === "note") { showNote(document.getElementById("note-text"), args); setHeight(); return; }
  const fresh = args.image_key !== state.key;
  const values = fresh ? words(args.pixels) : scan.values;
  const { pixels: _pixels, seen, ...rest } = args;
  scan = { ...rest, values };
  maps = rest.overlays.map((one, index) => ({ ...one, greys: args[`overlay_${index}`] }));
  state.overlay = Math.min(state.overlay, maps.length - 1);
  root.style.setProperty("--panel", `${roomFor(scan.height)}px`);
  first.querySelector("figcaption").textContent = scan.texts.original;
  second.querySelector("figcaption").textContent = scan.texts.seen;
  pane.canvas.setAttribute("aria-label", scan.texts.label);
  if (fresh) {
    state.key = rest.image_key;
    [lines, region] = [[], rest.region];
    pane.open({ ...scan, pixel: scan.spacing ?? [scan.aspect, 1] });
    const [slices, rows, columns] = scan.seen_shape;
    if (slices) beside.open({ values: seen.slice(), slices, rows, columns, slope: 1, intercept: 0, pixel: [1, 1] });
    state.slice = scan.start;
    reset();
  }
  if (!rest.region && !fresh && !drag) region = null;
  layout();
});

// On a large reading screen the scan takes the room that there is.
function roomFor(height) {
  try { return Math.max(height, Math.round(window.parent.innerHeight * 0.62)); } catch { return height; }
}

function words(bytes) { return new Uint16Array(bytes.slice().buffer, 0, bytes.length >> 1); }

function reset() {
  Object.assign(state, { inverted: false, preset: 0 });
  Object.assign(pane, { zoom: 1, x: 0, y: 0, slice: state.slice });
  if (beside.source) beside.setWindow({ lower: 0, upper: 255 }, false);
  show(scan.presets[0]);
  tool(state.tool);
}

function show(window) { pane.setWindow(window, scan.inverted !== state.inverted); tell(); bar.update(scan, maps); }
function refresh() { pane.draw(); tell(); bar.update(scan, maps); }

function tool(name) {
  state.tool = name;
  pane.canvas.style.cursor = { window: "ns-resize", pan: "grab", zoom: "zoom-in" }[name] ?? "crosshair";
  tell();
  bar.update(scan, maps);
}

function layout() {
  second.hidden = !(state.seen && scan.seen_shape[0] > 0);
  follow();
  refresh();
  setHeight();
}

// The network sees some slices of a volume: beside a slice stands the nearest of them.
function follow() {
  if (second.hidden) return;
  const away = scan.seen_numbers.map((number) => Math.abs(number - scan.numbers[state.slice]));
  const nearest = away.indexOf(Math.min(...away));
  beside.setSlice(Math.max(0, nearest));
  second.querySelector(".told").textContent = scan.slices > 1 ? `${scan.texts.slice} ${scan.seen_numbers[nearest]}` : "";
}

function step(by) {
  state.slice = Math.max(0, Math.min(scan.slices - 1, state.slice + by));
  pane.setSlice(state.slice);
  follow();
  refresh();
}

function tell() {
  const { lower, upper } = pane.window;
  const digits = upper - lower <= 2 ? 2 : 0, more = digits ? 0 : 1; // centre and width as DICOM's LINEAR counts them
  const parts = [
    `${scan.texts.window} ${((lower + upper + more) / 2).toFixed(digits)} / ${(upper - lower + more).toFixed(digits)} ${scan.unit}`.trim(),
    `${scan.texts.zoom} ${pane.zoom.toFixed(1)}×`,
  ];
  if (scan.slices > 1) parts.push(`${scan.texts.slice} ${scan.numbers[state.slice]} (${state.slice + 1} / ${scan.slices})`);
  if (state.inverted) parts.push(scan.texts.inverted);
  first.querySelector(".told").textContent = parts.join("   ");
  const last = lines.at(-1);
  Object.assign(root.dataset, {
    lower, upper, zoom: pane.zoom.toFixed(3), slice: state.slice, tool: state.tool, inverted: state.inverted,
    overlay: state.overlay, length: last ? length(last) : "", region: region ? "yes" : "",
  });
}

function place(event) {
  const box = pane.canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function told(at) {
  const [x, y] = pane.toImage(...at).map(Math.floor);
  const inside = x >= 0 && y >= 0 && x < scan.columns && y < scan.rows;
  const value = inside && scan.values[(state.slice * scan.rows + y) * scan.columns + x] * scan.slope + scan.intercept;
  document.getElementById("here").textContent = inside ? `x ${x}  y ${y}   ${value.toFixed(scan.slope < 0.1 ? 3 : 0)} ${scan.unit}`.trim() : "";
}

pane.canvas.addEventListener("pointerdown", (event) => {
  if (!scan) return;
  pane.canvas.focus();
  pane.canvas.setPointerCapture(event.pointerId);
  const at = place(event), does = [state.tool, "pan", "zoom"][event.button] ?? "pan";
  drag = { at, does, window: { ...pane.window }, start: at };
  if (does === "length") lines.push({ from: pane.toImage(...at), to: pane.toImage(...at), slice: state.slice });
});
pane.canvas.addEventListener("pointermove", (event) => {
  if (!scan) return;
  const at = place(event);
  told(at);
  if (!drag) return;
  const [right, down] = [at[0] - drag.at[0], at[1] - drag.at[1]];
  if (drag.does === "pan") { pane.pan(right, down); drag.at = at; }
  if (drag.does === "zoom") { pane.zoomAt(Math.exp(-down / 150), drag.start); drag.at = at; }
  if (drag.does === "window") { // across: width; down: level, as reading stations have it
    const { lower, upper, sigmoid } = drag.window, width = upper - lower;
    const wide = Math.max(width * Math.exp(right / 200), scan.slope * 2), middle = (lower + upper) / 2 + (down / 300) * width;
    show({ lower: middle - wide / 2, upper: middle + wide / 2, sigmoid });
  }
  if (drag.does === "length") lines.at(-1).to = pane.toImage(...at);
  if (drag.does === "region") {
    const [a, b] = [pane.toImage(...drag.start), pane.toImage(...at)];
    const inside = (value, side) => Math.round(Math.max(0, Math.min(side, value)));
    region = {
      x0: inside(Math.min(a[0], b[0]), scan.columns), x1: inside(Math.max(a[0], b[0]), scan.columns),
      y0: inside(Math.min(a[1], b[1]), scan.rows), y1: inside(Math.max(a[1], b[1]), scan.rows), slice: scan.numbers[state.slice],
    };
  }
  refresh();
});
pane.canvas.addEventListener("pointerup", () => {
  const done = drag;
  drag = null;
  if (done?.does === "length" && Math.hypot(...lines.at(-1).from.map((one, axis) => one - lines.at(-1).to[axis])) < 1) lines.pop();
  if (done?.does === "region" && region && region.x1 > region.x0 && region.y1 > region.y0) send({ image_key: state.key, region });
  if (scan) refresh();
});
pane.canvas.addEventListener("pointerleave", () => { document.getElementById("here").textContent = ""; });
pane.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
pane.canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (scan.slices > 1 && !event.ctrlKey) step(Math.sign(event.deltaY));
  else { pane.zoomAt(event.deltaY < 0 ? 1.1 : 1 / 1.1, place(event)); tell(); }
}, { passive: false });

function clear() {
  lines = [];
  if (region) send({ image_key: state.key, region: null });
  region = null;
  refresh();
}

function narrow(factor, shift) {
  const { lower, upper, sigmoid } = pane.window, half = ((upper - lower) / 2) * factor, middle = (lower + upper) / 2 + shift * (upper - lower);
  show({ lower: middle - half, upper: middle + half, sigmoid });
}

document.addEventListener("keydown", (event) => {
  if (!scan || event.target.matches("select, input") || event.altKey || event.metaKey || event.ctrlKey) return;
  const volume = scan.slices > 1;
  const does = {
    w: () => tool("window"), p: () => tool("pan"), z: () => tool("zoom"), m: () => tool("length"), g: () => tool("region"),
    i: () => { state.inverted = !state.inverted; show(pane.window); }, f: reset, s: () => { state.seen = !state.seen; layout(); },
    o: () => { state.overlay = state.overlay < maps.length - 1 ? state.overlay + 1 : -1; refresh(); setHeight(); },
    "+": () => { pane.zoomAt(1.2); tell(); }, "-": () => { pane.zoomAt(1 / 1.2); tell(); }, Delete: clear, Escape: () => tool("window"),
    "?": () => { const keys = document.getElementById("keys"); keys.hidden = !keys.hidden; setHeight(); },
    ArrowUp: () => (volume ? step(-1) : pane.pan(0, 30)), ArrowDown: () => (volume ? step(1) : pane.pan(0, -30)),
    ArrowLeft: () => pane.pan(30, 0), ArrowRight: () => pane.pan(-30, 0), PageUp: () => step(-5), PageDown: () => step(5),
    "[": () => narrow(1 / 1.1, 0), "]": () => narrow(1.1, 0), ",": () => narrow(1, -0.05), ".": () => narrow(1, 0.05),
  }[event.key];
  const preset = scan.presets[Number(event.key) - 1];
  if (!does && !preset) return;
  event.preventDefault();
  if (preset) state.preset = Number(event.key) - 1;
  (does ?? (() => show(preset)))();
});

ready();
