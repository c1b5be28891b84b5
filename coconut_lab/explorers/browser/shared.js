// What the explorers share. Texts from problems and tokens enter the page as text, never as markup.

const SVG = new Set(["svg", "g", "rect", "path", "circle", "line", "text", "title", "polygon"]);

/** Make an element with attributes and children; a string among the children becomes text. */
export function make(name, attributes = {}, ...children) {
  const element = SVG.has(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  set(element, attributes);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Set attributes; a function becomes a listener, "--x" a CSS variable, null takes it away. */
export function set(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (value === undefined || value === null || value === false) element.removeAttribute(key);
    else if (element.getAttribute(key) !== String(value)) element.setAttribute(key, value);
  }
  return element;
}

/** Change the text of an element, unless it is that already. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Write a probability with two digits. */
export const digits = (share) => share.toFixed(2);

/** Write a number with its thing: "1 thought", "2 thoughts", "2 branches". */
export const count = (number, thing) =>
  `${number} ${thing}${number === 1 ? "" : /(ch|ss)$/.test(thing) ? "es" : "s"}`;

/** Join the names of classes that are there. */
export const names = (...all) => all.filter(Boolean).join(" ");

/** Cut a text to at most that many characters, with an ellipsis. */
export function shortened(text, longest) {
  const letters = [...text];
  return letters.length <= longest ? text : letters.slice(0, longest - 1).join("") + "…";
}

/** Put an empty explorer into `el`; keys pressed in it never reach the notebook around it. */
export function frame(el, name, label) {
  const root = make("section", {
    class: `coconut-explorer coconut-${name}`, "aria-label": label, "data-lm-suppress-shortcuts": "true",
    keydown: (event) => event.stopPropagation(),
  });
  el.replaceChildren(root);
  return root;
}

/** Make a labelled drop-down list. `options` are [value, text] pairs, or values; any JSON. */
export function dropDown(label, choose) {
  const change = () => choose(JSON.parse(select.value));
  const select = make("select", { "aria-label": label, change });
  const element = make("label", { class: "field" }, make("span", {}, label), select);
  return {
    element,
    update(options, chosen) {
      const pairs = options.map((option) => (Array.isArray(option) ? option : [option, String(option)]));
      const wanted = JSON.stringify(pairs);
      if (select.dataset.options !== wanted) {
        select.dataset.options = wanted;
        select.replaceChildren(...pairs.map(([value, text]) =>
          make("option", { value: JSON.stringify(value) }, text)));
      }
      select.value = JSON.stringify(chosen);
    },
  };
}

/** Make a labelled field for a whole number of a trait, from 0 to the field's `max`. */
export function numberField(model, label, trait, choose) {
  const input = make("input", { type: "number", min: 0, change: () => {
    const value = Math.round(Number(input.value));
    if (input.value !== "" && value >= input.min && value <= input.max) choose({ [trait]: value });
    else input.value = model.get(trait);
  } });
  return [make("label", { class: "field" }, make("span", {}, label), input), input];
}

/**
 * Let arrow keys move through a list of items as one stop of the Tab key.
 * `items` gives the elements that can have the focus now.
 */
export function roving(container, items) {
  const stop = (wanted) => {
    for (const item of items()) set(item, { tabindex: item === wanted ? 0 : -1 });
  };
  container.addEventListener("focusin", (event) => {
    const item = items().find((one) => one.contains(event.target));
    if (item) stop(item);
  });
  container.addEventListener("keydown", (event) => {
    const all = items(), at = all.findIndex((item) => item.contains(event.target));
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || at < 0) return;
    event.preventDefault();
    all[(at + step + all.length) % all.length].focus();
  });
  return { refresh: () => stop(items().find((item) => item.tabIndex === 0) ?? items()[0]) };
}

/** Set traits of a model, and tell the kernel where there is one. */
export function setting(model) {
  return (values) => {
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    model.save_changes();
  };
}

/** Call `draw` once for many changes of a model; gives a function that ends it. */
export function follow(model, names, draw) {
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => { waiting = false; draw(); });
  };
  for (const name of names) model.on(`change:${name}`, later);
  return () => names.forEach((name) => model.off(`change:${name}`, later));
}

/** Keep the writing direction of a text from its surroundings. */
export function isolated(text) {
  const turns = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufefc]/;
  return turns.test(text) ? `\u2068${text}\u2069` : text;
}

/** Draw through points: level across a column, a smooth curve between columns; room for the tip. */
export function curve([[x, y], ...rest]) {
  return rest.reduce((path, [toX, toY], n) => {
    const stop = n === rest.length - 1 ? toX - 6 : toX, bend = (stop - x) / 2;
    path += n % 2 ? `H${stop}` : `C${x + bend} ${y} ${stop - bend} ${toY} ${stop} ${toY}`;
    [x, y] = [stop, toY];
    return path;
  }, `M${x} ${y}`);
}

/** The tip of an arrow that ends there. */
export const tip = ([x, y]) => make("polygon", { points: `${x},${y} ${x - 8},${y - 4} ${x - 8},${y + 4}` });
