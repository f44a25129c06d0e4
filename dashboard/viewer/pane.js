// One image on a canvas: 16-bit values through a window, a map laid over it, marks; zoom and pan keep the pixel's shape.
import { picture } from "./overlay.js";

export class Pane {
  constructor(canvas) {
    this.canvas = canvas;
    this.source = null;
    this.painted = document.createElement("canvas");
    this.table = new Uint8Array(65536);
    this.window = { lower: 0, upper: 1, sigmoid: false };
    this.zoom = 1; this.x = 0; this.y = 0; this.slice = 0; this.inverted = false; this.stale = true;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // values: typed array of slices × rows × columns codes; value = code × slope + intercept; pixel: [height, width].
  open(source) {
    Object.assign(this, { source, zoom: 1, x: 0, y: 0, slice: 0, stale: true });
    this.painted.width = source.columns;
    this.painted.height = source.rows;
  }

  setWindow(window, inverted) { this.window = window; this.inverted = inverted; this.stale = true; this.draw(); }
  setSlice(slice) { this.slice = slice; this.stale = true; this.draw(); }

  // A window is linear between its ends, or a sigmoid (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.1); inversion comes after it.
  paint() {
    const { slope, intercept, rows, columns, values } = this.source;
    const { lower, upper, sigmoid } = this.window;
    const width = Math.max(upper - lower, 1e-9), middle = (lower + upper) / 2;
    for (let code = 0; code < 65536; code += 1) {
      const value = code * slope + intercept;
      const grey = sigmoid ? 1 / (1 + Math.exp((-4 * (value - middle)) / width)) : Math.min(1, Math.max(0, (value - lower) / width));
      this.table[code] = Math.round(255 * (this.inverted ? 1 - grey : grey));
    }
    const size = rows * columns, start = this.slice * size, { table } = this;
    const words = new Uint32Array(size);
    for (let place = 0; place < size; place += 1) words[place] = 0xff000000 | (table[values[start + place]] * 0x010101);
    this.painted.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(words.buffer), columns, rows), 0, 0);
    this.stale = false;
  }

  scale() {
    const [high, wide] = this.source.pixel;
    const fit = Math.min(this.canvas.clientWidth / (this.source.columns * wide), this.canvas.clientHeight / (this.source.rows * high));
    return [fit * this.zoom * wide, fit * this.zoom * high];
  }

  toScreen(x, y) {
    const [across, down] = this.scale();
    return [this.canvas.clientWidth / 2 + this.x + (x - this.source.columns / 2) * across, this.canvas.clientHeight / 2 + this.y + (y - this.source.rows / 2) * down];
  }

  toImage(x, y) {
    const [across, down] = this.scale();
    return [(x - this.canvas.clientWidth / 2 - this.x) / across + this.source.columns / 2, (y - this.canvas.clientHeight / 2 - this.y) / down + this.source.rows / 2];
  }

  zoomAt(factor, at = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const [x, y] = this.toImage(...at);
    this.zoom = Math.max(0.25, Math.min(60, this.zoom * factor));
    const [left, top] = this.toScreen(x, y);
    this.pan(at[0] - left, at[1] - top);
  }

  pan(x, y) { this.x += x; this.y += y; this.draw(); }

  draw() {
    if (!this.source || !this.canvas.clientWidth) return;
    if (this.stale) this.paint();
    const ratio = window.devicePixelRatio || 1, { canvas } = this;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [left, top] = this.toScreen(0, 0), [right, bottom] = this.toScreen(this.source.columns, this.source.rows);
    context.imageSmoothingEnabled = this.scale()[0] < 4; // far in, a reader sees the pixels themselves
    context.imageSmoothingQuality = "high";
    context.drawImage(this.painted, left, top, right - left, bottom - top);
    const laid = this.overlay?.();
    if (laid) {
      context.globalAlpha = laid.opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(picture(laid.map, laid.number), left, top, right - left, bottom - top);
      context.globalAlpha = 1;
    }
    this.marks?.(context);
  }
}
