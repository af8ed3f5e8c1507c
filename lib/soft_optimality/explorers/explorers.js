/* The book's explorers: gridworld, hidden Markov model, lottery, backup.
 *
 * One plain script, no modules and no dependencies, with two lives:
 *   in a built page   <so-gridworld data-config='{...}'> and its sisters come alive when this script has loaded, from file:// too;
 *   in a live kernel  the same bytes and one `export default` line are the front end of an anywidget (see __init__.py).
 * First the mathematics, held to the Python library to 1e-9 by tests/explorers; then the controls; then the four explorers.
 */
(function (root) {
  "use strict";

  // == mathematics ==================================================================================================================

  const MOVES = [[-1, 0], [0, 1], [1, 0], [0, -1]]; // (row, column): north, east, south, west
  const NAMES = ["north", "east", "south", "west"];

  function logSumExp(xs) {
    const top = Math.max(...xs);
    if (top === -Infinity) return top;
    return top + Math.log(xs.reduce((sum, x) => sum + Math.exp(x - top), 0));
  }

  /** The dynamics of a text map, as soft_optimality.worlds.gridworld has them: states are the cells that are not walls, row by row. */
  function gridworld({ rows, slip, stepReward, goalReward, cliffReward }) {
    const height = rows.length, width = rows[0].length, index = new Int32Array(height * width).fill(-1), cells = [], kind = [];
    rows.forEach((row, r) => [...row].forEach((letter, c) => {
      if (letter !== "#") { index[r * width + c] = cells.length; cells.push([r, c]); kind.push(letter); }
    }));
    const S = cells.length, next = new Int32Array(S * 12), pay = new Float64Array(S * 12);
    const chance = [1 - slip, slip / 2, slip / 2], terminal = kind.map((k) => k === "G" || k === "X");
    const arrive = { G: goalReward, X: cliffReward };
    const goTo = (s, a) => {
      const r = cells[s][0] + MOVES[a][0], c = cells[s][1] + MOVES[a][1];
      const s2 = r < 0 || c < 0 || r >= height || c >= width ? -1 : index[r * width + c];
      return s2 < 0 ? s : s2;
    };
    for (let s = 0; s < S; s++) for (let a = 0; a < 4; a++) [a, a + 1, a + 3].forEach((direction, k) => {
      const i = s * 12 + a * 3 + k;
      next[i] = terminal[s] ? s : goTo(s, direction % 4);
      pay[i] = terminal[s] ? 0 : stepReward + (arrive[kind[next[i]]] || 0);
    });
    const starts = kind.map((k, s) => s).filter((s) => kind[s] === "S");
    const first = starts.length ? starts : kind.map((k, s) => s).filter((s) => kind[s] === ".");
    return { rows, width, height, index, cells, kind, S, next, pay, chance, terminal, first };
  }

  /** Q of one cell and action: E[r + γV], or η log E exp((r + γV)/η). */
  function lookAhead(world, v, gamma, eta, optimistic, s, a) {
    let top = -Infinity, sum = 0;
    const value = (k) => world.pay[s * 12 + a * 3 + k] + (gamma ? gamma * v[world.next[s * 12 + a * 3 + k]] : 0);
    if (!optimistic) {
      for (let k = 0; k < 3; k++) if (world.chance[k] > 0) sum += world.chance[k] * value(k);
      return sum;
    }
    for (let k = 0; k < 3; k++) if (world.chance[k] > 0) top = Math.max(top, value(k));
    if (top === -Infinity) return top;
    for (let k = 0; k < 3; k++) if (world.chance[k] > 0) sum += world.chance[k] * Math.exp((value(k) - top) / eta);
    return top + eta * Math.log(sum);
  }

  /** One application of the Bellman operator with the uniform prior: fills q (S*4), w (S) and the policy (S*4). */
  function bellman(world, v, { planner, temperature: eta, gamma }, q, w, policy) {
    const hard = planner === "hard", optimistic = planner === "optimistic";
    for (let s = 0; s < world.S; s++) {
      const i = s * 4;
      if (world.terminal[s]) { q.fill(0, i, i + 4); w[s] = 0; policy.fill(0.25, i, i + 4); continue; }
      let best = 0, total = 0;
      for (let a = 0; a < 4; a++) {
        q[i + a] = lookAhead(world, v, gamma, eta, optimistic, s, a);
        if (q[i + a] > q[i + best]) best = a;
      }
      const top = q[i + best];
      if (top === -Infinity) { w[s] = top; policy.fill(0.25, i, i + 4); continue; }
      for (let a = 0; a < 4; a++) total += policy[i + a] = hard ? +(a === best) : Math.exp((q[i + a] - top) / eta);
      for (let a = 0; a < 4; a++) policy[i + a] /= total;
      w[s] = hard ? top : top + eta * Math.log(total / 4);
    }
  }

  /** x = right + γ P x for the chain that follows a policy (bent: by the optimist's dynamics for V and Q); null where it has no solution.
   *  Neighbouring cells are at most one row of the map apart, so the matrix is a band: elimination without pivots costs S × width². */
  function solveChain(world, policy, gamma, rights, bent) {
    const S = world.S, B = world.width, W = 2 * B + 1, M = new Float64Array(S * W), X = rights.map((r) => Float64Array.from(r));
    for (let s = 0; s < S; s++) {
      M[s * W + B] = 1;
      if (world.terminal[s]) continue;
      for (let a = 0; a < 4; a++) for (let k = 0; k < 3; k++) {
        const i = s * 12 + a * 3 + k, p = policy[s * 4 + a] * (bent ? bent[i] : world.chance[k]);
        if (p > 0) M[s * W + B + world.next[i] - s] -= gamma * p;
      }
    }
    for (let s = 0; s < S; s++) {
      const pivot = M[s * W + B];
      if (!(pivot > 1e-13)) return null;
      for (let t = s + 1; t < Math.min(S, s + B + 1); t++) {
        const f = M[t * W + B + s - t] / pivot;
        if (f === 0) continue;
        for (let j = s; j < Math.min(S, s + B + 1); j++) M[t * W + B + j - t] -= f * M[s * W + B + j - s];
        for (const x of X) x[t] -= f * x[s];
      }
    }
    for (let s = S - 1; s >= 0; s--) for (const x of X) {
      for (let j = s + 1; j < Math.min(S, s + B + 1); j++) x[s] -= M[s * W + B + j - s] * x[j];
      x[s] /= M[s * W + B];
    }
    return X;
  }

  /** p(s'|s,a,O) ∝ p(s'|s,a) exp((r + γV)/η) on the twelve landings of each cell. */
  function bentDynamics(world, v, eta, gamma) {
    const bent = new Float64Array(world.S * 12);
    for (let i = 0; i < bent.length; i += 3) {
      const x = [0, 1, 2].map((k) => (world.chance[k] > 0 ? (world.pay[i + k] + (gamma ? gamma * v[world.next[i + k]] : 0)) / eta : -Infinity));
      const top = Math.max(...x);
      const weights = x.map((y, k) => (top === -Infinity ? world.chance[k] : world.chance[k] * Math.exp(y - top)));
      const total = weights[0] + weights[1] + weights[2];
      weights.forEach((y, k) => { bent[i + k] = y / total; });
    }
    return bent;
  }

  /** A plan: T steps from the last to the first (γ = 1), or without a horizon the fixed point, by Newton's method as in Python. */
  function plan(world, setting) {
    const { S } = world, T = setting.horizon;
    if (T) {
      const q = [], v = [], policy = [];
      let after = new Float64Array(S);
      for (let t = T - 1; t >= 0; t--) {
        q[t] = new Float64Array(S * 4); v[t] = new Float64Array(S); policy[t] = new Float64Array(S * 4);
        bellman(world, after, { ...setting, gamma: 1 }, q[t], v[t], policy[t]);
        after = v[t];
      }
      return { q, v, policy };
    }
    const gamma = setting.gamma, q = new Float64Array(S * 4), w = new Float64Array(S), policy = new Float64Array(S * 4);
    if (gamma === 1 && !canEnd(world)) return { error: "With γ = 1 and no horizon every cell needs a way to a goal or a cliff. Open a way, lower γ, or set a horizon." };
    let v = new Float64Array(S), calm = gamma === 1 ? 2 * S : 3; // undiscounted: first let the news of the goal reach every cell
    for (let iteration = 0, last = 5000; iteration < last; iteration++) {
      bellman(world, v, setting, q, w, policy);
      let change = 0, scale = setting.planner === "hard" ? 0 : setting.temperature;
      const d = new Float64Array(S);
      for (let s = 0; s < S; s++) if (v[s] !== w[s]) { d[s] = w[s] - v[s]; change = Math.max(change, Math.abs(d[s])); scale = Math.max(scale, w[s] > -Infinity ? Math.abs(w[s]) : 0); }
      if (change <= Math.max(1e-12 * (1 - gamma), 2e-15 * scale)) return { q: [q], v: [w], policy: [policy] };
      const bent = setting.planner === "optimistic" ? bentDynamics(world, v, setting.temperature, gamma) : null;
      const step = iteration >= calm && isFinite(change) ? solveChain(world, policy, gamma, [d], bent) : null;
      v = step && step[0].every(isFinite) ? v.map((x, s) => x + step[0][s]) : Float64Array.from(w);
      if (!step && iteration >= calm) calm = iteration + 20;
    }
    return { error: "These values do not settle: going on pays more than ending. Lower the temperature or γ, or make a step cost more." };
  }

  function canEnd(world) {
    const seen = world.terminal.slice();
    for (let grew = true; grew;) {
      grew = false;
      for (let i = 0; i < world.next.length; i++) {
        const s = (i / 12) | 0;
        if (!seen[s] && seen[world.next[i]] && world.chance[i % 3] > 0) seen[s] = grew = true;
      }
    }
    return seen.every(Boolean);
  }

  /** What a plan's policy does in the TRUE dynamics: where it goes, what it earns, how random it is (Σ E[H], nats), its ELBO. */
  function evaluate(world, plan, { horizon: T, gamma, temperature: eta }) {
    const { S } = world, visits = new Float64Array(S), entropies = plan.policy.map((pi) => {
      const h = new Float64Array(S);
      for (let s = 0; s < S; s++) if (!world.terminal[s]) for (let a = 0; a < 4; a++) { const p = pi[s * 4 + a]; if (p > 0) h[s] -= p * Math.log(p); }
      return h;
    });
    const pays = plan.policy.map((pi) => {
      const r = new Float64Array(S);
      for (let i = 0; i < S * 12; i++) { const p = pi[(i / 3) | 0] * world.chance[i % 3]; if (p > 0) r[(i / 12) | 0] += p * world.pay[i]; }
      return r;
    });
    const start = new Float64Array(S);
    world.first.forEach((s) => { start[s] = 1 / world.first.length; });
    const dot = (weights, values) => weights.reduce((sum, p, s) => (p > 0 ? sum + p * values[s] : sum), 0);
    const at = (letter, p) => p.reduce((sum, x, s) => (world.kind[s] === letter ? sum + x : sum), 0);
    if (!T) {
      const ends = ["G", "X"].map((letter) => Float64Array.from(world.kind, (k, s) => +(k === letter)));
      const once = solveChain(world, plan.policy[0], 1, ends), sums = solveChain(world, plan.policy[0], gamma, [pays[0], entropies[0]]);
      if (!sums || !sums[0].every((x) => x === x)) return { error: "This policy never ends from somewhere, and with γ = 1 its return has no last term." };
      const transpose = visitsForEver(world, plan.policy[0], gamma, start);
      return { visits: transpose, ret: dot(start, sums[0]), entropy: dot(start, sums[1]), goal: once ? dot(start, once[0]) : NaN, cliff: once ? dot(start, once[1]) : NaN };
    }
    let here = start, ret = 0, entropy = 0, steps = 0;
    for (let t = 0; t < T; t++) {
      ret += dot(here, pays[t]); entropy += dot(here, entropies[t]);
      const then = new Float64Array(S);
      for (let s = 0; s < S; s++) if (here[s] > 0) {
        visits[s] += here[s];
        if (world.terminal[s]) { then[s] += here[s]; continue; }
        steps += here[s];
        for (let a = 0; a < 4; a++) for (let k = 0; k < 3; k++) then[world.next[s * 12 + a * 3 + k]] += here[s] * plan.policy[t][s * 4 + a] * world.chance[k];
      }
      here = then;
    }
    return { visits, ret, entropy, goal: at("G", here), cliff: at("X", here), elbo: ret / eta + entropy - steps * Math.log(4) };
  }

  /** Σ_t γ^{t−1} p(s_t) by relaxation forward; enough for a picture. */
  function visitsForEver(world, policy, gamma, start) {
    const total = Float64Array.from(start);
    let here = Float64Array.from(start);
    for (let t = 0; t < 400; t++) {
      const then = new Float64Array(world.S);
      for (let i = 0; i < world.S * 12; i++) { const s = (i / 12) | 0; if (here[s] > 0 && !world.terminal[s]) then[world.next[i]] += gamma * here[s] * policy[(i / 3) | 0] * world.chance[i % 3]; }
      then.forEach((x, s) => { total[s] += x; });
      here = then;
    }
    return total;
  }

  /** log p(O) of the uniform prior: η log E exp(V₁/η)/η over the first state. */
  function logEvidence(world, v, eta) {
    return logSumExp(world.first.map((s) => v[s] / eta)) - Math.log(world.first.length);
  }

  /** Filtering, smoothing, prediction, evidence and the Viterbi path of an HMM for observations x. */
  function hmm({ initial, transition, emission }, x) {
    const K = initial.length, T = x.length, normalise = (p) => { const z = p.reduce((a, b) => a + b); return [p.map((y) => (z > 0 ? y / z : NaN)), z]; };
    const move = (p) => initial.map((_, j) => p.reduce((sum, y, i) => sum + y * transition[i][j], 0));
    const filtered = [], predicted = [];
    let logEvidence = 0;
    for (let t = 0; t < T; t++) {
      predicted[t] = t ? move(filtered[t - 1]) : initial;
      const [p, z] = normalise(predicted[t].map((y, k) => y * emission[k][x[t]]));
      if (!(z > 0)) return { error: `No state can show what was seen on day ${t + 1}.` };
      filtered[t] = p; logEvidence += Math.log(z);
    }
    predicted[T] = move(filtered[T - 1]);
    const smoothed = [];
    let back = initial.map(() => 1);
    for (let t = T - 1; t >= 0; t--) {
      smoothed[t] = normalise(filtered[t].map((y, k) => y * back[k]))[0];
      back = normalise(initial.map((_, i) => back.reduce((sum, b, j) => sum + transition[i][j] * emission[j][x[t]] * b, 0)))[0];
    }
    let best = initial.map((p, k) => Math.log(p) + Math.log(emission[k][x[0]]));
    const from = [];
    for (let t = 1; t < T; t++) {
      from[t] = [];
      best = initial.map((_, j) => {
        let top = 0;
        for (let i = 1; i < K; i++) if (best[i] + Math.log(transition[i][j]) > best[top] + Math.log(transition[top][j])) top = i;
        from[t][j] = top;
        return best[top] + Math.log(transition[top][j]) + Math.log(emission[j][x[t]]);
      });
    }
    const path = [best.indexOf(Math.max(...best))];
    for (let t = T - 1; t > 0; t--) path.unshift(from[t][path[0]]);
    return { filtered, predicted, smoothed, logEvidence, path, logJoint: Math.max(...best) };
  }

  // == controls =====================================================================================================================

  const STYLE = `
.so-x{--ink:var(--pst-color-text-base,var(--jp-content-font-color1,#222832));--dim:var(--pst-color-text-muted,var(--jp-content-font-color2,#48566b));
--paper:var(--pst-color-background,var(--jp-layout-color0,#fff));--panel:var(--pst-color-surface,var(--jp-layout-color1,#f3f4f5));
--line:var(--pst-color-border,var(--jp-border-color1,#c9c9c9));--act:var(--pst-color-primary,#0f5bc6);
--a:#0072b2;--b:#d55e00;--good:#1c7c54;--bad:#b33c2a;--wall:#5b6270;
container-type:inline-size;color:var(--ink);background:var(--paper);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem 1rem;margin:1.2rem 0;font-size:.92rem;line-height:1.4}
html[data-theme=dark] .so-x,[data-jp-theme-light=false] .so-x{--a:#62b5e5;--b:#ff9a4d;--good:#3fa37a;--bad:#d9694f;--wall:#8a93a3}
.so-x .t{font-weight:600;margin:0 0 .5rem}
.so-x .c{display:grid;align-items:center;grid-template-columns:repeat(auto-fit,minmax(min(15rem,100%),1fr));gap:.35rem 1.4rem;margin-bottom:.6rem}
.so-x label{display:flex;align-items:center;gap:.6rem;min-height:2rem;margin:0}
.so-x label>span{flex:0 0 auto}
.so-x input[type=range]{flex:1 1 5rem;min-width:4rem;height:1.6rem;margin:0;accent-color:var(--act)}
.so-x output{flex:0 0 auto;min-width:4.2ch;text-align:right;font-variant-numeric:tabular-nums}
.so-x select,.so-x button{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--dim);border-radius:.35rem;padding:.2rem .55rem;min-height:2rem}
.so-x select{flex:0 1 auto;min-width:0;max-width:100%}
.so-x button{cursor:pointer}
.so-x :is(input,select,button,svg):focus-visible{outline:3px solid var(--act);outline-offset:2px}
.so-x .p{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19rem,100%),1fr));gap:.8rem}
.so-x figure{margin:0}
.so-x figcaption{font-size:.88rem;margin:0 0 .25rem;text-align:left;color:var(--ink)}
.so-x svg{display:block;width:100%;height:auto;touch-action:manipulation;user-select:none}
.so-x svg text{fill:var(--ink);text-anchor:middle;dominant-baseline:central;pointer-events:none;font-variant-numeric:tabular-nums}
.so-x .w{overflow-x:auto;margin-top:.6rem}
.so-x table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0;width:auto;font-size:.88rem}
.so-x :is(th,td){padding:.12rem .7rem .12rem 0;text-align:right;border:0;background:none;color:var(--ink)}
.so-x :is(th:first-child,td:first-child){text-align:left;font-weight:400}
.so-x thead th{color:var(--dim)}
.so-x .two{display:flex;flex-wrap:wrap;gap:.3rem 2.5rem}
.so-x .m{min-height:2.8em;margin:.5rem 0 0;color:var(--dim)}
.so-x .e{color:var(--ink);border-left:4px solid var(--bad);padding-left:.6rem}
.so-x .days{display:grid;gap:2px}
.so-x .days button{padding:0;min-width:0;min-height:2.2rem;font-size:.78rem}
.so-x [hidden]{display:none}
html[data-theme=dark] .bd-content div.cell_output div.output.text_html:has(.so-x){background:none;color:inherit;padding:0}`;

  /** Set attributes. */
  const put = (node, attributes) => { for (const key in attributes) node.setAttribute(key, attributes[key]); return node; };
  const make = (namespace) => (tag, attributes, ...children) => {
    const node = put(namespace ? document.createElementNS(namespace, tag) : document.createElement(tag), attributes);
    node.append(...children);
    return node;
  };
  const html = make(""), svg = make("http://www.w3.org/2000/svg");
  const number = (x, digits = 2) => (x === Infinity ? "∞" : x === -Infinity ? "−∞" : Number.isNaN(x) || x == null ? "–" : (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "−"));
  const short = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? +x.toFixed(2) : +x.toPrecision(2)).toString();
  const percent = (x) => (Number.isNaN(x) ? "–" : `${(100 * x).toFixed(1)} %`);
  let count = 0;

  /** What all explorers share: a box, its controls, one redraw a frame, a status that a screen reader hears. */
  function frame(host, title, state, onChange, redraw) {
    if (!document.getElementById("so-x-style")) document.head.append(html("style", { id: "so-x-style" }, STYLE));
    const id = `so-x${++count}`, refresh = [];
    const box = html("div", { class: "so-x", role: "group", "aria-labelledby": `${id}t` }, html("p", { class: "t", id: `${id}t` }, title));
    const controls = html("div", { class: "c" }), picture = html("div"), status = html("p", { class: "m", role: "status" });
    box.append(controls, picture, status);
    host.replaceChildren(box);
    let waiting = 0;
    const draw = () => { waiting = 0; refresh.forEach((f) => f()); redraw(); };
    const schedule = () => { waiting ||= requestAnimationFrame(draw); };
    const set = (key, value) => { state[key] = value; schedule(); if (onChange) onChange(key, value); };
    const named = (text, input, ...more) => {
      input.id = `${id}c${refresh.length}`;
      input.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab's command mode eats the arrow keys
      const label = html("label", { for: input.id }, html("span", {}, text), input, ...more);
      controls.append(label);
      return label;
    };
    return {
      id, picture, controls, status, set, schedule, draw,
      slider(text, key, { min, max, step, log = false, format = short }) {
        const input = html("input", { type: "range", min: log ? Math.log10(min) : min, max: log ? Math.log10(max) : max, step }), out = html("output", { "aria-hidden": "true" });
        input.addEventListener("input", () => set(key, log ? +(10 ** input.value).toPrecision(6) : +input.value));
        const label = named(text, input, out);
        refresh.push(() => {
          input.value = log ? Math.log10(state[key]) : state[key];
          out.textContent = format(state[key]);
          input.setAttribute("aria-valuetext", out.textContent);
        });
        return label;
      },
      select(text, key, options) {
        const input = html("select", {}, ...Object.entries(options).map(([value, name]) => html("option", { value }, name)));
        input.addEventListener("change", () => set(key, input.value));
        const label = named(text, input);
        refresh.push(() => { input.value = state[key]; });
        return label;
      },
      button(text, action, place = controls) {
        const button = html("button", { type: "button", "data-lm-suppress-shortcuts": "true" }, text);
        button.addEventListener("click", action);
        place.append(button);
        return button;
      },
      say(text, error = false) { if (status.textContent !== text) status.textContent = text; status.classList.toggle("e", error); },
      api: { update(changes) { Object.assign(state, changes); schedule(); }, destroy() { cancelAnimationFrame(waiting); host.replaceChildren(); }, state },
    };
  }

  function table(head, rows) {
    return html("table", {}, html("thead", {}, html("tr", {}, ...head.map((x) => html(x ? "th" : "td", x ? { scope: "col" } : {}, x)))),
      html("tbody", {}, ...rows.map(([name, ...cells]) => html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((x) => html("td", {}, x))))));
  }

  /** A small generator for rollouts: the same walks at every visit. */
  function random(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // == the gridworld ================================================================================================================

  const PLANNERS = { hard: "hard", soft: "soft (variational)", optimistic: "posterior (optimistic)" }, TITLES = { ...PLANNERS, yours: "your solver" };
  const BRUSHES = { look: "selects a cell", "#": "paints wall", X: "paints cliff", G: "paints goal", S: "paints start", ".": "paints floor" };
  const GRID = {
    rows: ["........", "........", "........", "SXXXXXXG"], slip: 0.1, temperature: 0.5, time: "horizon", horizon: 60, discount: 0.95, planner: "optimistic", second: "none",
    show: "policy", action: "1", stepReward: -1, goalReward: 0, cliffReward: -50, selected: null, title: "Gridworld explorer", solver: false, solution: null,
  };

  function gridworldExplorer(host, config, onChange) {
    const state = { ...GRID, ...config }, original = state.rows;
    const x = frame(host, state.title, state, onChange, redraw);
    let brush = "look", world, maps = [], plans = [], shape = "", timer = 0, walks = [];
    const offered = state.solver ? TITLES : PLANNERS;
    x.slider("Slip", "slip", { min: 0, max: 1, step: 0.01 });
    x.slider("Temperature η", "temperature", { min: 0.01, max: 100, step: 0.02, log: true });
    x.select("Time", "time", { horizon: "T steps", discount: "discounted" });
    const horizon = x.slider("Horizon T", "horizon", { min: 1, max: 100, step: 1 });
    const discount = x.slider("Discount γ", "discount", { min: 0.5, max: 1, step: 0.01 });
    x.select("Planner", "planner", offered);
    x.select("Beside it", "second", { none: "nothing", ...offered });
    x.select("Show", "show", { policy: "values and policy", values: "values as numbers", visits: "where the agent goes", dynamics: "what the posterior does to the dynamics" });
    const action = x.select("of the action", "action", { ...NAMES });
    const tools = html("div", { class: "two" });
    x.controls.append(tools);
    const brushes = html("select", { "aria-label": "A click or Enter on the map", "data-lm-suppress-shortcuts": "true" }, ...Object.entries(BRUSHES).map(([value, name]) => html("option", { value }, name)));
    brushes.addEventListener("change", () => { brush = brushes.value; });
    tools.append(html("label", {}, html("span", {}, "A click"), brushes));
    x.button("Reset map", () => { state.selected = null; x.set("rows", original); }, tools);
    const play = x.button("Play rollouts", () => (timer ? stop() : start()), tools);
    const panels = html("div", { class: "p" }), numbers = html("div", { class: "w two" });
    x.picture.append(panels, numbers);

    function chosen() { return [state.planner, state.second].filter((name, i) => i === 0 || name !== "none"); }

    function redraw() {
      horizon.hidden = state.time !== "horizon"; discount.hidden = state.time === "horizon"; action.hidden = state.show !== "dynamics";
      const names = chosen();
      const wrong = mapError(state.rows);
      if (shape !== `${state.rows.length},${state.rows[0].length},${names.length}`) buildMaps(names.length);
      if (wrong) return fail(wrong);
      world = gridworld(state);
      const setting = (planner) => ({ planner, temperature: state.temperature, horizon: state.time === "horizon" ? state.horizon : 0, gamma: state.time === "horizon" ? 1 : state.discount });
      plans = names.map((name) => (name === "yours" ? given() : plan(world, setting(name))));
      const error = plans.find((p) => p.error);
      if (error) return fail(error.error);
      const results = plans.map((p, i) => evaluate(world, p, setting(names[i])));
      const lost = results.find((r) => r.error);
      if (lost) return fail(lost.error);
      if (state.selected === null || !world.cells.some(([r, c]) => r === state.selected[0] && c === state.selected[1])) state.selected = world.cells[world.first[0]].slice();
      const finite = (v) => v.filter((y, s) => Number.isFinite(y) && !world.terminal[s]);
      const all = plans.flatMap((p) => Array.from(finite(p.v[0]))), low = Math.min(...all), high = Math.max(...all);
      maps.forEach((map, i) => drawMap(map, names[i], plans[i], results[i], low, high));
      readOut(names, results, setting);
      if (walks.length !== names.length) walks = [];
    }

    /** A Python solver's answer, sent by the kernel. */
    function given() {
      const s = state.solution;
      if (!s) return { error: "Waiting for your solver." };
      if (s.error) return { error: `Your solver: ${s.error}` };
      const rows = (name) => s[name].map((row) => Float64Array.from(row, Number)); // JSON has no −∞; "-Infinity" becomes one here
      return { q: rows("q"), v: rows("v"), policy: rows("policy") };
    }

    function fail(text) {
      maps.forEach((map) => { map.arrows.setAttribute("d", ""); map.texts.forEach((t) => { t.textContent = ""; }); map.rects.forEach((r, i) => paintCell(r, state.rows[(i / map.width) | 0][i % map.width], 0)); });
      numbers.replaceChildren();
      stop();
      x.say(text, true);
    }

    function buildMaps(n) {
      const height = state.rows.length, width = state.rows[0].length;
      shape = `${height},${width},${n}`;
      maps = Array.from({ length: n }, (_, which) => {
        const caption = html("figcaption"), picture = svg("svg", { viewBox: `-.04 -.04 ${width + 0.08} ${height + 0.08}`, tabindex: 0, role: "application", "data-lm-suppress-shortcuts": "true" });
        const rects = [], texts = [];
        for (let i = 0; i < width * height; i++) {
          rects.push(svg("rect", { x: i % width, y: (i / width) | 0, width: 1, height: 1, "stroke-width": 0.02 }));
          texts.push(svg("text", { x: (i % width) + 0.5, y: ((i / width) | 0) + 0.5, "font-size": 0.3 }));
        }
        const arrows = svg("path", { fill: "none", stroke: "var(--ink)", "stroke-width": 0.045, "stroke-linecap": "round", "stroke-linejoin": "round" });
        const cursor = svg("rect", { width: 0.96, height: 0.96, fill: "none", stroke: "var(--act)", "stroke-width": 0.09 });
        const trail = svg("polyline", { fill: "none", stroke: "var(--b)", "stroke-width": 0.07, "stroke-linejoin": "round", opacity: 0.8 });
        const agent = svg("circle", { r: 0.2, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 0.05, visibility: "hidden" });
        picture.append(...rects, arrows, ...texts, trail, cursor, agent);
        const at = (event) => {
          const box = picture.getBoundingClientRect();
          return [Math.floor(((event.clientY - box.top) / box.height) * (height + 0.08) - 0.04), Math.floor(((event.clientX - box.left) / box.width) * (width + 0.08) - 0.04)];
        };
        picture.addEventListener("pointerdown", (e) => touch(...at(e)));
        picture.addEventListener("pointermove", (e) => { if (e.buttons && brush !== "look" && brush !== "S") touch(...at(e)); });
        picture.addEventListener("keydown", (e) => {
          const move = MOVES[["ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft"].indexOf(e.key)];
          if (move) { e.preventDefault(); step(move); }
          if (e.key === "Enter" || e.key === " ") { e.preventDefault(); touch(...cursorAt()); }
        });
        return { caption, picture, rects, texts, arrows, cursor, trail, agent, width, figure: html("figure", {}, caption, picture) };
      });
      panels.replaceChildren(...maps.map((m) => m.figure));
    }

    let cell = null; // where the keyboard is; may be a wall, which has no numbers to select
    const cursorAt = () => cell || state.selected || [0, 0];
    function step([down, right]) {
      const [r, c] = cursorAt();
      cell = [Math.max(0, Math.min(state.rows.length - 1, r + down)), Math.max(0, Math.min(state.rows[0].length - 1, c + right))];
      if (state.rows[cell[0]][cell[1]] !== "#") x.set("selected", cell); else x.schedule();
    }

    function touch(r, c) {
      if (r < 0 || c < 0 || r >= state.rows.length || c >= state.rows[0].length) return;
      cell = [r, c];
      if (brush !== "look" && state.rows[r][c] !== brush) {
        const rows = state.rows.map((row) => (brush === "S" ? row.replace("S", ".") : row));
        rows[r] = rows[r].slice(0, c) + brush + rows[r].slice(c + 1);
        walks = [];
        x.set("rows", rows);
      }
      if (state.rows[r][c] !== "#") x.set("selected", [r, c]);
    }

    function paintCell(rect, letter, heat) {
      const [fill, opacity] = { "#": ["var(--wall)", 1], X: ["var(--bad)", 0.85], G: ["var(--good)", 0.85] }[letter] || ["var(--a)", (0.04 + 0.5 * heat).toFixed(3)];
      rect.style.fill = fill; rect.style.fillOpacity = opacity; rect.style.stroke = "var(--line)";
    }

    function drawMap(map, name, { v, q, policy }, result, low, high) {
      const dynamics = state.show === "dynamics", a = +state.action;
      map.caption.textContent = TITLES[name];
      map.picture.setAttribute("aria-label", `Map of the ${map.caption.textContent} planner. Arrow keys move the selection; Enter ${BRUSHES[brush]}.`);
      let d = "";
      const most = Math.max(...result.visits.filter((_, s) => !world.terminal[s]));
      const row = policy[0];
      map.rects.forEach((rect, i) => {
        const s = world.index[i], letter = state.rows[(i / map.width) | 0][i % map.width], text = map.texts[i];
        let label = letter === "G" || letter === "X" ? letter : "";
        if (s >= 0 && !world.terminal[s]) {
          const value = v[0][s], heat = state.show === "visits" ? Math.sqrt(result.visits[s] / (most || 1)) : dynamics ? 0 : Number.isFinite(value) ? (high > low ? (value - low) / (high - low) : 0.5) : 0;
          paintCell(rect, letter, heat);
          if (state.show === "values") label = number(value, map.width > 8 ? 0 : 1);
          else if (!dynamics) {
            const [r, c] = world.cells[s];
            for (let b = 0; b < 4; b++) if (row[s * 4 + b] > 0.04) {
              const [down, right] = MOVES[b], len = 0.42 * row[s * 4 + b], X = c + 0.5, Y = r + 0.5, ex = X + right * len, ey = Y + down * len, h = 0.03 + 0.09 * row[s * 4 + b];
              d += `M${X} ${Y}L${ex.toFixed(3)} ${ey.toFixed(3)}M${(ex - (right + down) * h).toFixed(3)} ${(ey - (down + right) * h).toFixed(3)}L${ex.toFixed(3)} ${ey.toFixed(3)}L${(ex - (right - down) * h).toFixed(3)} ${(ey - (down - right) * h).toFixed(3)}`;
            }
            if (letter === "S" && state.show === "visits") label = "S";
          }
        } else paintCell(rect, letter, 0);
        text.textContent = label;
        text.setAttribute("font-size", state.show === "values" ? 0.28 : 0.34);
      });
      map.arrows.setAttribute("d", d);
      if (dynamics) landings(map, v, a);
      const [r, c] = cursorAt();
      put(map.cursor, { x: c + 0.02, y: r + 0.02 });
    }

    /** Where the selected cell's action lands: the true chance and, under it, the one that the posterior believes in. */
    function landings(map, v, a) {
      const s = world.index[state.selected[0] * map.width + state.selected[1]];
      if (world.terminal[s]) return;
      const gamma = state.time === "horizon" ? 1 : state.discount;
      const after = state.time === "horizon" ? v[1] || new Float64Array(world.S) : v[0], bent = bentDynamics(world, after, state.temperature, gamma), sums = new Map();
      for (let k = 0; k < 3; k++) {
        const i = s * 12 + a * 3 + k, s2 = world.next[i], [p, b] = sums.get(s2) || [0, 0];
        sums.set(s2, [p + world.chance[k], b + bent[i]]);
      }
      sums.forEach(([p, b], s2) => {
        const [r, c] = world.cells[s2], text = map.texts[r * map.width + c], show = (y) => (y === 0 ? "0" : y < 0.001 ? y.toExponential(0).replace("-", "−") : y.toFixed(3));
        text.replaceChildren(svg("tspan", { x: c + 0.5, dy: "-.35em" }, show(p)), svg("tspan", { x: c + 0.5, dy: "1.25em", "font-weight": 700 }, show(b)));
        text.setAttribute("font-size", 0.26);
      });
    }

    function readOut(names, results, setting) {
      const titles = names.map((name) => TITLES[name]), T = state.time === "horizon";
      const evidence = T ? logEvidence(world, plan(world, setting("optimistic")).v[0], state.temperature) : NaN;
      const rows = [["expected return", ...results.map((r) => number(r.ret))], ["reaches the goal", ...results.map((r) => percent(r.goal))], ["falls off the cliff", ...results.map((r) => percent(r.cliff))], ["entropy of its choices (nats)", ...results.map((r) => number(r.entropy))]];
      if (T) rows.push(["ELBO (nats)", ...results.map((r) => number(r.elbo))], ["evidence log p(O) (nats)", ...results.map(() => number(evidence))], ["gap (nats)", ...results.map((r) => number(evidence - r.elbo))]);
      const [r, c] = state.selected, s = world.index[r * maps[0].width + c];
      const cellRows = NAMES.map((name, a) => [name, ...plans.flatMap((p) => [number(p.q[0][s * 4 + a]), p.policy[0][s * 4 + a].toFixed(3)])]);
      cellRows.push(["V", ...plans.flatMap((p) => [number(p.v[0][s]), ""])]);
      numbers.replaceChildren(table(["", ...titles], rows), world.terminal[s] ? html("p", {}, `Row ${r + 1}, column ${c + 1} ends the episode.`) : table([`row ${r + 1}, column ${c + 1}`, ...plans.flatMap(() => ["Q", "π"])], cellRows));
      const best = plans[0].policy[0].subarray(s * 4, s * 4 + 4), a = best.indexOf(Math.max(...best)), where = `Row ${r + 1}, column ${c + 1}`;
      x.say(cell && state.rows[cell[0]][cell[1]] === "#" ? `Row ${cell[0] + 1}, column ${cell[1] + 1}: wall.` : world.terminal[s] ? `${where}: ${world.kind[s] === "G" ? "goal" : "cliff"}.`
        : `${where}: value ${number(plans[0].v[0][s])}, goes ${NAMES[a]} with probability ${best[a].toFixed(2)}. Expected return ${results.map((y) => number(y.ret)).join(" against ")}.`);
    }

    // -- rollouts in the true dynamics
    const calm = () => root.matchMedia && root.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const draws = random(7);
    function begin(i) { const s = world.first[Math.floor(draws() * world.first.length)]; return { path: [s], t: 0, wait: 0, plan: plans[i] }; }
    function advance(walk) {
      const s = walk.path[walk.path.length - 1], steps = state.time === "horizon" ? walk.plan.policy.length : 300;
      if (world.terminal[s] || walk.t >= steps) return false;
      const pi = walk.plan.policy[state.time === "horizon" ? walk.t : 0];
      let u = draws(), a = 0, k = 0;
      while (a < 3 && (u -= pi[s * 4 + a]) > 0) a++;
      u = draws();
      while (k < 2 && (u -= world.chance[k]) > 0) k++;
      walk.path.push(world.next[s * 12 + a * 3 + k]);
      walk.t++;
      return true;
    }
    function show(walk, map) {
      const points = walk.path.map((s) => world.cells[s].map((y) => y + 0.5).reverse());
      map.trail.setAttribute("points", points.slice(-40).map((p) => p.join(",")).join(" "));
      const [cx, cy] = points[points.length - 1];
      put(map.agent, { cx, cy, visibility: "visible" });
    }
    function start() {
      if (!plans.length || plans.some((p) => p.error) || mapError(state.rows)) return;
      walks = plans.map((_, i) => begin(i));
      if (calm()) { walks.forEach((walk, i) => { while (advance(walk)); show(walk, maps[i]); }); play.textContent = "Another rollout"; return; }
      play.textContent = "Pause";
      timer = setInterval(() => {
        if (!maps[0].picture.isConnected) return stop();
        if (walks.length !== maps.length || walks.some((walk, i) => walk.plan !== plans[i])) walks = plans.map((_, i) => begin(i)); // a control moved
        walks.forEach((walk, i) => { if (!advance(walk) && ++walk.wait > 5) walks[i] = begin(i); show(walks[i], maps[i]); });
      }, 220);
    }
    function stop() { clearInterval(timer); timer = 0; play.textContent = "Play rollouts"; }

    x.draw();
    const destroy = x.api.destroy;
    return { ...x.api, destroy() { stop(); destroy(); } };
  }

  function mapError(rows) {
    if (!rows.some((row) => row.includes("G"))) return "This map has no goal. Paint one: choose “paints goal”, then click a cell.";
    if (!rows.some((row) => /[S.]/.test(row))) return "This map has no cell to start in. Paint some floor.";
    return "";
  }

  // == the hidden Markov model ======================================================================================================

  const HMM = { noise: 0.2, stickiness: 0.8, day: 6, observations: [0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0], title: "What the boots say about the weather" };
  const BOOTS = ["clean", "muddy"], WEATHER = ["dry", "wet"];

  function hmmExplorer(host, config, onChange) {
    const state = { ...HMM, ...config };
    const x = frame(host, state.title, state, onChange, redraw), T = state.observations.length;
    x.slider("Sensor noise", "noise", { min: 0, max: 0.5, step: 0.01 });
    x.slider("Stickiness of the weather", "stickiness", { min: 0.5, max: 1, step: 0.01 });
    x.slider("Today is day", "day", { min: 1, max: T, step: 1 });
    const picture = svg("svg", { viewBox: "0 0 600 190", role: "img" }), numbers = html("div", { class: "w" });
    const days = html("div", { class: "days", style: `grid-template-columns:repeat(${T},1fr)` });
    const buttons = state.observations.map((_, t) => x.button("", () => x.set("observations", state.observations.map((y, i) => (i === t ? 1 - y : y))), days));
    const step = 600 / T, top = 26, height = 130, y = (p) => top + height * (1 - p);
    picture.append(svg("text", { x: 4, y: 12, "font-size": 12, style: "text-anchor:start" }, "probability that it is wet"));
    [0, 0.5, 1].forEach((p) => picture.append(svg("line", { x1: 0, x2: 600, y1: y(p), y2: y(p), stroke: "var(--line)" })));
    const today = svg("rect", { y: top, height, width: step, fill: "var(--act)", opacity: 0.1 });
    const bars = [], dots = [], signs = [];
    picture.append(today);
    for (let t = 0; t < T; t++) {
      bars.push(svg("rect", { x: t * step + step * 0.22, width: step * 0.56, "stroke-width": 1.5 }));
      dots.push(svg("circle", { cx: (t + 0.5) * step, r: 5, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 1.5 }));
      signs.push(svg("text", { x: (t + 0.5) * step, y: 177, "font-size": Math.min(13, step * 0.3) }));
    }
    picture.append(...bars, ...dots, ...signs);
    x.picture.append(html("figure", {}, html("figcaption", {}, "Bars: what is known on the day (filled), and predicted from it (hollow). Dots: looking back with all days (smoothing). Words: the most probable whole path."), picture, days), numbers);

    function redraw() {
      const { noise: e, stickiness: k, day } = state;
      const model = { initial: [0.5, 0.5], transition: [[k, 1 - k], [1 - k, k]], emission: [[1 - e, e], [e, 1 - e]] };
      const all = hmm(model, state.observations);
      buttons.forEach((b, t) => {
        b.textContent = BOOTS[state.observations[t]];
        b.setAttribute("aria-label", `Day ${t + 1}: ${BOOTS[state.observations[t]]} boots. Press to flip.`);
        b.style.background = state.observations[t] ? "color-mix(in srgb, var(--bad) 22%, var(--panel))" : "";
      });
      today.setAttribute("x", (day - 1) * step);
      if (all.error) { numbers.replaceChildren(); bars.concat(dots).forEach((n) => n.setAttribute("visibility", "hidden")); signs.forEach((n) => { n.textContent = ""; }); return x.say(`${all.error} Add some noise, or flip a day.`, true); }
      let ahead = all.filtered[day - 1];
      const known = all.filtered.map((p, t) => {
        if (t < day) return p;
        ahead = [ahead[0] * k + ahead[1] * (1 - k), ahead[0] * (1 - k) + ahead[1] * k];
        return ahead;
      });
      known.forEach((p, t) => {
        const bar = bars[t];
        put(bar, { visibility: "visible", y: y(p[1]), height: height * p[1] });
        bar.style.fill = t < day ? "var(--a)" : "none"; bar.style.stroke = "var(--a)"; bar.style.fillOpacity = 0.65;
        bar.style.strokeDasharray = t < day ? "" : "4 3";
        put(dots[t], { visibility: "visible", cy: y(all.smoothed[t][1]) });
        signs[t].textContent = WEATHER[all.path[t]];
      });
      const next = known[day] || all.predicted[T], d = day - 1;
      picture.setAttribute("aria-label", `Probability of wet weather for ${T} days; on day ${day} it is ${known[d][1].toFixed(2)}.`);
      const until = hmm(model, state.observations.slice(0, day));
      numbers.replaceChildren(table(["", "dry", "wet"], [
        [`filtering: day ${day}, given days 1 to ${day}`, ...known[d].map((p) => p.toFixed(4))],
        [`smoothing: day ${day}, given all ${T} days`, ...all.smoothed[d].map((p) => p.toFixed(4))],
        [`prediction: day ${day + 1}, given days 1 to ${day}`, ...next.map((p) => p.toFixed(4))],
        [`prediction of the boots on day ${day + 1} (clean, muddy)`, ...[0, 1].map((o) => next.reduce((sum, p, z) => sum + p * model.emission[z][o], 0).toFixed(4))],
        [`evidence: log p of days 1 to ${day}, of all days (nats)`, number(until.logEvidence, 4), number(all.logEvidence, 4)],
      ]));
      x.say(`Day ${day}: wet with probability ${known[d][1].toFixed(3)} as known that day, ${all.smoothed[d][1].toFixed(3)} looking back. Most probable path: ${all.path.map((z) => WEATHER[z]).join(", ")}.`);
    }
    x.draw();
    return x.api;
  }

  // == the lottery ==================================================================================================================

  const LOTTERY = { sure: 1, win: 2, lose: 0, probability: 0.3, temperature: 0.5, title: "Two doors" };

  function optimisticMean({ win, lose, probability: p }, eta) {
    return eta * logSumExp([Math.log(p) + win / eta, Math.log(1 - p) + lose / eta]);
  }

  /** The temperature at which η log E exp(V/η) equals the sure pay, if there is one: it falls from the best outcome to the mean. */
  function threshold(state) {
    const mean = state.probability * state.win + (1 - state.probability) * state.lose;
    const best = state.probability === 0 ? state.lose : state.probability === 1 ? state.win : Math.max(state.win, state.lose);
    if (!(mean < state.sure && state.sure < best)) return null;
    let low = -12, high = 12;
    for (let i = 0; i < 200; i++) {
      const mid = (low + high) / 2;
      if (optimisticMean(state, Math.exp(mid)) > state.sure) low = mid; else high = mid;
    }
    return Math.exp((low + high) / 2);
  }

  function lotteryExplorer(host, config, onChange) {
    const state = { ...LOTTERY, ...config };
    const x = frame(host, state.title, state, onChange, redraw);
    x.slider("Door one pays", "sure", { min: -2, max: 4, step: 0.1, format: (y) => number(y, 1) });
    x.slider("Door two: win", "win", { min: -2, max: 6, step: 0.1, format: (y) => number(y, 1) });
    x.slider("Door two: lose", "lose", { min: -6, max: 2, step: 0.1, format: (y) => number(y, 1) });
    x.slider("Probability of a win", "probability", { min: 0, max: 1, step: 0.01 });
    x.slider("Temperature η", "temperature", { min: 0.05, max: 50, step: 0.01, log: true });
    const picture = svg("svg", { viewBox: "0 0 600 230", role: "img" }), numbers = html("div", { class: "w" });
    const line = (stroke, extra = {}) => svg("path", { fill: "none", stroke, "stroke-width": 2.5, ...extra });
    const axis = line("var(--line)", { "stroke-width": 1 }), sure = line("var(--ink)", { "stroke-dasharray": "7 5" }), mean = line("var(--a)"), optimist = line("var(--b)"), here = line("var(--act)", { "stroke-width": 1.2 });
    const dot = svg("circle", { r: 6, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 2 }), labels = [0, 1, 2, 3, 4].map(() => svg("text", { "font-size": 13 }));
    picture.append(axis, here, sure, mean, optimist, dot, ...labels);
    x.picture.append(html("figure", {}, html("figcaption", {}, "Door two as the two look-aheads see it, against temperature (logarithmic)"), picture), numbers);

    function redraw() {
      const { sure: c, win, lose, probability: p, temperature: eta } = state;
      const low = Math.min(win, lose, c), high = Math.max(win, lose, c, low + 0.5), X = (t) => 20 + (560 * Math.log(t / 0.05)) / Math.log(1000), Y = (v) => 200 - (170 * (v - low)) / (high - low);
      const ev = p * win + (1 - p) * lose, opt = optimisticMean(state, eta), t = threshold(state);
      const ts = Array.from({ length: 121 }, (_, i) => 0.05 * 1000 ** (i / 120));
      put(optimist, { d: ts.map((u, i) => `${i ? "L" : "M"}${X(u).toFixed(1)} ${Y(optimisticMean(state, u)).toFixed(1)}`).join("") });
      put(mean, { d: `M20 ${Y(ev)}H580` }); put(sure, { d: `M20 ${Y(c)}H580` }); put(axis, { d: "M20 208H580" }); put(here, { d: `M${X(eta)} 20V208` });
      put(dot, { cx: X(eta), cy: Y(opt) });
      [["door one", 540, Y(c) - 9], ["E V", 50, Y(ev) + (ev < c ? 12 : -10)], ["η log E exp(V/η)", 300, 14], ["η = 0.05", 48, 220], ["η = 50", 555, 220]].forEach(([text, lx, ly], i) => { put(labels[i], { x: lx, y: ly }).textContent = text; });
      labels[2].style.fill = "var(--b)"; labels[1].style.fill = "var(--a)";
      picture.setAttribute("aria-label", `At temperature ${short(eta)} the gamble is worth ${number(opt, 3)} to the optimist and ${number(ev, 3)} on average; the sure door pays ${number(c, 1)}.`);
      const choose = (v) => (Math.abs(v - c) < 1e-12 ? "either" : v > c ? "the gamble" : "the sure door");
      numbers.replaceChildren(table(["", "door two is worth", "prefers"], [["expectation E V", number(ev, 4), choose(ev)], ["optimist η log E exp(V/η)", number(opt, 4), choose(opt)], ["gap", number(opt - ev, 4), ""], ["changes its mind at η", t === null ? "–" : number(t, 4), ""]]));
      x.say(t === null ? (opt > c ? "The optimist gambles at every temperature shown here, or both agree." : "The optimist takes the sure door at every temperature.") : `The optimist gambles below temperature ${number(t, 3)}; now it is ${short(eta)}, and it prefers ${choose(opt)}.`);
    }
    x.draw();
    return x.api;
  }

  // == the backup ===================================================================================================================

  const BACKUP = { values: [1, 0.6, -0.5, 0.9], temperature: 0.5, title: "Choosing hard, choosing softly" };

  function backupExplorer(host, config, onChange) {
    const state = { ...BACKUP, ...config }, A = state.values.length;
    state.values.forEach((q, a) => { state[`q${a}`] = q; });
    const tell = (key, value) => {
      if (/^q\d$/.test(key)) { state.values = state.values.map((_, a) => state[`q${a}`]); if (onChange) onChange("values", state.values); } else if (onChange) onChange(key, value);
    };
    const x = frame(host, state.title, state, tell, redraw);
    state.values.forEach((_, a) => x.slider(`Q of action ${a + 1}`, `q${a}`, { min: -2, max: 2, step: 0.05, format: (y) => number(y) }));
    x.slider("Temperature η", "temperature", { min: 0.01, max: 100, step: 0.01, log: true });
    const picture = svg("svg", { viewBox: "0 0 600 260", role: "img" }), numbers = html("div", { class: "w" }), Y = (v) => 130 - 48 * Math.max(-2.5, Math.min(2.6, v));
    const bars = [], shares = [], step = 380 / A;
    picture.append(svg("line", { x1: 10, x2: 590, y1: Y(0), y2: Y(0), stroke: "var(--line)" }));
    for (let a = 0; a < A; a++) {
      bars.push(svg("rect", { x: 20 + a * step, width: step * 0.6, fill: "var(--a)", "fill-opacity": 0.55, style: "cursor:ns-resize" }));
      shares.push(svg("text", { x: 20 + a * step + step * 0.3, y: 252, "font-size": 14 }));
    }
    const lines = [["max Q", "var(--ink)", ""], ["V, counting", "var(--b)", ""], ["V, uniform prior", "var(--a)", ""], ["max Q + η log A", "var(--b)", "4 4"]].map(([name, stroke, dash]) => ({
      line: svg("line", { x1: 10, x2: 440, stroke, "stroke-width": 2.5, "stroke-dasharray": dash }), label: svg("text", { x: 450, "font-size": 13, style: "text-anchor:start" }, name),
    }));
    picture.append(...bars, ...shares, ...lines.flatMap(({ line, label }) => [line, label]));
    x.picture.append(html("figure", {}, html("figcaption", {}, "Drag a bar, or use its slider. Under each bar: the probability of its action."), picture), numbers);
    let held = -1;
    const drag = (e) => {
      const box = picture.getBoundingClientRect(), value = (130 - ((e.clientY - box.top) / box.height) * 260) / 48;
      x.set(`q${held}`, Math.max(-2, Math.min(2, Math.round(value * 20) / 20)));
    };
    picture.addEventListener("pointerdown", (e) => {
      const box = picture.getBoundingClientRect(), at = ((e.clientX - box.left) / box.width) * 600 - 20;
      held = at >= 0 && at < 380 ? Math.floor(at / step) : -1;
      if (held >= 0) { picture.setPointerCapture(e.pointerId); drag(e); }
    });
    picture.addEventListener("pointermove", (e) => { if (held >= 0 && e.buttons) drag(e); });
    picture.addEventListener("pointerup", () => { held = -1; });
    picture.style.touchAction = "none";

    function redraw() {
      const eta = state.temperature, q = state.values, best = Math.max(...q), counting = eta * logSumExp(q.map((v) => v / eta)), uniform = counting - eta * Math.log(A);
      const policy = q.map((v) => Math.exp((v - counting) / eta)), entropy = -policy.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
      q.forEach((v, a) => {
        put(bars[a], { y: Math.min(Y(v), Y(0)), height: Math.abs(Y(v) - Y(0)) });
        shares[a].textContent = policy[a] < 0.0005 ? "0.000" : policy[a].toFixed(3);
      });
      const levels = [best, counting, uniform, best + eta * Math.log(A)];
      const order = levels.map((v, i) => [Y(v), i]).sort((a, b) => a[0] - b[0]);
      let last = -20;
      order.forEach(([, i]) => { // labels keep a line's distance
        put(lines[i].line, { y1: Y(levels[i]), y2: Y(levels[i]) });
        last = Math.max(Y(levels[i]), last + 16); lines[i].label.setAttribute("y", last);
      });
      picture.setAttribute("aria-label", `Q values ${q.map((v) => number(v)).join(", ")}; hard maximum ${number(best)}, soft maximum ${number(counting, 3)}.`);
      numbers.replaceChildren(table(["", "value"], [["max Q (hard)", number(best, 4)], ["η log Σ exp(Q/η) (counting measure)", number(counting, 4)], ["its upper bound, max Q + η log A", number(levels[3], 4)], ["η log mean exp(Q/η) (uniform prior)", number(uniform, 4)], ["its lower bound, max Q − η log A", number(best - eta * Math.log(A), 4)], ["entropy of the policy (nats)", number(entropy, 4)]]));
      x.say(`The policy puts ${policy.map((p) => p.toFixed(3)).join(", ")} on its actions; the soft maximum exceeds the hard one by ${number(counting - best, 3)}.`);
    }
    x.draw();
    const update = x.api.update;
    return { ...x.api, update(changes) { if (changes.values) changes.values.forEach((q, a) => { state[`q${a}`] = q; }); update(changes); } };
  }

  // == both lives ===================================================================================================================

  const EXPLORERS = { gridworld: gridworldExplorer, hmm: hmmExplorer, lottery: lotteryExplorer, backup: backupExplorer };
  root.SoftOptimality = { gridworld, plan, evaluate, bentDynamics, logEvidence, hmm, logSumExp, optimisticMean, threshold, mount: (kind, host, config, onChange) => EXPLORERS[kind](host, config, onChange) };

  if (root.customElements) for (const kind of Object.keys(EXPLORERS)) {
    if (root.customElements.get(`so-${kind}`)) continue;
    root.customElements.define(`so-${kind}`, class extends HTMLElement {
      connectedCallback() { this.explorer ||= EXPLORERS[kind](this, JSON.parse(this.dataset.config || "{}")); }
    });
  }
})(typeof globalThis !== "undefined" ? globalThis : window);
