/* The book's fifth explorer: recorded learning, played back. Nothing is learned here; the Python library did, and wrote it down.
 * It shares the controls of explorers.js, and is loaded after it on the pages that need it.
 */
(function (root) {
  "use strict";

  const { define, gridworld, logSumExp, kit } = root.SoftOptimality, { frame, html, svg, put, table, number, arrow, paintCell, MOVES, NAMES } = kit;
  const MEASURES = { errors: "largest error of Q", v_errors: "largest error of V", returns: "expected return" };
  const LEARNERS = { mean: "the mean of all seeds", 0: "seed 0", 1: "seed 1" };
  const COLORS = ["var(--a)", "var(--b)"];

  function learningExplorer(host, config, onChange) {
    const { record } = config, state = { second: "none", measure: "errors", learner: "mean", ...config }, { steps, temperature: eta } = record;
    state.selected = state.selected || [record.rows.length - 1, 0];
    state.snapshot = Math.min(state.snapshot ?? steps.length - 1, steps.length - 1);
    const world = gridworld({ rows: record.rows, slip: 0, stepReward: 0, goalReward: 0, cliffReward: 0 });
    const names = Object.fromEntries(record.settings.map((s) => [s.name, s.label])), settings = Object.fromEntries(record.settings.map((s) => [s.name, s]));
    const x = frame(host, state.title, state, onChange, redraw);
    let timer = 0;
    x.select("Setting", "first", names);
    x.select("Beside it", "second", { none: "nothing", ...names });
    x.slider("After", "snapshot", { min: 0, max: steps.length - 1, step: 1, format: (i) => `${steps[i].toLocaleString("en")} steps` });
    x.select("Shown", "learner", LEARNERS);
    x.select("Curve", "measure", MEASURES);
    const tools = html("div", { class: "so-tools" });
    x.controls.append(tools);
    const play = x.button("Play", () => (timer ? pause() : run()), tools);
    const panels = html("div", { class: "so-panels" }), key = html("div", { class: "so-key" }), curve = svg("svg", { role: "img" }), numbers = html("div", { class: "so-numbers" });
    x.picture.append(panels, html("p", { class: "so-caption" }), key, curve, numbers);
    const caption = x.picture.querySelector("p");

    function maps(n) {
      if (panels.children.length === n) return [...panels.children].map((box) => box.map);
      panels.replaceChildren(...Array.from({ length: n }, () => {
        const { width, height } = world, picture = svg("svg", { viewBox: `-.04 -.04 ${width + 0.08} ${height + 0.08}`, tabindex: 0, role: "application", "data-lm-suppress-shortcuts": "true" });
        const rects = [], texts = [], arrows = svg("path", { fill: "none", stroke: "var(--ink)", "stroke-width": 0.035, "stroke-linecap": "round" });
        const here = svg("rect", { fill: "none", stroke: "var(--act)", "stroke-width": 0.09, width: 0.96, height: 0.96 });
        for (let i = 0; i < width * height; i++) {
          rects.push(svg("rect", { x: i % width, y: (i / width) | 0, width: 1, height: 1, stroke: "var(--line)", "stroke-width": 0.02 }));
          texts.push(svg("text", { x: (i % width) + 0.5, y: ((i / width) | 0) + 0.8, "font-size": 0.2 }));
        }
        picture.append(...rects, arrows, ...texts, here);
        picture.addEventListener("pointerdown", (e) => {
          const box = picture.getBoundingClientRect();
          select([Math.floor(((e.clientY - box.top) / box.height) * height), Math.floor(((e.clientX - box.left) / box.width) * width)]);
        });
        picture.addEventListener("keydown", (e) => {
          const move = MOVES[["ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft"].indexOf(e.key)];
          if (!move) return;
          e.preventDefault();
          select([state.selected[0] + move[0], state.selected[1] + move[1]]);
        });
        const words = html("p", { class: "so-caption" }), box = html("div", { style: "max-width:24rem" }, words, picture);
        box.map = { picture, rects, texts, arrows, here, words };
        return box;
      }));
      return maps(n);
    }

    function select([r, c]) {
      if (r >= 0 && c >= 0 && r < world.height && c < world.width && record.rows[r][c] !== "#") x.set("selected", [r, c]);
    }

    /** Q, V and the policy of every state for one setting at the snapshot, as the learner would act on them. */
    function learned(setting) {
      const q = state.learner === "mean" ? setting.q_mean[state.snapshot] : setting.q_seeds[+state.learner][state.snapshot], soft = setting.answer === "soft";
      const v = q.map((row, s) => (world.terminal[s] ? 0 : soft ? eta * (logSumExp(row.map((y) => y / eta)) - Math.log(row.length)) : Math.max(...row)));
      const policy = q.map((row, s) => (soft ? row.map((y) => Math.exp((y - v[s]) / eta) / row.length) : row.map((_, a) => +(a === row.indexOf(Math.max(...row))))));
      return { q, v, policy };
    }

    /** [lowest, median, highest] over the seeds, at each snapshot. */
    function spread(setting) {
      return steps.map((_, k) => {
        const all = setting[state.measure].map((run) => run[k]).sort((a, b) => a - b), n = all.length;
        return [all[0], (all[(n - 1) >> 1] + all[n >> 1]) / 2, all[n - 1]];
      });
    }

    function redraw() {
      const chosen = [state.first, state.second].filter((name, i) => i === 0 || name !== "none").map((name) => settings[name]), plans = chosen.map(learned);
      const floor = plans.flatMap((p) => p.v.filter((_, s) => !world.terminal[s])), low = Math.min(...floor), high = Math.max(...floor);
      maps(chosen.length).forEach((map, i) => drawMap(map, chosen[i], plans[i], low, high));
      drawCurve(chosen);
      readOut(chosen, plans);
    }

    function drawMap(map, setting, { v, policy }, low, high) {
      map.words.replaceChildren(html("b", {}, setting.label), " – shade and number: V; arrows: policy");
      put(map.picture, { "aria-label": `What was learned: ${setting.label}. Arrow keys select a cell.` });
      let d = "";
      map.rects.forEach((rect, i) => {
        const s = world.index[i], letter = record.rows[(i / world.width) | 0][i % world.width], end = s < 0 || world.terminal[s];
        paintCell(rect, letter, end || high === low ? 0.5 : (v[s] - low) / (high - low));
        put(map.texts[i], { class: end ? "so-end" : "" }).textContent = letter === "#" ? "" : end ? letter : number(v[s], 1);
        if (!end) policy[s].forEach((p, a) => { if (p > 0.04) d += arrow(world.cells[s], MOVES[a], p * 0.8); });
      });
      map.arrows.setAttribute("d", d);
      put(map.here, { x: state.selected[1] + 0.02, y: state.selected[0] + 0.02 });
    }

    function drawCurve(chosen) {
      const W = x.width(), left = 44, right = W - 12, top = 10, ground = 170, log = state.measure !== "returns", scale = (y) => (log ? Math.log10(Math.max(y, 1e-3)) : y);
      const spreads = chosen.map(spread), all = spreads.flat(2).map(scale), low = Math.min(...all), high = Math.max(...all, low + 1e-6);
      const X = (k) => left + ((right - left) * Math.log(steps[k] / steps[0])) / Math.log(steps[steps.length - 1] / steps[0]), Y = (y) => ground - ((ground - top) * (scale(y) - low)) / (high - low);
      const line = (points) => `M${points.map(([k, y]) => `${X(k).toFixed(1)} ${Y(y).toFixed(1)}`).join("L")}`;
      const ticks = log ? [-3, -2, -1, 0, 1].flatMap((e) => [1, 2, 5].map((m) => +(m * 10 ** e).toPrecision(1))).filter((y) => scale(y) >= low && scale(y) <= high) : [low, (low + high) / 2, high];
      caption.textContent = `${MEASURES[state.measure][0].toUpperCase()}${MEASURES[state.measure].slice(1)} against steps: median and range of ${record.settings[0][state.measure].length} seeds`;
      key.replaceChildren(...chosen.map((setting, i) => html("span", {}, svg("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" }, svg("path", { d: "M0 5H30", stroke: COLORS[i], "stroke-width": 2.5, "stroke-dasharray": i ? "7 4" : "" })), setting.label)));
      put(curve, { viewBox: `0 0 ${W} 200`, "aria-label": `${caption.textContent}. ${chosen.map((setting, i) => `${setting.label}: from ${number(spreads[i][0][1])} to ${number(spreads[i][steps.length - 1][1])}`).join("; ")}.` });
      curve.replaceChildren(
        svg("path", { d: `M${left} ${ground}H${right}`, stroke: "var(--line)", fill: "none" }),
        ...ticks.flatMap((y) => [svg("path", { d: `M${left} ${Y(y).toFixed(1)}H${right}`, stroke: "var(--line)", "stroke-width": 0.5 }), svg("text", { x: left - 22, y: Y(y), "font-size": 12 }, log ? String(y) : number(y, 1))]),
        ...[0, steps.length - 1].map((k) => svg("text", { x: X(k) + (k ? -18 : 10), y: ground + 18, "font-size": 12 }, steps[k].toLocaleString("en"))),
        ...spreads.map((s, i) => svg("path", { d: `${line(s.map((y, k) => [k, y[2]]))}L${line(s.map((y, k) => [k, y[0]]).reverse()).slice(1)}Z`, fill: COLORS[i], opacity: 0.18 })),
        ...spreads.map((s, i) => svg("path", { d: line(s.map((y, k) => [k, y[1]])), fill: "none", stroke: COLORS[i], "stroke-width": 2.5, "stroke-dasharray": i ? "7 4" : "" })),
        svg("path", { d: `M${X(state.snapshot).toFixed(1)} ${top}V${ground}`, stroke: "var(--act)", "stroke-width": 1.5 }),
      );
    }

    function readOut(chosen, plans) {
      const at = chosen.map((setting) => spread(setting)[state.snapshot]), [r, c] = state.selected, s = world.index[r * world.width + c];
      const tables = [table([MEASURES[state.measure], ...chosen.map((setting) => setting.label)], ["lowest seed", "median", "highest seed"].map((name, i) => [name, ...at.map((y) => number(y[i], 3))]))];
      if (!world.terminal[s]) tables.push(table([`row ${r + 1}, column ${c + 1}`, ...chosen.flatMap(() => ["Q", "exact"])], NAMES.map((name, a) => [name, ...chosen.flatMap((setting, i) => [number(plans[i].q[s][a]), number(record.exact[setting.answer][s][a])])])));
      numbers.replaceChildren(...tables);
      x.say(`After ${steps[state.snapshot].toLocaleString("en")} steps: ${MEASURES[state.measure]} ${chosen.map((setting, i) => `${number(at[i][1], 3)} (${setting.label})`).join(" against ")}.`);
    }

    function run() {
      if (state.snapshot === steps.length - 1) x.set("snapshot", 0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        if (!curve.isConnected || state.snapshot === steps.length - 1) return pause();
        x.set("snapshot", state.snapshot + 1);
      }, 700);
    }
    function pause() { clearInterval(timer); timer = 0; play.textContent = "Play"; }

    x.draw();
    return { ...x.api, destroy() { pause(); x.api.destroy(); } };
  }

  define("learning", learningExplorer);
})(typeof globalThis !== "undefined" ? globalThis : window);
