// A map of the model as a picture to lay over the scan: weak places stay clear.
const ramp = Array.from({ length: 256 }, (_, index) => {
  const t = index / 255; // dark red over orange to pale yellow: its lightness rises steadily
  return [Math.min(255, 90 + 330 * t), Math.max(0, 255 * (t * 1.35 - 0.35)), Math.max(0, 255 * (t * 2.2 - 1.4))];
});
const pictures = new WeakMap();

export function picture(map, number) {
  const held = pictures.get(map) ?? pictures.set(map, new Map()).get(map);
  if (held.has(number)) return held.get(number);
  const { rows, columns, greys } = map;
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  for (let place = 0; place < rows * columns; place += 1) {
    const value = greys[number * rows * columns + place];
    image.data.set([...ramp[value], Math.min(255, value * 1.4)], place * 4);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  held.set(number, canvas);
  return canvas;
}
