// The list of cases: a table whose rows lead to their case. Text is only ever set as textContent.
export default function ({ data, parentElement, setTriggerValue }) {
  const table = document.createElement("table");
  table.setAttribute("aria-label", data.name);
  const head = table.createTHead().insertRow();
  for (const column of data.columns) {
    const title = document.createElement("th");
    title.scope = "col";
    title.textContent = column.title;
    title.className = column.number ? "number" : "";
    head.append(title);
  }
  const body = table.createTBody();
  for (const row of data.rows) {
    const line = body.insertRow();
    row.cells.forEach((cell, place) => {
      const where = line.insertCell();
      if (place === 0) where.append(link(row.case, cell.text));
      else if (cell.share === null) where.textContent = cell.text;
      else where.append(bar(cell.share), cell.text);
      where.className = data.columns[place].number ? "number" : cell.text.includes(", ") ? "words" : "";
    });
    line.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // the link, in a tab of its own
      event.preventDefault();
      setTriggerValue("opened", row.case);
    });
  }
  let frame = parentElement.querySelector(".rows");
  if (!frame) {
    frame = document.createElement("div");
    frame.className = "rows";
    parentElement.append(frame);
  }
  frame.replaceChildren(table);
  frame.scrollTop = 0;
}

// An address of this page, so that reader, study and language stay when the case opens in a tab of its own.
function link(id, text) {
  const place = new URL("case", window.location.href);
  const kept = new URLSearchParams(window.location.search);
  for (const name of ["reader", "study", "lang"]) if (kept.has(name)) place.searchParams.set(name, kept.get(name));
  place.searchParams.set("case", id);
  const made = document.createElement("a");
  made.href = place.href;
  made.textContent = text;
  return made;
}

function bar(share) {
  const made = document.createElement("span"), full = document.createElement("span");
  made.className = "bar";
  full.style.width = `${100 * share}%`;
  made.append(full);
  return made;
}
