import { count, dropDown, follow, frame, make, roving, say, set, setting } from "../browser/shared.js";
import { arrows, figures, parsed, slider } from "../browser/controls.js";

// The halt explorer. Its traits and its data: widget.py and data.py. All is drawn here, without the
// kernel: `data` has every rule at every threshold.

const TRAITS = ["data", "rule", "threshold"];
const LEFT = 46, TOP = 30, BOTTOM = 342, HEIGHT = 390, WIDEST = 640; // of the curve, in pixels
const HINT = "Point at a problem, or reach it with Tab and ↑ ↓. A column of the table lights its problems.";
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const thousands = (number) => number.toLocaleString("en");
const listed = (items) => items.join(", ").replace(/, ([^,]*)$/, " and $1");
const disc = () => make("b", { class: "disc" }, "S");
const cell = (right, more = "") => make("i", { class: right ? `right ${more}` : more }, right ? "r" : "w");

function render({ model, el }) {
  const root = frame(el, "halt", "Halting rules"), change = setting(model);
  let data = {}, now = null, read = null, best = null, problems = [], x, y;

  const title = make("h3"), meta = make("p", { class: "meta" }), facts = make("div", { class: "figures" });
  const start = (name) => data.rules.find((one) => one.name === name).start;
  const rules = dropDown("Rule", (name) => change({ rule: name, threshold: start(name) }));
  const step = (to) => change({ threshold: to });
  const threshold = slider("Threshold", 0, step), strip = make("div"), shown = make("h4");
  const curve = make("svg", { class: "curve", role: "img" }), table = make("table");
  const detail = make("p", { class: "detail meta" }), said = make("p", { class: "said", role: "status" });
  const notes = make("p", { class: "meta" }), legend = (...all) => make("p", { class: "legend meta" }, ...all);
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow stepping" }, rules.element, threshold.element,
      make("span", { class: "meta" }, "← →")),
    facts,
    make("div", { class: "views" },
      make("div", {}, shown, strip,
        legend(cell(true), " right, ", cell(false), " wrong if <eot> comes after k thoughts · ", disc(),
          " the rule stops here · dashed: as many thoughts as the problem has steps"), detail),
      make("div", {}, make("h4", {}, "What it costs and what it gains; click or drag along the line"), curve,
        legend(disc(), " this setting · squares: that many thoughts for every problem · bars and the band: " +
          "95% Wilson intervals · dotted: the best fixed number · thin lines: the other rules · ◆ chosen on " +
          "other problems"),
        make("h4", {}, "Stopped too early, on time, too late"),
        make("div", { class: "scrolling", tabindex: 0, role: "group", "aria-label": "Stops" }, table), notes)),
    said,
  );
  const stops = roving(strip, () => problems.map((one) => one.element));
  arrows(root, () => now.place, () => now.rule.settings.length - 1, step);

  /** The problems, one row each; only the stops move afterwards. */
  function buildStrip() {
    const columns = Array.from({ length: data.most + 1 }, (_, k) => k);
    set(strip, { "--columns": columns.length, class: columns.length > 12 ? "strip dense" : "strip" });
    problems = data.sample.map((one) => {
      const came = make("span", { class: "came" });
      const cells = columns.map((k) => cell(one.right[k], k === one.hops ? "due" : ""));
      const row = make("span", { class: "cells" }, ...cells, make("span", { class: "track" }), disc());
      return { one, came, element: make("div", { class: "problem", role: "img", tabindex: -1 }, row, came) };
    });
    const heads = columns.map((k) => make("span", {}, k ? String(k) : "k=0"));
    const groups = data.hops.map((hops) => make("div", { class: "group" }, make("b", {}, count(hops, "step")),
      make("div", {}, ...problems.filter(({ one }) => one.hops === hops).map(({ element }) => element))));
    strip.replaceChildren(make("div", { class: "head" }, make("span", { class: "cells" }, ...heads)), ...groups);
    say(shown, `Where ${count(problems.length, "problem")} of ${thousands(data.total)} stop`);
    stops.refresh();
    const meanings = data.verdicts.map(([name, meaning], n) =>
      [n ? " · " : "", make("b", { "data-verdict": n }, name), `: ${meaning}`]);
    notes.replaceChildren(...meanings.flat());
  }

  /** Draw accuracy against mean thoughts: fixed numbers, the rule in its band, the others thin. */
  function drawCurve() {
    const width = Math.min(curve.parentElement.clientWidth, WIDEST) || WIDEST, right = width - 14;
    set(curve, { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
    // The tenth below every interval of every rule, so that the axis never moves.
    const lows = data.rules.flatMap((rule) => rule.settings.map((one) => one.accuracy[1]));
    const lowest = Math.min(9, Math.floor(10 * Math.min(...lows))) / 10, fixed = data.rules[0];
    x = (thoughts) => LEFT + ((right - LEFT) * thoughts) / Math.max(1, data.most);
    y = (share) => BOTTOM - ((BOTTOM - TOP) * (share - lowest)) / (1 - lowest);
    const parts = [], line = (name, d) => parts.push(make("path", { class: name, d }));
    const words = (left, up, text, anchor = "start", name = "") =>
      parts.push(make("text", { x: left, y: up, "text-anchor": anchor, class: name }, text));
    const place = (one, part = 0) => [x(one.thoughts), y(one.accuracy[part])];
    const along = (settings, part) => settings.map((one) => place(one, part).join(" ")).join("L");
    const interval = (name, one) => { // with its ends, so that no point hides it
      const [left, low] = place(one, 1), high = place(one, 2)[1];
      line(name, `M${left} ${low}V${high}M${left - 6} ${low}h12M${left - 6} ${high}h12`);
    };
    words(4, 15, "accuracy");
    words((LEFT + right) / 2, BOTTOM + 40, "mean thoughts per problem", "middle");
    for (let tenth = 10; tenth >= 10 * lowest; tenth -= lowest < 0.5 ? 2 : 1) {
      line("grid", `M${LEFT} ${y(tenth / 10)}H${right}`);
      words(LEFT - 8, y(tenth / 10) + 4.5, `${10 * tenth}%`, "end");
    }
    for (let k = 0; k <= data.most; k += Math.ceil((data.most + 1) / 12)) words(x(k), BOTTOM + 19, k, "middle");
    const { rule, setting } = now, chosen = rule.settings[rule.chosen];
    line("best", `M${LEFT} ${y(best.accuracy[0])}H${right}`);
    for (const one of data.rules.slice(1)) if (one !== rule) line("other", `M${along(one.settings)}`);
    if (rule !== fixed) {
      line("band", `M${along(rule.settings, 1)}L${along([...rule.settings].reverse(), 2)}Z`);
      line("rule", `M${along(rule.settings)}`);
    }
    if (chosen) line("chosen", `M${x(chosen.thoughts)} ${y(chosen.accuracy[0]) - 8}l8 8l-8 8l-8 -8Z`);
    for (const [k, one] of fixed.settings.entries()) {
      const [left, up] = place(one), last = k === data.most;
      interval("interval", one);
      parts.push(make("rect", { class: "fixed", x: left - 4, y: up - 4, width: 8, height: 8 }));
      words(left + (last ? -9 : 9), up + 15, k, last ? "end" : "start", "number");
    }
    const [left, up] = place(setting), far = setting.thoughts > data.most / 2;
    line("guide", `M${left} ${BOTTOM}V${up}H${LEFT}`);
    interval("interval now", setting);
    parts.push(make("circle", { class: "current now", cx: left, cy: up, r: 4 }));
    const label = `S ${percent(setting.accuracy[0])}`;
    words(left + (far ? -10 : 10), up - 9, label, far ? "end" : "start", "now");
    curve.replaceChildren(...parts);
  }

  function drawTable() {
    const head = (text, attributes) => make("th", { scope: "col", ...attributes }, text);
    const rows = [...data.hops, "all"].map((hops, row) => {
      const [accuracy, thoughts, ...came] = now.setting.groups[row], total = came.reduce((a, b) => a + b);
      const cells = came.map((many, n) => make("td", { "data-verdict": n, "--share": many / total }, many));
      return make("tr", { "data-hops": hops }, make("th", { scope: "row" }, String(hops)),
        make("td", {}, percent(accuracy)), make("td", {}, thoughts.toFixed(2)), ...cells);
    });
    const heads = ["steps", "accuracy", "thoughts"].map((name) => head(name));
    heads.push(...data.verdicts.map(([name], n) => head(name, { "data-verdict": n })));
    table.replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  }

  function draw() {
    const fresh = read !== model.get("data");
    if (fresh) data = parsed(read = model.get("data"));
    if (!data.rules) return;
    const rule = data.rules.find((one) => one.name === model.get("rule")) ?? data.rules[0];
    const last = rule.settings.length - 1, place = Math.min(model.get("threshold"), last);
    const setting = rule.settings[place], { words, thoughts, passes } = setting;
    const [accuracy, low, high] = setting.accuracy.map(percent), fixed = data.rules[0].settings;
    now = { rule, place, setting };
    best = fixed.reduce((most, one) => (one.accuracy[0] > most.accuracy[0] ? one : most));
    if (fresh) buildStrip();
    say(title, words);
    say(meta, `${thousands(data.total)} problems`);
    rules.update(data.rules.map((one) => [one.name, one.label]), rule.name);
    threshold.update(place, last, { said: `${place + 1} of ${last + 1}`, words });
    figures(facts, [
      ["accuracy", accuracy, `${low} to ${high}, n = ${thousands(data.total)}`],
      ["thoughts", thoughts.toFixed(2), "mean per problem"],
      ["passes", passes.toFixed(2), "mean per problem, all included"],
    ]);
    for (const [at, { one, came, element }] of problems.entries()) {
      const stop = setting.stops[at], [name] = data.verdicts[setting.came[at]];
      const label = `Problem ${one.number}, ${count(one.hops, "step")}: stops after ${stop}, ${name}`;
      set(element, { "--at": stop, "data-stop": stop, "aria-label": label });
      set(came, { "data-verdict": setting.came[at] });
      say(came, name);
    }
    drawCurve();
    drawTable();
    const summary = `${words}: ${accuracy} right (95% interval ${low} to ${high}) after ` +
      `${thoughts.toFixed(2)} thoughts on average, ${passes.toFixed(2)} passes.`;
    const ends = ["are too early", "are on time", "are too late", "could never be right"];
    const all = setting.groups.at(-1).slice(2).map((many, n) => `${thousands(many)} ${ends[n]}`);
    say(said, `${summary} The best fixed number of thoughts, ${best.thoughts}, is right on ` +
      `${percent(best.accuracy[0])}. Of the stops, ${listed(all)}.`);
    set(curve, { "aria-label": `Accuracy against mean thoughts. ${summary}` });
    point(root.querySelector(".problem:focus"));
  }

  /** Say of a problem what the rule looked at, and light its row; of a verdict, light every row. */
  function point(target) {
    const row = target?.closest?.(".problem");
    const verdict = target?.closest?.("[data-verdict]:not(.came)")?.dataset.verdict;
    for (const { element, came } of problems) {
      element.classList.toggle("lit", element === row || came.dataset.verdict === verdict);
    }
    root.classList.toggle("pointing", verdict !== undefined);
    const found = problems.find(({ element }) => element === row);
    if (!found) return say(detail, HINT);
    const { number, hops, right, seen } = found.one, stop = Number(row.dataset.stop);
    const good = right.flatMap((one, k) => (one ? [k] : []));
    const looks = seen[now.rule.name]?.slice(0, Math.min(stop + 1, data.most)) ?? [];
    const saw = looks.map((value, k) => `${Number(value.toPrecision(2))} after ${k}`);
    const after = listed(good) || "no number of";
    say(detail, `Problem ${number}, ${count(hops, "step")}: right after ${after} thoughts.` +
      `${saw.length ? ` The rule saw ${listed(saw)}.` : ""} It stops after ${stop}: ${found.came.textContent}.`);
  }
  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, (one) => point(one.target));
  root.addEventListener("pointerleave", () => point(null));

  /** Go to the setting of the rule that is nearest to where the pointer is. */
  const drag = (event) => {
    if (!event.buttons) return;
    const { left, top } = curve.getBoundingClientRect(), at = [event.clientX - left, event.clientY - top];
    const far = now.rule.settings.map(({ thoughts, accuracy: [share] }) =>
      Math.hypot(x(thoughts) - at[0], (y(share) - at[1]) / 4));
    step(far.indexOf(Math.min(...far)));
  };
  set(curve, { pointerdown: drag, pointermove: drag });

  const end = follow(model, TRAITS, draw);
  draw();
  const watch = new ResizeObserver(() => now && drawCurve());
  watch.observe(curve.parentElement);
  return () => { watch.disconnect(); end(); };
}

export default { render };
