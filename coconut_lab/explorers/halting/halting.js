import { count, dropDown, follow, frame, make, roving, say, set, setting } from "../browser/shared.js";
import { arrows, figures, parsed, slider } from "../browser/controls.js";

// The halt explorer. Its traits and its data: widget.py and data.py. All is drawn here, without the
// kernel: `data` has every rule at every threshold.

const TRAITS = ["data", "rule", "threshold"];
const LEFT = 46, TOP = 30, BOTTOM = 342, HEIGHT = 390, WIDEST = 640; // of the curve, in pixels
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const listed = (items) => (items.length > 1 ? `${items.slice(0, -1).join(", ")} and ${items.at(-1)}` : items.join(""));

function render({ model, el }) {
  const root = frame(el, "halt", "Halting rules");
  const change = setting(model);
  let data = {}, now = null, read = null, best = null, problems = [], x, y;

  const title = make("h3"), meta = make("p", { class: "meta" });
  const choose = (name) => change({ rule: name, threshold: data.rules.find((one) => one.name === name).start });
  const step = (to) => change({ threshold: to });
  const rules = dropDown("Rule", choose), threshold = slider("Threshold", 0, step);
  const facts = make("div", { class: "figures" }), said = make("p", { class: "said", role: "status" });
  const strip = make("div", { class: "strip" }), shown = make("h4"), detail = make("p", { class: "detail meta" });
  const curve = make("svg", { class: "curve", role: "img" });
  const table = make("table"), notes = make("p", { class: "meta" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow stepping" }, rules.element, threshold.element, make("span", { class: "meta" }, "← →")),
    facts,
    make("div", { class: "views" },
      make("div", {}, shown, strip, make("p", { class: "legend meta" },
        make("i", { class: "right" }, "r"), " right, ", make("i", {}, "w"), " wrong if <eot> comes after k thoughts · ", make("b", { class: "disc" }, "S"),
        " the rule stops here · dashed: as many thoughts as the problem has steps"), detail),
      make("div", {},
        make("h4", {}, "What it costs and what it gains; click or drag along the line"), curve,
        make("p", { class: "legend meta" }, make("b", { class: "disc" }, "S"), " this setting · squares: that many thoughts for every problem · bars and the band: 95% Wilson intervals · dotted: the best fixed number · thin lines: the other rules · ◆ chosen on other problems"),
        make("h4", {}, "Stopped too early, on time, too late"), make("div", { class: "scrolling", tabindex: 0, role: "group", "aria-label": "Table of what came of the stops" }, table), notes)),
    said,
  );
  const stops = roving(strip, () => problems.map((one) => one.element));
  arrows(root, () => now.place, () => now.rule.settings.length - 1, step);

  /** The problems, one row each; only the stops move afterwards. */
  function buildStrip() {
    const columns = Array.from({ length: data.most + 1 }, (_, k) => k);
    set(strip, { "--columns": columns.length, class: columns.length > 12 ? "strip dense" : "strip" });
    problems = data.sample.map((one) => {
      const stop = make("b", { class: "disc" }, "S"), track = make("span", { class: "track" }), came = make("span", { class: "came" });
      const cells = columns.map((k) => make("i", { class: [one.right[k] && "right", k === one.hops && "due"].filter(Boolean).join(" ") }, one.right[k] ? "r" : "w"));
      return { one, stop, track, came, element: make("div", { class: "problem", role: "img", tabindex: -1, "data-row": one.number }, make("span", { class: "cells" }, ...cells, track, stop), came) };
    });
    strip.replaceChildren(make("div", { class: "head", "aria-hidden": true }, make("span", { class: "cells" }, ...columns.map((k) => make("span", {}, k === 0 ? "k=0" : String(k))))),
      ...data.hops.flatMap((hops) => {
        const group = problems.filter(({ one }) => one.hops === hops);
        return group.length ? [make("div", { class: "group" }, make("b", {}, count(hops, "step")), make("div", {}, ...group.map(({ element }) => element)))] : [];
      }));
    say(shown, `Where ${count(problems.length, "problem")} of ${data.total.toLocaleString("en")} stop`);
    stops.refresh();
    notes.replaceChildren(...data.verdicts.flatMap(([name, meaning], n) => [n ? " · " : "", make("b", { "data-verdict": n }, name), `: ${meaning}`]));
  }

  /** Draw accuracy against mean thoughts: fixed numbers, the rule in its band, the others thin. */
  function drawCurve() {
    const width = Math.min(curve.parentElement.clientWidth, WIDEST) || WIDEST, right = width - 14;
    set(curve, { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
    // The tenth below every interval of every rule, so that the axis never moves.
    const lowest = Math.min(0.9, Math.floor(10 * Math.min(...data.rules.flatMap((rule) => rule.settings.map((one) => one.accuracy[1])))) / 10);
    x = (thoughts) => LEFT + ((right - LEFT) * thoughts) / Math.max(1, data.most);
    y = (share) => BOTTOM - ((BOTTOM - TOP) * (share - lowest)) / (1 - lowest);
    const line = (d, name) => make("path", { class: name, d }), words = (at, up, text, anchor = "start", name = "") => make("text", { x: at, y: up, "text-anchor": anchor, class: name }, text);
    const points = ({ settings }, part = 0) => settings.map((one) => `${x(one.thoughts).toFixed(1)} ${y(one.accuracy[part]).toFixed(1)}`);
    // With its ends, so that no point hides it.
    const interval = ({ thoughts, accuracy: [, low, high] }, name) => line(`M${x(thoughts)} ${y(low)}V${y(high)}M${x(thoughts) - 6} ${y(low)}h12M${x(thoughts) - 6} ${y(high)}h12`, name);
    const parts = [words(4, 15, "accuracy"), words((LEFT + right) / 2, BOTTOM + 40, "mean thoughts per problem", "middle")];
    for (let tenth = 10; tenth >= Math.round(10 * lowest); tenth -= lowest < 0.5 ? 2 : 1) {
      parts.push(line(`M${LEFT} ${y(tenth / 10)}H${right}`, "grid"), words(LEFT - 8, y(tenth / 10) + 4.5, `${10 * tenth}%`, "end"));
    }
    for (let k = 0; k <= data.most; k += Math.ceil((data.most + 1) / 12)) parts.push(words(x(k), BOTTOM + 19, k, "middle"));
    const { rule, setting } = now, mark = rule.settings[rule.chosen], fixed = data.rules[0], at = [x(setting.thoughts), y(setting.accuracy[0])];
    parts.push(line(`M${LEFT} ${y(best.accuracy[0])}H${right}`, "best"));
    for (const other of data.rules.slice(1)) if (other !== rule) parts.push(line(`M${points(other).join("L")}`, "other"));
    if (rule !== fixed) parts.push(line(`M${points(rule, 1).join("L")}L${points(rule, 2).reverse().join("L")}Z`, "band"), line(`M${points(rule).join("L")}`, "rule"));
    if (mark) parts.push(line(`M${x(mark.thoughts)} ${y(mark.accuracy[0]) - 8}l8 8l-8 8l-8 -8Z`, "chosen"));
    for (const [k, one] of fixed.settings.entries()) {
      const [left, up] = [x(one.thoughts), y(one.accuracy[0])], last = k === data.most;
      parts.push(interval(one, "interval"), make("rect", { class: "fixed", x: left - 4, y: up - 4, width: 8, height: 8 }), words(left + (last ? -9 : 9), up + 15, k, last ? "end" : "start", "number"));
    }
    const far = setting.thoughts > data.most / 2;
    curve.replaceChildren(...parts, line(`M${at[0]} ${BOTTOM}V${at[1]}H${LEFT}`, "guide"), interval(setting, "interval now"), make("circle", { class: "current now", cx: at[0], cy: at[1], r: 4 }),
      words(at[0] + (far ? -10 : 10), at[1] - 9, `S ${percent(setting.accuracy[0])}`, far ? "end" : "start", "now"));
  }

  function drawTable() {
    const rows = [...data.hops, "all"].map((hops, row) => {
      const [accuracy, thoughts, ...came] = now.setting.groups[row], total = came.reduce((sum, one) => sum + one, 0);
      return make("tr", { "data-hops": hops }, make("th", { scope: "row" }, String(hops)), make("td", {}, percent(accuracy)), make("td", {}, thoughts.toFixed(2)),
        ...came.map((many, n) => make("td", { "data-verdict": n, "--share": many / total }, String(many))));
    });
    table.replaceChildren(make("thead", {}, make("tr", {}, ...["steps", "accuracy", "thoughts"].map((name) => make("th", { scope: "col" }, name)),
      ...data.verdicts.map(([name], n) => make("th", { scope: "col", "data-verdict": n }, name)))), make("tbody", {}, ...rows));
  }

  function draw() {
    const fresh = read !== model.get("data");
    if (fresh) data = parsed(read = model.get("data"));
    if (!data.rules) return;
    const rule = data.rules.find((one) => one.name === model.get("rule")) ?? data.rules[0];
    const place = Math.min(model.get("threshold"), rule.settings.length - 1), setting = rule.settings[place];
    now = { rule, place, setting };
    best = data.rules[0].settings.reduce((most, one) => (one.accuracy[0] > most.accuracy[0] ? one : most));
    if (fresh) buildStrip();
    const [accuracy, low, high] = setting.accuracy, { thoughts, passes } = setting;
    say(title, setting.words);
    say(meta, `${data.total.toLocaleString("en")} problems`);
    rules.update(data.rules.map((one) => [one.name, one.label]), rule.name);
    threshold.update(place, rule.settings.length - 1, { said: `${place + 1} of ${rule.settings.length}`, words: setting.words });
    figures(facts, [["accuracy", percent(accuracy), `${percent(low)} to ${percent(high)}, n = ${data.total.toLocaleString("en")}`], ["thoughts", thoughts.toFixed(2), "mean per problem"], ["passes", passes.toFixed(2), "mean per problem, all included"]]);
    for (const [at, { one, stop, track, came, element }] of problems.entries()) {
      const k = setting.stops[at], verdict = setting.came[at], [name] = data.verdicts[verdict];
      set(stop, { "--at": k });
      set(track, { "--at": k });
      set(came, { "data-verdict": verdict });
      say(came, name);
      set(element, { "data-stop": k, "aria-label": `Problem ${one.number}, ${count(one.hops, "step")}: stops after ${count(k, "thought")}, ${name}` });
    }
    drawCurve();
    drawTable();
    const all = setting.groups.at(-1).slice(2);
    const summary = `${setting.words}: ${percent(accuracy)} right (95% interval ${percent(low)} to ${percent(high)}) after ${thoughts.toFixed(2)} thoughts on average, ${passes.toFixed(2)} passes.`;
    say(said, `${summary} The best fixed number of thoughts, ${Math.round(best.thoughts)}, is right on ${percent(best.accuracy[0])}. Of the stops, ${listed(all.map((many, n) => `${many.toLocaleString("en")} ${["are too early", "are on time", "are too late", "could never be right"][n]}`))}.`);
    set(curve, { "aria-label": `Accuracy against mean thoughts. ${summary}` });
    point(null);
  }

  /** Say of a problem what the rule looked at, and light its row; of a verdict, light every row. */
  function point(target) {
    const row = target?.closest?.(".problem"), verdict = target?.closest?.("[data-verdict]:not(.came)")?.dataset.verdict;
    for (const { element, came } of problems) element.classList.toggle("lit", element === row || came.dataset.verdict === verdict);
    root.classList.toggle("pointing", verdict !== undefined);
    const found = problems.find(({ element }) => element === row);
    if (!found) return say(detail, "Point at a problem, or reach it with Tab and ↑ ↓; point at a column of the table to see its problems.");
    const { one, came, element } = found, right = one.right.flatMap((good, k) => (good ? [k] : [])), stop = Number(element.dataset.stop);
    const looked = one.seen[now.rule.name]?.slice(0, Math.min(stop, data.most - 1) + 1).map((value, k) => `${Number(value.toPrecision(2))} after ${k}`);
    say(detail, `Problem ${one.number}, ${count(one.hops, "step")}: right after ${right.length ? listed(right) : "no number of"} thoughts.${looked ? ` The rule saw ${listed(looked)}.` : ""} It stops after ${stop}: ${came.textContent}.`);
  }
  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, (one) => point(one.target));
  root.addEventListener("pointerleave", () => point(null));

  /** Go to the setting of the rule that is nearest to where the pointer is. */
  const drag = (event) => {
    if (!event.buttons) return;
    const box = curve.getBoundingClientRect(), at = [event.clientX - box.left, event.clientY - box.top];
    const far = now.rule.settings.map((one) => Math.hypot(x(one.thoughts) - at[0], (y(one.accuracy[0]) - at[1]) / 4));
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
