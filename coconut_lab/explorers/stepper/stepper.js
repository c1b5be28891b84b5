import { count, digits, dropDown, follow, frame, isolated, make, names, numberField, roving, say, set,
  setting, shortened } from "../browser/shared.js";
import { fillNode, graphOf, placeOf, questionOf, roleOf } from "../browser/graph.js";

// The thought stepper. Its traits and its data: widget.py and data.py. Stepping and pointing is drawn
// here; what needs the model changes a trait, and new data comes back.

const HELD = 0.05; // a name with less is hardly there
const CHANGED = 0.005; // a difference that two digits show
const PATIENCE = 4000; // ms without an answer, after which a reader wants to know why
const SOURCES = { list: "from the list", new: "a new one", own: "my own" };
const THROUGHS = { head: "the language-model head", "<eot>": "<eot>, then the next concept" };
const HELP = "Sentences, as above, or symbols: | Tom cat | cat hunter | Eva fish [Q] hunter fish [R] Tom. " +
  "Use any names. One option must be in reach, the other not.";
const SLOW = "The kernel has not answered. It is busy, or gone: then run the cell again. " +
  "Stepping and pointing work without it.";
const TRAITS = ["data", "original", "thought", "budget", "source", "index", "seed", "text", "models",
  "model_name", "throughs", "through", "controls", "control_name", "message"];

