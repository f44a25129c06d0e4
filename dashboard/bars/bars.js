// Bars with their names and figures. Text is only ever set as textContent.
export default function ({ data, parentElement }) {
  const list = document.createElement("ul");
  list.setAttribute("aria-label", data.name);
  for (const bar of data.bars) {
    const [line, name, room, full, figure] = ["li", "span", "span", "span", "span"].map((one) => document.createElement(one));
    name.textContent = bar.name;
    figure.textContent = bar.text;
    name.className = "name";
    room.className = "room";
    full.className = bar.tone;
    full.style.left = `${100 * Math.min(bar.start, bar.end)}%`;
    full.style.width = `${100 * Math.abs(bar.end - bar.start)}%`;
    room.append(full);
    line.append(name, room, figure);
    list.append(line);
  }
  parentElement.querySelector("ul")?.remove();
  parentElement.append(list);
}
