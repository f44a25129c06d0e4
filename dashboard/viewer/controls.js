// The row of controls above the scan. Every name comes in the texts of the page; nothing is read as HTML.
function element(kind, attributes = {}, text = "") {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

export function controls(place, state, act) {
  let built = null;
  const buttons = {};

  function button(name, text, key, run) {
    const made = element("button", { type: "button", title: `${text} (${key})` }, text);
    made.addEventListener("click", run);
    buttons[name] = made;
    return made;
  }

  function labelled(text, field) {
    const label = element("label");
    label.append(element("span", {}, text), field);
    return label;
  }

  function build(scan, maps) {
    const texts = scan.texts;
    const tools = element("div", { role: "group", "aria-label": texts.tools, class: "group" });
    for (const [name, key] of [["window", "w"], ["pan", "p"], ["zoom", "z"], ["length", "m"], ["region", "g"]]) {
      tools.append(button(name, texts[`tool_${name}`], key, () => act.tool(name)));
    }
    const more = element("div", { role: "group", "aria-label": texts.view, class: "group" });
    more.append(button("invert", texts.invert, "i", act.invert), button("fit", texts.fit, "f", act.fit));
    if (scan.seen_shape[0]) more.append(button("seen", texts.seen_button, "s", act.seen));
    more.append(button("clear", texts.clear, "Del", act.clear), button("keys", texts.keys, "?", act.keys));
    const preset = element("select");
    scan.presets.forEach((one, index) => preset.append(element("option", { value: index }, one.name)));
    preset.addEventListener("change", () => act.preset(Number(preset.value)));
    const fields = [labelled(texts.presets, preset)];
    const slice = element("input", { type: "range", min: 0, max: scan.slices - 1, step: 1 });
    if (scan.slices > 1) {
      slice.addEventListener("input", () => act.slice(Number(slice.value)));
      fields.push(labelled(texts.slice, slice));
    }
    const overlay = element("select");
    const opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05 });
    if (maps.length) {
      overlay.append(element("option", { value: -1 }, texts.no_overlay));
      maps.forEach((one, index) => overlay.append(element("option", { value: index }, one.name)));
      overlay.addEventListener("change", () => act.overlay(Number(overlay.value)));
      opacity.addEventListener("input", () => act.opacity(Number(opacity.value)));
      fields.push(labelled(texts.overlay, overlay), labelled(texts.opacity, opacity));
    }
    place.replaceChildren(tools, more, ...fields);
    const list = document.getElementById("keys");
    list.replaceChildren(...texts.key_list.map(([key, what]) => {
      const line = element("div");
      line.append(element("kbd", {}, key), element("span", {}, what));
      return line;
    }));
    return { preset, slice, overlay, opacity };
  }

  let fields = null;
  return {
    update(scan, maps) {
      if (!scan) return;
      const stamp = JSON.stringify([scan.image_key, scan.texts, maps.map((one) => one.name), scan.presets]);
      if (stamp !== built) {
        fields = build(scan, maps);
        built = stamp;
      }
      for (const name of ["window", "pan", "zoom", "length", "region"]) {
        buttons[name].setAttribute("aria-pressed", String(state.tool === name));
      }
      buttons.invert.setAttribute("aria-pressed", String(state.inverted));
      buttons.seen?.setAttribute("aria-pressed", String(state.seen));
      fields.preset.value = String(state.preset);
      fields.slice.value = String(state.slice);
      fields.overlay.value = String(state.overlay);
      fields.opacity.value = String(state.opacity);
      fields.opacity.disabled = state.overlay < 0;
      const note = document.getElementById("note");
      note.textContent = maps[state.overlay]?.warning ?? "";
      note.hidden = !note.textContent;
    },
  };
}