function render({ model, el }) {
  const root = frame(el, "stepper", "Thought stepper"), change = setting(model);
  let data = model.get("data"), original = data, view = null, built = "", timer = null, waiting = null;
  let pinned = null;
  const name = (node) => isolated(data.names[node]);
  const last = () => data.reading.answers.length - 1;
  const thought = () => Math.min(model.get("thought"), last());
  const budget = () => Math.min(model.get("budget"), last());
  const reading = (from, number = thought()) => from?.thoughts.find((one) => one.number === number);
  const edited = () => data.removed.length > 0 || data.asked !== original.asked;
  const was = () => (edited() ? original.reading : null);
  const sentence = ([parent, child]) =>
    `${data.roots.includes(parent) ? name(parent) : `Every ${name(parent)}`} is a ${name(child)}`;

  // --- what a hand can do -------------------------------------------------------------------------

  /** Change what the model has to answer; if nothing comes back, say so. */
  function ask(values) {
    change(values);
    clearTimeout(waiting);
    waiting = setTimeout(() => { slow.hidden = false; }, PATIENCE);
  }

  const answered = () => { clearTimeout(waiting); slow.hidden = true; };
  const step = (to) => change({ thought: Math.max(0, Math.min(last(), to)) });
  const restore = () => edited() && ask({ removed: [], asked: original.names[original.asked] });

  function toggle(fact) {
    const away = new Set(data.removed);
    if (!away.delete(fact)) away.add(fact);
    ask({ removed: [...away].sort((a, b) => a - b) });
  }

  function act(node) {
    if (data.roots.includes(node) && node !== data.asked) ask({ asked: data.names[node] });
    else pin(node);
  }

  function pin(node) {
    pinned = pinned === node ? null : node;
    point(node);
  }

  function play() {
    const stop = () => { clearInterval(timer); timer = null; say(playing, "▶ Play"); };
    if (timer !== null) return stop();
    step(thought() === last() ? 0 : thought() + 1);
    timer = setInterval(() => {
      if (thought() < last()) step(thought() + 1);
      if (thought() === last()) stop();
    }, 1100);
    say(playing, "❚❚ Stop");
  }

  /** Light a node or a fact wherever it appears; without either, what is pinned. */
  function point(node = null, fact = null) {
    if (node === null && fact === null) node = pinned;
    const mentions = () => data.facts.flatMap((ends, n) => (ends.includes(node) ? [n] : []));
    const [facts, nodes] = fact !== null ? [[fact], data.facts[fact]] : [mentions(), [node]];
    root.classList.toggle("pointing", node !== null || fact !== null);
    for (const one of view.linked) {
      const { node: at, fact: number } = one.dataset;
      one.classList.toggle("lit", at ? nodes.includes(Number(at)) : facts.includes(Number(number)));
    }
    const away = data.removed.includes(fact) ? " (taken away)" : "";
    say(detail, fact !== null ? `${sentence(data.facts[fact])}${away}.`
      : node !== null ? history(node) : "Point at a name or a fact to see where it appears.");
  }

  function history(node) {
    const facts = data.facts.filter((ends) => ends.includes(node)).length;
    const held = data.reading.thoughts.filter((one) => one.number <= thought())
      .map((one) => `thought ${one.number}: ${digits(one.nodes[node])}`);
    const where = `${name(node)}, ${placeOf(data, node)}, in ${count(facts, "fact")}`;
    return `${where}. ${held.join(", ") || "No thought yet"}.`;
  }

  // --- parts that stay ------------------------------------------------------------------------------

  const button = (text, click, attributes) => make("button", { type: "button", click, ...attributes }, text);
  const heading = (content) => make("h4", {}, content);
  const title = make("h3"), meta = make("p", { class: "meta" });
  const source = { class: "segments", role: "radiogroup", "aria-label": "Where the problem comes from" };
  const sources = make("div", source);
  const group = `source-${Math.random().toString(36).slice(2)}`;
  const radios = Object.entries(SOURCES).map(([value, text]) => {
    const radio = make("input", { type: "radio", name: group, value, change: () => ask({ source: value }) });
    sources.append(make("label", {}, radio, make("span", {}, text)));
    return radio;
  });
  const [indexField, index] = numberField(model, "number", "index", ask);
  const [seedField, seed] = numberField(model, "seed", "seed", ask);
  const [thoughtsField, thoughts] = numberField(model, "thoughts", "thoughts", ask);
  set(seed, { max: 2 ** 31 - 1 });
  set(thoughts, { min: 1 });
  const another = button("Another", () => ask({ seed: model.get("seed") + 1 }));
  const newRow = make("div", { class: "flow" }, seedField, another);
  const askOwn = () => ask({ source: "own", text: text.value });
  const writing = { rows: 5, spellcheck: "false", "aria-label": "My own problem", change: askOwn };
  const text = make("textarea", writing);
  const ownRow = make("div", { class: "own" }, text,
    make("div", { class: "flow" }, button("Ask this", askOwn), make("p", { class: "meta" }, HELP)));
  const modelList = dropDown("Model", (value) => ask({ model_name: value }));
  const throughList = dropDown("Read through", (value) => ask({ through: value }));
  const controlList = dropDown("Control", (value) => ask({ control_name: value }));
  const alert = make("p", { class: "alert", role: "alert" });
  const slow = make("p", { class: "alert", role: "status", hidden: "" }, SLOW);
  const back = button("Back to the original", () => {
    restore();
    root.querySelector(".facts [tabindex='0']")?.focus();
  }, { class: "back" });
  back.append(make("kbd", {}, "Esc"));
  const changed = make("p", { class: "changes" });
  const facts = make("div", { class: "facts", role: "group", "aria-label": "Facts" });
  const playing = button("▶ Play", play, { class: "play" });
  const slide = () => step(Number(slider.value));
  const slider = make("input", { type: "range", min: 0, "aria-label": "Thought", input: slide });
  const place = make("output", { class: "place" });
  const picture = make("div", { class: "picture" }), words = make("table", { class: "words" });
  const said = make("p", { class: "said", role: "status" }), detail = make("p", { class: "detail" });
  const answers = make("table", { class: "answers" }), note = make("p", { class: "meta" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow tools" }, sources, indexField, newRow),
    ownRow,
    make("div", { class: "flow tools" },
      modelList.element, throughList.element, controlList.element, thoughtsField),
    alert, slow,
    make("div", { class: "flow told" },
      heading("Facts: click one to take it away, again to put it back"), changed, back),
    facts,
    make("div", { class: "flow stepping" },
      playing, slider, place, make("span", { class: "meta" }, "← → Home End")),
    make("div", { class: "views" },
      make("div", {}, heading("Where the thought is in the graph: click another root to ask about it"),
        picture, legend(), said),
      make("div", {}, heading("What each thought decodes to, nearest names first"), words, detail)),
    make("div", { class: "forced" },
      heading("If it had to answer early: probability of each option"), answers),
    note,
  );

  root.addEventListener("keydown", (event) => {
    const at = event.target;
    if (at.matches("textarea, select, input:not([type=range])")) return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const go = { ArrowLeft: thought() - 1, ArrowRight: thought() + 1, Home: 0, End: last() }[event.key];
    if (go !== undefined) step(go);
    else if (event.key === "Escape") restore();
    else if (["Enter", " "].includes(event.key) && at.matches("g.node")) act(Number(at.dataset.node));
    else return;
    event.preventDefault();
  });
  const aim = (event) => {
    const found = event.target.closest?.("[data-node], [data-fact]");
    if (!found || !view) return point();
    if (found.dataset.node) point(Number(found.dataset.node));
    else point(null, Number(found.dataset.fact));
  };
  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, aim);
  for (const event of ["pointerleave", "focusout"]) root.addEventListener(event, () => view && point());
  const stops = [
    roving(facts, () => [...facts.children]),
    roving(picture, () => [...picture.querySelectorAll("g.node")]),
    roving(words, () => [...words.querySelectorAll("tbody button")]),
  ];

  // --- parts of one problem -------------------------------------------------------------------------

  /** Make the elements of a problem anew: its facts, its graph, its tables. */
  function build() {
    pinned = null;
    const numbers = data.reading.thoughts.map((one) => one.number);
    view = { numbers, nodes: [], edges: [], linked: [] };
    root.classList.toggle("large", data.names.length > 14 || numbers.length > 4);
    view.facts = data.facts.map(([parent, child], n) => {
      const chip = button("", () => toggle(n), { "data-fact": n });
      chip.append(make("bdi", {}, data.names[parent]), make("i", { "aria-hidden": "true" }, "→"),
        make("bdi", {}, data.names[child]));
      return chip;
    });
    facts.replaceChildren(...view.facts);
    if (data.layout) {
      const graph = graphOf(data, "Graph of the facts", act, toggle);
      [view.nodes, view.edges] = [graph.nodes, graph.edges];
      picture.replaceChildren(graph.picture);
    } else picture.replaceChildren(`The graph has ${data.names.length} names, too many to draw. `,
      "Facts, words and answers are all here.");
    const column = (content, attributes = {}) => make("th", { scope: "col", ...attributes }, content);
    view.heads = numbers.map((k) => column(button(`Thought ${k}`, () => step(k))));
    view.rows = data.names.map(row);
    view.others = numbers.map(() => make("td"));
    words.replaceChildren(
      make("thead", {}, make("tr", {}, column("hops", { class: "hops" }), column("name"), ...view.heads)),
      make("tbody", {}, ...view.rows),
      make("tfoot", {}, make("tr", {},
        make("td"), make("th", { scope: "row" }, "other words"), ...view.others)),
    );
    view.options = data.options.map((node, n) => column("", { "data-node": node, class: `option${n}` }));
    view.scored = make("td");
    view.answers = data.reading.answers.map((_, k) => make("tr", { click: () => change({ budget: k }) },
      make("th", { scope: "row" }, button(count(k, "thought"))), make("td"), make("td"),
      make("td", { class: "shares" }, make("div", {}, make("i"), make("i"), make("b"))), make("td")));
    answers.replaceChildren(
      make("thead", {}, make("tr", {},
        column("after"), ...view.options, make("td", { class: "shares" }), view.scored)),
      make("tbody", {}, ...view.answers),
    );
    view.linked = [...view.facts, ...view.nodes, ...view.edges, ...view.rows, ...view.options];
  }

  function row(text, node) {
    const label = button("", () => pin(node));
    label.append(make("bdi", {}, text));
    const cell = (k) => make("td", { class: "cell", click: () => step(k) }, make("span"), make("small"));
    return make("tr", { "data-node": node },
      make("td", { class: "hops" }), make("th", { scope: "row" }, label), ...view.numbers.map(cell));
  }

  // --- what is seen now -----------------------------------------------------------------------------

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    original = model.get("original");
    const wanted = JSON.stringify([data.names, data.facts, data.reading.through, last()]);
    if (wanted !== built) build();
    built = wanted;
    say(title, questionOf(data));
    const hops = data.target === null ? "no single answer"
      : `${count(data.distances[data.target], "hop")} to the answer`;
    const left = count(data.facts.length - data.removed.length, "fact");
    say(meta, `${data.source} · ${data.names.length} names, ${left}, ${hops}`);
    drawTools();
    drawChange();
    const k = thought();
    set(slider, { max: last(), "aria-valuetext": `thought ${k} of ${last()}` });
    slider.value = k;
    say(place, `Thought ${k} of ${last()}${k > data.card.trained ? " (more than it was trained with)" : ""}`);
    drawNodes();
    drawWords();
    drawAnswers();
    say(said, caption());
    const control = data.control && `Grey, below each bar: ${data.control.in_words}.`;
    say(note, [data.note, control].filter(Boolean).join(" "));
    for (const stop of stops) stop.refresh();
    point();
    set(root, { "data-thought": k, "data-budget": budget() });
  }

  function drawTools() {
    const source = model.get("source"), shown = { list: indexField, new: newRow, own: ownRow };
    for (const radio of radios) radio.checked = radio.value === source;
    for (const [key, element] of Object.entries(shown)) element.hidden = key !== source;
    set(index, { max: (model.get("count") ?? 1) - 1 });
    set(thoughts, { max: data.card.trained + 3 });
    for (const [input, trait] of [[index, "index"], [seed, "seed"], [thoughts, "thoughts"]]) {
      input.value = model.get(trait);
    }
    if (root.ownerDocument.activeElement !== text) text.value = model.get("text");
    modelList.update(model.get("models"), model.get("model_name"));
    const inWords = (way) => [way, THROUGHS[way] ?? `layer ${way}, then the head`];
    throughList.update(model.get("throughs").map(inWords), model.get("through"));
    controlList.update(model.get("controls"), model.get("control_name"));
    const message = model.get("message");
    say(alert, message && `This cannot be shown: ${isolated(message)}. The picture stays as it was.`);
    alert.hidden = !message;
  }

  function drawChange() {
    const parts = data.removed.map((n) => `without “${sentence(data.facts[n])}”`);
    if (data.asked !== original.asked) {
      parts.push(`asked about ${name(data.asked)} instead of ${name(original.asked)}`);
    }
    say(changed, parts.length ? `Changed: ${parts.join(", ")}.` : "");
    back.hidden = !edited();
    for (const [n, chip] of view.facts.entries()) {
      const away = data.removed.includes(n), label = sentence(data.facts[n]) + (away ? ", taken away" : "");
      set(chip, { "aria-pressed": String(!away), "aria-label": label,
        title: away ? "Put this fact back" : "Take this fact away" });
    }
  }

  function drawNodes() {
    const now = reading(data.reading), before = reading(was()), beside = reading(data.control?.reading);
    const hop = now ? now.hop : 0;
    for (const [n, edge] of view.edges.entries()) {
      const [from, to] = data.facts[n].map((node) => data.distances[node]);
      const removed = data.removed.includes(n);
      const used = !removed && from !== null && to === from + 1 && to <= hop;
      const newest = used && to === hop;
      set(edge, { class: names("edge", removed && "removed", used && "used", newest && "newest") });
    }
    for (const [node, group] of view.nodes.entries()) {
      const share = now?.nodes[node], frontier = data.distances[node] === hop;
      const role = roleOf(data, node) || (data.roots.includes(node) ? "ask?" : ""), offer = role === "ask?";
      const by = now ? difference(share, before?.nodes[node]) : "";
      fillNode(data, group, { share, said: now ? digits(share) + by : "", role, beside: beside?.nodes[node],
        classes: [frontier && "frontier", offer && "offer", by && "changed"] });
      const words = [name(node), offer ? "ask about it" : role.slice(2), now && digits(share)];
      set(group, { "aria-label": [...words, frontier && "on the frontier"].filter(Boolean).join(", ") });
    }
  }

  function drawWords() {
    const far = (node) => data.distances[node] ?? Infinity;
    const order = data.names.map((_, node) => node).sort((a, b) => far(a) - far(b) || a - b);
    const body = words.tBodies[0], focused = root.ownerDocument.activeElement;
    const rows = order.map((node) => view.rows[node]);
    if (rows.some((one, place) => body.children[place] !== one)) {
      body.replaceChildren(...rows);
      if (body.contains(focused)) focused.focus();
    }
    for (const [column, head] of view.heads.entries()) {
      const number = view.numbers[column], now = number === thought();
      const later = number > thought(), untrained = number > data.card.trained;
      set(head, { "aria-current": now ? "step" : null,
        class: names(now && "now", later && "later", untrained && "untrained") });
    }
    for (const [place, node] of order.entries()) {
      const hops = data.distances[node], start = !place || far(order[place - 1]) !== far(node);
      const [label, , ...cells] = view.rows[node].children;
      view.rows[node].classList.toggle("start", start);
      say(label, start ? (hops === null ? "none" : hops ? String(hops) : "asked") : "");
      set(view.rows[node].querySelector("button"), { "aria-label": history(node) });
      for (const [column, cell] of cells.entries()) drawCell(cell, node, view.numbers[column]);
    }
    for (const [column, cell] of view.others.entries()) {
      const number = view.numbers[column], later = number > thought();
      const found = reading(data.reading, number).words
        .map(([word, share]) => `${isolated(shortened(word, 12))} ${digits(share)}`);
      set(cell, { class: later ? "later" : null });
      say(cell, later ? "·" : found.join(", ") || "none");
    }
  }

  /** Draw what a thought gives to a name. */
  function drawCell(cell, node, number) {
    const one = reading(data.reading, number), share = one.nodes[node], later = number > thought();
    const before = reading(was(), number)?.nodes[node];
    const beside = reading(data.control?.reading, number)?.nodes[node];
    const frontier = !later && data.distances[node] === one.hop, empty = share < CHANGED;
    set(cell, { "--p": later || empty ? 0 : share, "--c": later ? 0 : beside ?? 0,
      "--was": later || !difference(share, before) ? -1 : before,
      class: names("cell", later && "later", frontier && "frontier", number === thought() && "now",
        empty && "empty", beside !== undefined && "beside") });
    say(cell.firstChild, later ? "·" : digits(share) + difference(share, before));
    say(cell.lastChild, later || beside === undefined ? "" : digits(beside));
  }

  function drawAnswers() {
    for (const [n, head] of view.options.entries()) {
      say(head, `${roleOf(data, data.options[n])[0]} ${name(data.options[n])}`);
    }
    const total = data.card.accuracy[0]?.total, percent = (share) => (100 * share).toFixed(1);
    say(view.scored, total ? `right on ${total.toLocaleString("en")} problems` : "");
    for (const [k, line] of view.answers.entries()) {
      const [, ...cells] = line.children, pair = data.reading.answers[k];
      const before = was()?.answers[k], beside = data.control?.reading.answers[k];
      set(line, { class: k === budget() ? "now" : null, "aria-current": k === budget() ? "true" : null });
      for (const n of [0, 1]) {
        const grey = beside ? ` (${digits(beside[n])})` : "";
        say(cells[n], digits(pair[n]) + difference(pair[n], before?.[n]) + grey);
      }
      set(cells[2].firstChild, { "--a": pair[0], "--b": pair[1],
        "--was": difference(pair[0], before?.[0]) ? before[0] : -1 });
      const score = data.card.accuracy.find((one) => one.thoughts === k);
      say(cells[3], score ? `${percent(score.accuracy)}% (${percent(score.low)} to ${percent(score.high)})`
        : k > data.card.trained ? "not trained with that many" : "not on this model’s card");
    }
  }

  /** Say in sentences what the picture shows. */
  function caption() {
    const now = reading(data.reading), asked = name(data.asked);
    let text = `No thought yet: the model has read the facts and the question. The ring is on ${asked}.`;
    if (now) {
      const frontier = now.nodes.filter((_, node) => data.distances[node] === now.hop);
      const mass = frontier.reduce((sum, share) => sum + share, 0);
      const chance = frontier.length / data.names.length;
      const held = frontier.filter((share) => share >= HELD).length;
      text = frontier.length ? `Thought ${now.number} puts ${digits(mass)} of its probability on the ` +
        `${now.hop}-hop frontier (chance: ${digits(chance)})`
        : `No name is ${count(now.hop, "hop")} from ${asked}, so there is no ring`;
      const get = held === 1 ? "gets" : "get";
      text += frontier.length > 1 ? `; ${held} of its ${frontier.length} names ${get} ${HELD} or more.` : ".";
    }
    const pair = data.reading.answers[budget()], n = pair[0] >= pair[1] ? 0 : 1;
    const other = pair[0] + pair[1] < 0.5, right = data.options[n] === data.target;
    const both = data.options.every((node) => data.distances[node] !== null);
    const truth = data.target === null
      ? `The facts lead from ${asked} to ${both ? "both options" : "neither option"}, so no answer is right`
      : other ? `Right is ${name(data.target)}` : right ? "That is right" : "That is wrong";
    const before = was() && data.asked === original.asked
      ? `, before the change ${digits(original.reading.answers[budget()][n])}` : "";
    const choice = other ? "it would mostly say something that is not on offer"
      : `it says ${name(data.options[n])} with ${digits(pair[n])}${before}`;
    return `${text} Made to answer after ${count(budget(), "thought")}, ${choice}. ${truth}.`;
  }

  const end = follow(model, TRAITS, draw);
  const settle = follow(model, ["data", "message", "answered"], answered);
  draw();
  return () => { end(); settle(); clearInterval(timer); clearTimeout(waiting); };
}

/** The change against the original, where two digits show one. */
const difference = (share, before) => before === undefined || Math.abs(share - before) < CHANGED ? ""
  : ` ${share > before ? "+" : "−"}${digits(Math.abs(share - before))}`;

const legend = () => make("p", { class: "legend meta" },
  make("span", {}, "0 ", make("i", { class: "shades" }), " 1 probability of the name"),
  make("span", {}, make("i", { class: "sign" }), " frontier: where a search would be"));

export default { render };
