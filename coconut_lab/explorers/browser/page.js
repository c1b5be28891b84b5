// What takes a kernel's place in a page of `make site`: traits that answer, from TinyModel.
import { make } from "./shared.js";
import { TinyModel, thinkAnew } from "./model.js";

/** Keep traits as anywidget's model does. `answer(traits, changed)` gives traits to set in turn. */
export function standIn(traits, answer) {
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

/** Make what answers for ThoughtStepper, as widget.py does in Python, with models in the page. */
export function thinker({ problems, models, inWords }) {
  const made = {};
  const load = (name) => (made[name] ??= new TinyModel(models[name]));
  let shown = null; // which problem of the list, and how it was read
  return (traits, changed) => {
    if (!ASKING.some((name) => changed.has(name))) return {};
    const { index, thoughts, through, model_name, control_name, written } = traits;
    const answered = traits.answered + 1;
    const source = Object.keys(SOURCES).find((name) => changed.has(name));
    if ((SOURCES[source] ?? traits.source) !== "list") {
      const message = `this page has the ${problems.length} problems of the list; for others, ` +
        "and your own, open the course with make lab";
      return { source: "list", message, answered };
    }
    shown ??= { index, settings: "" };
    const problem = problems[index], same = shown.index === index, { names } = problem;
    const removed = same ? [...traits.removed].sort((a, b) => a - b) : [];
    const asked = same ? names.indexOf(traits.asked) : problem.asked;
    const model = load(model_name);
    const control = control_name === "none" ? null : {
      name: control_name,
      in_words: inWords[control_name],
      ...(control_name === "another problem"
        ? { model, problem: problems[(index + 1) % problems.length] }
        : { model: load(control_name) }),
    };
    const settings = JSON.stringify([thoughts, through, model_name, control_name]);
    const wish = { thoughts, through, control };
    const again = same && shown.settings === settings;
    const byHand = same && !model.pauses ? written : {};
    const deaf = model.pauses && changed.has("written");
    shown = { index, settings };
    return {
      source: "list",
      removed,
      asked: names[asked],
      thought: Math.min(traits.thought, thoughts),
      budget: Math.min(traits.budget, thoughts),
      original: again ? traits.original : thinkAnew(problem, model, wish),
      data: thinkAnew(problem, model, { ...wish, removed, asked, written: byHand }),
      written: byHand,
      message: deaf ? `${model_name} reads pauses, whatever its thoughts are` : "",
      answered,
    };
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
  const answer = known.models && thinker(known);
  return [...document.querySelectorAll("[data-explorer]")].map((el) => {
    const { module, traits } = explorers[el.dataset.explorer];
    const model = standIn({ written: {}, ...traits }, traits.data?.reading && answer);
    modules[module].render({ model, el });
    const hand = document.getElementById("by-hand");
    if (hand) writeByHand(hand, model);
    return model;
  });
}
