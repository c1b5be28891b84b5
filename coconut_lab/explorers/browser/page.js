// What takes a kernel's place in a page of `make site`: traits that answer, from TinyModel.
import { make } from "./shared.js";
import { TinyModel, thinkAnew } from "./model.js";

/** Keep traits as anywidget's model does. `answer(traits, changed)` gives traits to set in turn. */
function standIn(traits, answer) {
  const listeners = {}, changed = new Set();
  return {
    get: (name) => traits[name],
    set(name, value) {
      if (traits[name] === value) return;
      traits[name] = value;
      changed.add(name);
      for (const listener of listeners[`change:${name}`] ?? []) listener();
    },
    save_changes() {
      const found = answer?.(traits, new Set(changed)) ?? {};
      for (const [name, value] of Object.entries(found)) this.set(name, value);
      changed.clear();
    },
    on: (event, listener) => (listeners[event] ??= new Set()).add(listener),
    off: (event, listener) => listeners[event]?.delete(listener),
  };
}

const SOURCES = { index: "list", seed: "new", text: "own" };
const ASKING = [
  "removed", "asked", "source", "index", "seed", "text", "thoughts", "model_name", "through",
  "control_name", "written",
];

/** Make what answers for a ThoughtStepper, as widget.py does in Python, with models in the page. */
function thinker({ problems, models, inWords }, source) {
  const made = {};
  const load = (name) => (made[name] ??= new TinyModel(models[name]));
  let read = ""; // how `original` was read
  return (traits, changed) => {
    if (!ASKING.some((name) => changed.has(name))) return {};
    const { index, thoughts, through, model_name, control_name } = traits;
    const answered = traits.answered + 1;
    const place = Object.keys(SOURCES).find((name) => changed.has(name));
    const fresh = place !== undefined || changed.has("source");
    const wanted = SOURCES[place] ?? traits.source;
    const problem = fresh && wanted === "list" ? problems[index] : traits.original;
    const model = load(model_name), { names } = problem;
    if ((fresh && wanted !== "list") || !names.every((name) => model.ids.has(name))) {
      const message = `this page has the ${problems.length} problems of the list; for others, ` +
        "and your own, open the course with make lab";
      return { source, message, answered };
    }
    if (fresh) source = wanted;
    const removed = fresh ? [] : [...traits.removed].sort((a, b) => a - b);
    const asked = fresh ? problem.asked : names.indexOf(traits.asked);
    const next = problems[((source === "list" ? index : -1) + 1) % problems.length];
    const control = control_name === "none" ? null : {
      name: control_name,
      in_words: inWords[control_name],
      ...(control_name === "another problem"
        ? { model, problem: next } : { model: load(control_name) }),
    };
    const settings = JSON.stringify([thoughts, through, model_name, control_name]);
    const again = !fresh && settings === read;
    read = settings;
    const wish = { thoughts, through, control };
    const written = fresh || model.pauses ? {} : traits.written;
    const deaf = model.pauses && changed.has("written");
    return {
      source,
      removed,
      asked: names[asked],
      thought: Math.min(traits.thought, thoughts),
      budget: Math.min(traits.budget, thoughts),
      original: again ? traits.original : thinkAnew(problem, model, wish),
      data: thinkAnew(problem, model, { ...wish, removed, asked, written }),
      written,
      message: deaf ? `${model_name} reads pauses, whatever its thoughts are` : "",
      answered,
    };
  };
}

const NEEDS_A_KERNEL = ["index", "model_name", "text", "whose", "words", "doses", "direction", "rewired"];

/** Answer for an explorer whose model is not in the page: what asks it stays as it was, and why. */
function withoutModel(el, traits) {
  const kept = { ...traits };
  return (_, changed) => {
    const asking = NEEDS_A_KERNEL.filter((name) => changed.has(name));
    if (asking.length && el.lastChild.className !== "no-kernel") {
      const why = "No model answers in this page; for that, open the course with make lab.";
      el.append(make("p", { class: "no-kernel", role: "status" }, why));
    }
    return Object.fromEntries(asking.map((name) => [name, kept[name]]));
  };
}

/** Draw a row of names for each thought: it is written from those that are pressed. */
function writeByHand(el, model) {
  const draw = () => {
    const { names } = model.get("data"), written = model.get("written");
    const focused = [...el.querySelectorAll("button")].indexOf(document.activeElement);
    const toggle = (k, node) => {
      const nodes = written[k] ?? [];
      const kept = nodes.includes(node) ? nodes.filter((one) => one !== node) : [...nodes, node];
      model.set("written", { ...written, [k]: kept });
      model.save_changes();
    };
    const row = (_, i) => make("div", { role: "group", "aria-label": `Thought ${i + 1}` },
      make("b", {}, `Thought ${i + 1}`),
      make("span", {}, written[i + 1]?.length ? "by hand" : "the model's own"),
      ...names.map((name, node) => make("button", {
        "aria-pressed": written[i + 1]?.includes(node) ?? false, click: () => toggle(i + 1, node),
      }, name)));
    el.replaceChildren(...Array.from({ length: model.get("thoughts") }, row));
    el.querySelectorAll("button")[focused]?.focus();
  };
  for (const name of ["data", "written", "thoughts"]) model.on(`change:${name}`, draw);
  draw();
}

/** Draw every explorer of a page, and give the stand-ins of their models. */
export function start(modules, { explorers, ...known }) {
  return [...document.querySelectorAll("[data-explorer]")].map((el) => {
    const { module, traits } = explorers[el.dataset.explorer];
    const answer = traits.original ? thinker(known, traits.source) : withoutModel(el, traits);
    const model = standIn({ written: {}, ...traits }, answer);
    modules[module].render({ model, el });
    const hand = document.getElementById("by-hand");
    if (hand) writeByHand(hand, model);
    return model;
  });
}
