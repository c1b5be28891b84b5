import { digits, dropDown, follow, frame, isolated, make, names, numberField, roving, say, set, setting, shortened, tip }
  from "../browser/shared.js";
import { fillNode, graphOf, questionOf, roleOf } from "../browser/graph.js";

// The editor of thoughts. Its traits and its data: widget.py and data.py. Every edit asks the model;
// until it answers the newest wish waits, so that a bar can be dragged.

const PATIENCE = 3000; // ms without an answer, after which there is no kernel
const TRAITS = ["data", "answered", "game", "tries", "message"];
const RULE = "Flip the answer by changing one thought, in the fewest bits. Bits: the KL divergence of what the head reads in the thought as it is fed back from what it read as it came out. What an edit does where the head does not look is free.";
const KEYS = "Ring: where a search would be. Mark: the unedited thought. ↑ ↓ another name, ← → move the bar, Home erases, End inserts, Backspace or a double click takes the move back.";
const ALONE = "No kernel answers, so this edit was not made: what you see is the state that was kept. Run the cell again, or open the course with make lab.";
const OWN = "Tom is a cat. Every cat is a hunter. Eva is a fish. Every fish is a diver. Is Tom a hunter or diver?";

function render({ model, el }) {
  const root = frame(el, "editor", "Thought editor"), change = setting(model);
  let data = model.get("data"), built = "", view = null, stops = null, look = 1, seen = model.get("answered");
  let wanted = {}, sent = {}, waiting = null; // what will be asked, what was asked, since when
  const name = (node) => isolated(data.names[node]);
  const settled = () => ({ index: data.index, text: model.get("text"), ...data.settings });
  const now = () => ({ ...settled(), ...sent, ...wanted });
  const best = ({ answers: [first, second] }) => (second > first ? 1 : 0);
  const flipped = () => best(data.plain) !== best(data.edited);
  const far = (share, was) => Math.abs(share - was) >= 0.005; // two digits show it

  // --- what a hand can do -------------------------------------------------------------------------

  function send() {
    const old = settled(); // what is no change would get no answer
    sent = Object.fromEntries(Object.entries(wanted).filter(([trait, value]) => JSON.stringify(value) !== JSON.stringify(old[trait])));
    wanted = {};
    if (!Object.keys(sent).length) return;
    waiting = setTimeout(() => { // the controls go back to what is shown
      [sent, wanted, waiting, alone.hidden] = [{}, {}, null, false];
      draw();
    }, PATIENCE);
    change(sent);
  }

  function ask(values) {
    Object.assign(wanted, values);
    if (waiting === null) send();
    draw();
  }

  function answered() {
    if (model.get("answered") === seen) return;
    seen = model.get("answered");
    clearTimeout(waiting);
    [sent, waiting, alone.hidden] = [{}, null, true];
    send();
  }

  const put = (trait, k, value) => ask({ [trait]: now()[trait].map((old, at) => (at === k - 1 ? value : old)) });
  const move = (k, node, share) => put("words", k, { ...now().words[k - 1], [data.names[node]]: share });
  const unmove = (k, node) => put("words", k, Object.fromEntries(Object.entries(now().words[k - 1]).filter(([word]) => word !== data.names[node])));
  const undo = () => ask({ whose: now().whose.map(() => "own"), words: now().whose.map(() => ({})), doses: now().whose.map(() => 0), rewired: 0 });

  function handIn() {
    const { bits, changed, answers: pair } = data.edited, n = best(data.edited);
    if (data.settings.rewired) return say(told, "Rewired facts are another question: take them back first.");
    if (changed.length !== 1) return say(told, changed.length ? "That changes more than one thought." : "Nothing is changed yet.");
    say(told, `${flipped() ? "Flipped" : "Not flipped"}, ${bits.toFixed(1)} bits.`);
    change({ tries: [...model.get("tries"), { edit: data.edit, bits, flipped: flipped(), answer: `${data.names[data.options[n]]} ${digits(pair[n])}` }] });
  }

  // --- parts that stay ------------------------------------------------------------------------------

  const [title, seenHead, table, picture, tries] = ["h3", "h4", "table", "div", "ol"].map((kind) => make(kind));
  const [meta, note] = [0, 0].map(() => make("p", { class: "meta" })), over = make("p", { class: "over" }), answers = make("div", { class: "answers" });
  const [said, told] = ["said", "meta"].map((kind) => make("p", { class: kind, role: "status" }));
  const alert = make("p", { class: "alert", role: "alert" }), alone = make("p", { class: "alert", role: "status", hidden: "" }, ALONE);
  const button = (text, click) => make("button", { type: "button", click }, text);
  const [indexField, index] = numberField(model, "Problem", "index", (value) => ask({ ...value, text: "" }));
  const text = make("textarea", { rows: 3, spellcheck: "false", "aria-label": "My own problem" }, OWN);
  const own = make("details", {}, make("summary", {}, "my own"), text, button("Ask this", () => ask({ text: text.value })));
  const lists = { rewired: "Rewire", since: "from the pass that reads", direction: "Vector" };
  for (const [trait, label] of Object.entries(lists)) lists[trait] = dropDown(label, (value) => ask({ [trait]: value }));
  const back = button("Undo all edits", undo), playing = button("", () => change({ game: !model.get("game") }));
  const board = make("div", { class: "board" }, make("p", {}, RULE), make("div", { class: "flow" }, button("Hand in this edit", handIn), told), tries);
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow tools" }, indexField, own, ...Object.values(lists).map((one) => one.element), back),
    alert, alone,
    make("div", { class: "views" },
      make("div", {}, make("h4", {}, "Each thought in words, as it is fed back: drag a bar, or choose whose thought it is"), make("div", { class: "wide" }, table), make("p", { class: "meta" }, KEYS)),
      make("div", {}, seenHead, picture, make("h4", {}, "The answer"), answers, said, over)),
    make("div", { class: "game" }, playing, board), note,
  );
  root.addEventListener("keydown", (event) => {
    const bar = event.target.closest("td.bar");
    if (!bar || !["Backspace", "Delete"].includes(event.key)) return;
    unmove(Number(bar.dataset.thought), Number(bar.dataset.node));
  });
  for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, (event) => {
    const { thought, node } = event.target.closest?.("[data-thought], [data-node]")?.dataset ?? {};
    for (const one of root.querySelectorAll("[data-node]")) one.classList.toggle("lit", one.dataset.node === node);
    if (!thought || Number(thought) === look) return;
    look = Number(thought);
    drawGraph();
  });

  // --- parts of one problem -------------------------------------------------------------------------

  function build() {
    const numbers = data.settings.whose.map((_, at) => at + 1), hops = (node) => data.distances[node] ?? Infinity;
    const order = data.names.map((_, node) => node).sort((a, b) => hops(a) - hops(b) || a - b);
    const first = (at) => !at || hops(order[at - 1]) !== hops(order[at]);
    const ends = (label, cells) => make("tr", {}, make("td"), make("th", { scope: "row" }, label), ...cells);
    view = { bars: [], graph: data.layout && graphOf(data, "Graph of the facts") };
    view.lists = numbers.map((k) => dropDown(`Thought ${k}`, (value) => put("whose", k, value)));
    view.others = numbers.map(() => make("td", { class: "meta" }));
    view.doses = numbers.map((k) => make("input", { type: "range", min: -5, max: 5, step: 0.1, "aria-label": `dose for thought ${k}`, input: (event) => put("doses", k, Number(event.target.value)) }));
    const bar = (k, node) => {
      const input = make("input", { type: "range", min: 0, max: 1, step: 0.05, input: () => move(k, node, Number(input.value)) });
      const cell = make("td", { "data-thought": k, "data-node": node, dblclick: () => unmove(k, node) }, make("span"), input);
      view.bars.push({ k, node, cell, input });
      return cell;
    };
    table.replaceChildren(
      make("thead", {}, make("tr", {}, ...["hops", "name"].map((head) => make("th", { scope: "col" }, head)), ...view.lists.map((list, at) => make("th", { scope: "col", "data-thought": at + 1 }, list.element)))),
      make("tbody", {}, ...order.map((node, at) => make("tr", { "data-node": node },
        make("td", { class: "meta" }, first(at) ? String(data.distances[node] ?? "none") : ""),
        make("th", { scope: "row" }, make("bdi", {}, data.names[node]), ` ${roleOf(data, node).slice(0, 1)}`), ...numbers.map((k) => bar(k, node))))),
      make("tfoot", {}, ends("other words", view.others), data.directions.length ? ends("dose", view.doses.map((input) => make("td", { class: "dose" }, input, make("output")))) : null));
    stops ??= numbers.map((k) => roving(table, () => view.bars.filter((one) => one.k === k).map((one) => one.input)));
    picture.replaceChildren(view.graph?.picture ?? make("p", { class: "meta" }, "Too many names to draw."));
    view.fresh = view.graph?.picture.insertBefore(make("g"), view.graph.nodes[0]);
    view.answers = data.options.map(() => make("div", {}, make("span")));
    answers.replaceChildren(...data.options.flatMap((node, n) => [make("b", {}, `${roleOf(data, node).slice(0, 1)} ${name(node)}`), view.answers[n]]));
  }

  // --- what is seen now -----------------------------------------------------------------------------

  function drawGraph() {
    say(seenHead, `Thought ${look} as it is fed back, on the graph of the facts`);
    if (!view.graph) return;
    const { fed } = data.edited.thoughts[look - 1], changes = data.rewirings[data.settings.rewired] ?? [], places = data.layout.nodes;
    for (const [node, group] of view.graph.nodes.entries()) fillNode(data, group, { share: fed[node], role: roleOf(data, node), classes: [data.distances[node] === look && "frontier"] });
    for (const [n, edge] of view.graph.edges.entries()) edge.classList.toggle("gone", changes.some(([fact]) => fact === n));
    view.fresh.replaceChildren(...changes.map(([fact, child]) => {
      const from = places[data.facts[fact][0]], to = [places[child][0] - 40, places[child][1]];
      return make("g", { class: "edge lit" }, make("path", { d: `M${from} L${to}` }), tip(to));
    }));
  }

  /** Draw a bar: what is, and a mark at what was. */
  function fill(cell, share, was, ...classes) {
    set(cell, { "--p": share, "--was": was, class: names("bar", far(share, was) && "different", ...classes) });
    say(cell.firstChild, digits(share));
  }

  function drawBars() {
    const { whose, words, doses } = now();
    for (const { k, node, cell, input } of view.bars) {
      const share = data.edited.thoughts[k - 1].fed[node], was = data.plain.thoughts[k - 1].made[node];
      const hand = new Map(Object.entries(words[k - 1])).get(data.names[node]); // a name may be anything
      fill(cell, share, was, data.distances[node] === k && "frontier", hand !== undefined && "moved");
      input.value = hand ?? share;
      set(input, { "aria-label": `${data.names[node]} in thought ${k}`, "aria-valuetext": digits(share) + (far(share, was) ? `, unedited ${digits(was)}` : "") + (hand === undefined ? "" : `, moved to ${digits(hand)}`) });
    }
    for (const [at, list] of view.lists.entries()) {
      list.update(data.donors, whose[at]);
      list.element.classList.toggle("changed", data.edited.changed.includes(at + 1));
      say(view.others[at], data.edited.thoughts[at].others.map(([word, share]) => `${isolated(shortened(word, 9))} ${digits(share)}`).join(", ") || "none");
      view.doses[at].value = doses[at];
      if (view.doses[at].nextSibling) say(view.doses[at].nextSibling, doses[at].toFixed(1));
    }
    for (const stop of stops) stop.refresh();
  }

  function drawAnswers() {
    for (const [n, bar] of view.answers.entries()) fill(bar, data.edited.answers[n], data.plain.answers[n]);
    const says = (run) => (run.answers[0] + run.answers[1] < 0.5 ? "something that is not on offer" : `${name(data.options[best(run)])} with ${digits(run.answers[best(run)])}`);
    const bits = data.edited.changed.length ? ` ${data.edited.bits.toFixed(1)} bits.` : "";
    say(said, data.edit ? `${flipped() ? "Flipped. " : ""}With ${isolated(data.edit)}, it says ${says(data.edited)}; unedited ${says(data.plain)}.${bits}` : `Unedited, it says ${says(data.plain)}.`);
    root.classList.toggle("flipped", flipped());
    const row = data.row, percent = (share) => (100 * share).toFixed(1);
    over.hidden = !row;
    if (row) say(over, `The same edit (${row.name}) over ${row.problems ? `${row.problems.toLocaleString("en")} problems` : "the problems of the table"}: ${percent(row.right)}% right (${percent(row.low)} to ${percent(row.high)}), ${percent(row.distractor)}% say the other option${row.before === null ? "" : `; unedited ${percent(row.before)}% right`}.`);
  }

  function drawGame() {
    const on = model.get("game"), all = model.get("tries"), fewest = Math.min(...all.filter((one) => one.flipped).map((one) => one.bits));
    say(playing, on ? "Close the game" : "Game: flip the answer with one edit");
    set(playing, { "aria-expanded": String(on) });
    board.hidden = !on;
    tries.replaceChildren(...all.map(({ edit, bits, flipped, answer }) => make("li", { class: flipped && bits === fewest ? "best" : null },
      `${flipped ? "✓ flipped" : "✕ not flipped"}, ${bits.toFixed(1)} bits: ${edit} → ${answer}${flipped && bits === fewest ? ", the fewest so far" : ""}`)));
  }

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    answered();
    const shape = JSON.stringify([data.names, data.facts, data.asked, data.source]);
    if (shape !== built) build();
    built = shape;
    const wish = now(), hops = Object.keys(data.rewirings), message = model.get("message");
    say(title, questionOf(data));
    say(meta, `${data.source} · ${data.model}`);
    set(index, { max: model.get("count") - 1 });
    index.value = wish.index;
    lists.rewired.update([[0, "no facts"], ...hops.map((hop) => [Number(hop), `facts of hop ${hop}`])], wish.rewired);
    lists.since.update([[0, "the question"], ...wish.whose.map((_, at) => [at + 1, `thought ${at + 1}`]), [wish.whose.length + 1, "the answer mark"]], wish.since);
    lists.direction.update(data.directions, wish.direction);
    [lists.rewired.element.hidden, lists.since.element.hidden, lists.direction.element.hidden] = [!hops.length, !wish.rewired, !data.directions.length];
    back.disabled = !data.edit && waiting === null;
    say(alert, message && `This cannot be shown: ${isolated(message)}. The picture stays as it was.`);
    alert.hidden = !message;
    say(note, data.note);
    for (const part of [drawBars, drawGraph, drawAnswers, drawGame]) part();
  }

  const end = follow(model, TRAITS, draw);
  draw();
  return () => { end(); clearTimeout(waiting); };
}

export default { render };
