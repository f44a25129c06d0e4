// A note as it stands, with what the model weighed and what the text denies or doubts. Text is set as textContent only.
export function showNote(root, { pieces, words, name, height }) {
  root.style.maxHeight = `${height}px`;
  root.setAttribute("aria-label", name);
  root.replaceChildren(...pieces.map((piece) => {
    const made = document.createElement(piece.header ? "strong" : piece.weight ? "mark" : "span");
    made.textContent = piece.text;
    const told = [];
    if (piece.weight) {
      made.className = piece.weight > 0 ? "for" : "against";
      made.style.setProperty("--weight", `${Math.round(15 + 50 * Math.abs(piece.weight))}%`);
      told.push(`${piece.weight > 0 ? words.for : words.against} ${Math.round(100 * Math.abs(piece.weight))} %`);
    }
    for (const status of piece.status) {
      made.classList.add(status);
      told.push(words[status] ?? status);
    }
    if (told.length) made.title = told.join(", ");
    return made;
  }));
}
