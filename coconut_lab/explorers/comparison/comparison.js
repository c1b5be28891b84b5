import { count, curve, digits, follow, frame, isolated, make, say, set, shortened, tip } from "../browser/shared.js";
import { graphOf, roleOf } from "../browser/graph.js";

// One problem through several models. Traits and data: widget.py and data.py. Another problem asks
// the models; all else is drawn here.

const TRAITS = ["data", "index", "thought", "guess", "tally"];

function render({ model, el }) {
  const root = frame(el, "comparison", "Which of these models is Coconut?");
  let data = model.get("data"), panels = [], built = "";
  const name = (node) => isolated(data.names[node]);
  const last = () => data.models[0].thoughts.length;
  const change = (values) => {
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    model.save_changes();
  };
  const step = (to) => change({ thought: Math.max(1, Math.min(last(), to)) });
  const guess = (panel) => {
    if (model.get("guess") >= 0) return;
    const [right, asked] = model.get("tally");
    change({ guess: panel, tally: [right + Number(panel === data.coconut), asked + 1] });
    next.focus();
  };

  const title = make("h3"), meta = make("p", { class: "meta" }), place = make("output", { class: "place" });
  const slider = make("input", { type: "range", min: 1, "aria-label": "Thought", input: () => step(Number(slider.value)) });
  const next = make("button", { type: "button", click: () => change({ index: (model.get("index") + 1) % model.get("count"), thought: 1 }) }, "Next problem");
  const row = make("div", { class: "panels" }), said = make("p", { class: "said", role: "status" });
  root.append(make("header", {}, title, meta), make("div", { class: "flow stepping" }, slider, place, make("span", { class: "meta" }, "← →"), next), row, said);

  root.addEventListener("keydown", (event) => {
    if (event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    const go = { ArrowLeft: model.get("thought") - 1, ArrowRight: model.get("thought") + 1, Home: 1, End: last() }[event.key];
    if (go === undefined) return;
    step(go);
    event.preventDefault();
  });
  const point = (node) => {
    for (const panel of panels) for (const [at, group] of panel.graph.nodes.entries()) group.classList.toggle("lit", at === node);
  };
  root.addEventListener("pointerover", (event) => {
    const found = event.target.closest?.("[data-node]");
    point(found ? Number(found.dataset.node) : null);
  });
  root.addEventListener("pointerleave", () => point(null));

  function build() {
    panels = data.models.map((_, at) => {
      const letter = "ABC"[at], graph = graphOf(data, `Model ${letter}`);
      const heading = make("h4"), answer = make("p", { class: "meta" });
      const button = make("button", { type: "button", click: () => guess(at) }, `${letter} is Coconut`);
      return { graph, heading, answer, button, element: make("div", { class: "panel" }, heading, graph.picture, button, answer) };
    });
    row.replaceChildren(...panels.map((panel) => panel.element));
  }

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    const wanted = JSON.stringify([data.names, data.facts, data.asked, data.source]);
    if (wanted !== built) build();
    built = wanted;
    const k = Math.min(model.get("thought"), last()), guessed = model.get("guess"), open = guessed >= 0;
    say(title, `Is ${name(data.asked)} a ${name(data.options[0])} or a ${name(data.options[1])}?`);
    say(meta, data.source);
    set(slider, { max: last(), "aria-valuetext": `thought ${k} of ${last()}` });
    slider.value = k;
    say(place, `Thought ${k} of ${last()}`);
    next.hidden = !open;
    for (const [at, panel] of panels.entries()) {
      const one = data.models[at], letter = "ABC"[at], shares = one.thoughts[k - 1];
      say(panel.heading, open ? `${letter}: ${one.name}` : `Model ${letter}`);
      set(panel.element, { class: ["panel", open && at === data.coconut && "coconut", open && at === guessed && "guessed"].filter(Boolean).join(" ") });
      panel.button.hidden = open;
      const pair = one.answers.at(-1), best = pair[0] >= pair[1] ? 0 : 1;
      say(panel.answer, open ? `${one.in_words}. After ${count(last(), "thought")} it says ${pair[0] + pair[1] < 0.5 ? "something else" : `${name(data.options[best])} with ${digits(pair[best])}`}.` : "");
      for (const [node, group] of panel.graph.nodes.entries()) {
        const frontier = data.distances[node] === k, role = roleOf(data, node);
        set(group, { "--p": shares[node], class: ["node", frontier && "frontier", shares[node] > 0.7 && "dark"].filter(Boolean).join(" ") });
        say(group.lastChild, digits(shares[node]) + (role ? ` ${role[0]}` : ""));
      }
      const frontier = data.distances.flatMap((hops, node) => (hops === k ? [node] : []));
      const mass = frontier.reduce((sum, node) => sum + shares[node], 0);
      set(panel.graph.picture, { "aria-label": `Model ${letter}, thought ${k}: ${digits(mass)} on the frontier` });
    }
    const [right, asked] = model.get("tally"), score = asked ? ` ${right} of ${count(asked, "guess")} right.`.replace("guesss", "guesses") : "";
    said.replaceChildren(open
      ? `${guessed === data.coconut ? "Right." : `No, it was ${"ABC"[data.coconut]}.`}${score} Two options and a coin: a model that guesses is right half of the time.`
      : `Step the thoughts, then say which model was trained to think.${score} Orange: the nodes ${count(k, "hop")} from ${name(data.asked)}.`);
  }

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
