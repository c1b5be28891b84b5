import { make, say, set } from "./shared.js";

// Controls of explorers that step through something.

/** Make a slider with its label and its value; `update` says where it is. */
export function slider(label, min, go) {
  const name = make("span", {}, label), value = make("b", { class: "value", "aria-hidden": true });
  const input = make("input", { type: "range", min, "aria-label": label, input: () => go(Number(input.value)) });
  return {
    element: make("label", { class: "field" }, name, input, value),
    update(at, max, { named = label, said = String(at), words = said, disabled = false } = {}) {
      set(input, { max, "aria-label": named, "aria-valuetext": words });
      [input.value, input.disabled] = [at, disabled];
      say(name, named);
      say(value, said);
    },
  };
}

/** Let ← → Home End step from anywhere in an explorer, but where a field needs these keys itself. */
export function arrows(root, at, last, go) {
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input:not([type=checkbox]), select")) return;
    const to = { ArrowLeft: at() - 1, ArrowRight: at() + 1, Home: 0, End: last() }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(Math.max(0, Math.min(last(), to)));
  });
}

/** Read data that comes as text (`large` in explorer.py). */
export const parsed = (data) => (typeof data === "string" ? JSON.parse(data) : data);

/** Fill a row with figures: [name, number, note], …. */
export function figures(row, all) {
  row.replaceChildren(...all.map(([name, number, note]) =>
    make("p", {}, make("span", { class: "meta" }, name), make("b", { "data-fact": name }, String(number)),
      make("span", { class: "meta" }, note))));
}
