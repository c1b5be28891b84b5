import { count, digits, follow, frame, isolated, make, names, say, set,
  setting } from "../browser/shared.js";
import { fillNode, graphOf, questionOf, roleOf } from "../browser/graph.js";

// One problem through several models. Traits and data: widget.py and data.py. Another problem asks
// the models; all else is drawn here.

const TRAITS = ["data", "index", "thought", "guess", "tally"];

function render({ model, el }) {
  const root = frame(el, "comparison", "Which of these models is Coconut?"), change = setting(model);
  let data = model.get("data"), panels = [], built = "";
  const name = (node) => isolated(data.names[node]);
  const last = () => data.models[0].thoughts.length;
  const step = (to) => change({ thought: Math.max(1, Math.min(last(), to)) });
  const guess = (panel) => {
    if (model.get("guess") >= 0) return;
    const [right, asked] = model.get("tally");
    change({ guess: panel, tally: [right + Number(panel === data.coconut), asked + 1] });
    next.focus();
  };

  const title = make("h3"), meta = make("p", { class: "meta" }), place = make("output", { class: "place" });
  const slide = () => step(Number(slider.value));
  const slider = make("input", { type: "range", min: 1, "aria-label": "Thought", input: slide });
  const go = () => change({ index: (model.get("index") + 1) % model.get("count"), thought: 1 });
  const next = make("button", { type: "button", click: go }, "Next problem");
  const row = make("div", { class: "panels" }), said = make("p", { class: "said", role: "status" });
  const keys = make("span", { class: "meta" }, "← →");
  root.append(make("header", {}, title, meta),
    make("div", { class: "flow stepping" }, slider, place, keys, next), row, said);

  root.addEventListener("keydown", (event) => {
    if (event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    const now = model.get("thought");
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 1, End: last() }[event.key];
    if (to === undefined) return;
    step(to);
    event.preventDefault();
  });
  const point = (node) => {
    for (const group of panels.flatMap((panel) => panel.graph.nodes)) {
      group.classList.toggle("lit", group.dataset.node === node);
    }
  };
  root.addEventListener("pointerover", (event) => point(event.target.closest?.("[data-node]")?.dataset.node));
  root.addEventListener("pointerleave", () => point());

  function build() {
    panels = data.models.map((_, at) => {
      const letter = "ABC"[at], graph = graphOf(data, `Model ${letter}`);
      const heading = make("h4"), answer = make("p", { class: "meta" });
      const button = make("button", { type: "button", click: () => guess(at) }, `${letter} is Coconut`);
      const element = make("div", { class: "panel" }, heading, graph.picture, button, answer);
      return { letter, graph, heading, answer, button, element };
    });
    row.replaceChildren(...panels.map((panel) => panel.element));
  }

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    const wanted = JSON.stringify([data.names, data.facts, data.asked, data.source]);
    if (wanted !== built) build();
    built = wanted;
    const k = Math.min(model.get("thought"), last());
    say(title, questionOf(data));
    say(meta, data.source);
    set(slider, { max: last(), "aria-valuetext": `thought ${k} of ${last()}` });
    slider.value = k;
    say(place, `Thought ${k} of ${last()}`);
    next.hidden = model.get("guess") < 0;
    for (const [at, panel] of panels.entries()) drawPanel(panel, data.models[at], at, k);
    said.replaceChildren(caption(k));
  }

  function drawPanel({ letter, graph, heading, answer, button, element }, one, at, k) {
    const guessed = model.get("guess"), open = guessed >= 0, shares = one.thoughts[k - 1];
    say(heading, open ? `${letter}: ${one.name}` : `Model ${letter}`);
    const right = open && at === data.coconut;
    set(element, { class: names("panel", right && "coconut", at === guessed && "guessed") });
    button.hidden = open;
    const pair = one.answers.at(-1), best = pair[0] >= pair[1] ? 0 : 1;
    const says = pair[0] + pair[1] < 0.5 ? "something else"
      : `${name(data.options[best])} with ${digits(pair[best])}`;
    say(answer, open ? `${one.in_words}. After ${count(last(), "thought")} it says ${says}.` : "");
    let mass = 0;
    for (const [node, group] of graph.nodes.entries()) {
      const frontier = data.distances[node] === k;
      if (frontier) mass += shares[node];
      const classes = [frontier && "frontier"];
      fillNode(data, group, { share: shares[node], role: roleOf(data, node), classes });
    }
    set(graph.picture, { "aria-label": `Model ${letter}, thought ${k}: ${digits(mass)} on the frontier` });
  }

  function caption(k) {
    const guessed = model.get("guess"), [right, asked] = model.get("tally");
    const score = asked ? ` ${right} of ${count(asked, "guess")} right.` : "";
    if (guessed < 0) return "Step the thoughts, then say which model was trained to think." +
      `${score} Orange: the nodes ${count(k, "hop")} from ${name(data.asked)}.`;
    const verdict = guessed === data.coconut ? "Right." : `No, it was ${"ABC"[data.coconut]}.`;
    return `${verdict}${score} Two options and a coin: a model that guesses is right half of the time.`;
  }

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
