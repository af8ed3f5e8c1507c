/* The book's explorers: gridworld, hidden Markov model, lottery, backup.
 *
 * One plain script, no modules and no dependencies, with two lives:
 *   in a built page   <so-gridworld data-config='{...}'> and its sisters come alive when this script has loaded, from file:// too;
 *   in a live kernel  the same bytes and an `export default` are the front end of an anywidget (see __init__.py).
 * explorers.css dresses both.
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

  const SoftOptimality = { gridworld, plan, evaluate, bentDynamics, logEvidence, hmm, logSumExp, optimisticMean, threshold };
  root.SoftOptimality = SoftOptimality;

  // == controls =====================================================================================================================

  /** Set attributes. */
  const put = (node, attributes) => { for (const key in attributes) node.setAttribute(key, attributes[key]); return node; };
  const make = (namespace) => (tag, attributes, ...children) => {
    const node = put(namespace ? document.createElementNS(namespace, tag) : document.createElement(tag), attributes);
    node.append(...children);
    return node;
  };
  const html = make(""), svg = make("http://www.w3.org/2000/svg");
  const KEYS = { "data-lm-suppress-shortcuts": "true" }; // else JupyterLab's command mode eats the arrow keys
  const number = (x, digits = 2) => (x === Infinity ? "∞" : x === -Infinity ? "−∞" : Number.isNaN(x) || x == null ? "–" : (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "−"));
  const short = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? +x.toFixed(2) : +x.toPrecision(3)).toString();
  const tenths = (x) => number(x, 1);
  const percent = (x) => (Number.isNaN(x) ? "–" : `${(100 * x).toFixed(1)} %`);
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  let count = 0;

  /** What all explorers share: a box, its controls, one redraw a frame, a status that a screen reader hears. */
  function frame(host, title, state, onChange, redraw) {
    const id = `so-x${++count}`, refresh = [];
    const controls = html("div", { class: "so-controls" }), picture = html("div", { class: "so-picture" }), status = html("p", { class: "so-status", role: "status" });
    host.replaceChildren(html("div", { class: "so-x", role: "group", "aria-labelledby": id }, html("p", { class: "so-title", id }, title), controls, picture, status));
    let waiting = 0, drawnAt = 0, observer;
    const draw = () => { waiting = 0; refresh.forEach((f) => f()); redraw(); };
    const schedule = () => { waiting ||= requestAnimationFrame(draw); };
    const set = (key, value) => { state[key] = value; schedule(); if (onChange) onChange(key, value); };
    const named = (text, input, ...more) => {
      put(input, { id: `${id}c${controls.children.length}`, ...KEYS });
      const label = html("label", { for: input.id }, html("span", {}, text), input, ...more);
      controls.append(label);
      return label;
    };
    return {
      picture, controls, set, schedule, draw,
      slider(text, key, { min, max, step, log = false, format = short, get = () => state[key], change = (value) => set(key, value) }) {
        const input = html("input", { type: "range", min: log ? Math.log10(min) : min, max: log ? Math.log10(max) : max, step }), out = html("output", { "aria-hidden": "true" });
        input.addEventListener("input", () => change(log ? +(10 ** input.value).toPrecision(2) : +input.value));
        refresh.push(() => {
          input.value = log ? Math.log10(get()) : get();
          out.textContent = format(get());
          input.setAttribute("aria-valuetext", out.textContent);
        });
        return named(text, input, out);
      },
      select(text, key, options, change = (value) => set(key, value)) {
        const input = html("select", {}, ...Object.entries(options).map(([value, name]) => html("option", { value }, name)));
        input.addEventListener("change", () => change(input.value));
        if (key) refresh.push(() => { input.value = state[key]; });
        return named(text, input);
      },
      button(text, action, place) {
        const button = html("button", { type: "button", ...KEYS }, text);
        button.addEventListener("click", action);
        place.append(button);
        return button;
      },
      /** The picture's width in CSS pixels: drawn in them, text keeps its size on a telephone. A new width draws anew. */
      width() {
        if (!observer) {
          observer = new ResizeObserver(() => { if (picture.clientWidth !== drawnAt) schedule(); });
          observer.observe(picture);
        }
        drawnAt = picture.clientWidth;
        return Math.max(260, drawnAt);
      },
      say(text, error = false) { if (status.textContent !== text) status.textContent = text; status.classList.toggle("so-error", error); },
      api: {
        state,
        update(changes) { if (Object.keys(changes).some((key) => !same(changes[key], state[key]))) { Object.assign(state, changes); schedule(); } },
        destroy() { cancelAnimationFrame(waiting); if (observer) observer.disconnect(); host.replaceChildren(); },
      },
    };
  }

  function table(head, rows) {
    return html("table", {}, html("thead", {}, html("tr", {}, ...head.map((x) => html(x ? "th" : "td", x ? { scope: "col" } : {}, x)))),
      html("tbody", {}, ...rows.map(([name, ...cells]) => html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((x) => html("td", {}, x))))));
  }

  /** A move of probability p, as an SVG path. */
  function arrow([r, c], [down, right], p) {
    const X = c + 0.5, Y = r + 0.5, x = X + right * 0.42 * p, y = Y + down * 0.42 * p, h = 0.03 + 0.09 * p, at = (x, y) => `${x.toFixed(3)} ${y.toFixed(3)}`;
    return `M${X} ${Y}L${at(x, y)}M${at(x - (right + down) * h, y - (down + right) * h)}L${at(x, y)}L${at(x - (right - down) * h, y - (down - right) * h)}`;
  }

  function paintCell(rect, letter, heat) {
    const [fill, opacity] = { "#": ["var(--wall)", 1], X: ["var(--bad)", 1], G: ["var(--good)", 1] }[letter] || ["var(--a)", (0.04 + 0.5 * heat).toFixed(3)];
    rect.style.fill = fill; rect.style.fillOpacity = opacity;
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
  const LEGENDS = { policy: "shade: value; arrows: policy", values: "value of each cell", visits: "shade: visits; arrows: policy", dynamics: "true chance above, the one it plans with in bold" };
  const GRID = {
    rows: ["........", "........", "........", "SXXXXXXG"], slip: 0.1, temperature: 0.5, time: "horizon", horizon: 60, discount: 0.95, planner: "optimistic", second: "none",
    show: "policy", action: "1", stepReward: -1, goalReward: 0, cliffReward: -50, selected: null, title: "Gridworld explorer", solver: false, solution: null,
  };

  function mapError(rows) {
    if (!rows.some((row) => row.includes("G"))) return "This map has no goal. Choose “paints goal”, then click a cell.";
    if (!rows.some((row) => /[S.]/.test(row))) return "This map has no cell to start in. Paint some floor.";
    return "";
  }

  function gridworldExplorer(host, config, onChange) {
    const state = { ...GRID, ...config }, original = state.rows, offered = state.solver ? TITLES : PLANNERS;
    const x = frame(host, state.title, state, onChange, redraw);
    let brush = "look", world, maps = [], plans = [], shape = "", timer = 0, walks = [];
    let cursor = null; // the cell of the keyboard; may be a wall, which has no numbers to select
    x.slider("Slip", "slip", { min: 0, max: 1, step: 0.01 });
    x.slider("Temperature η", "temperature", { min: 0.01, max: 100, step: 0.05, log: true });
    x.select("Time", "time", { horizon: "T steps", discount: "discounted" });
    const horizon = x.slider("Horizon T", "horizon", { min: 1, max: 100, step: 1 }), discount = x.slider("Discount γ", "discount", { min: 0, max: 1, step: 0.01 });
    x.select("Planner", "planner", offered);
    x.select("Beside it", "second", { none: "nothing", ...offered });
    x.select("Show", "show", { policy: "values and policy", values: "values as numbers", visits: "where the agent goes", dynamics: "the dynamics it plans with" });
    const action = x.select("of the action", "action", { ...NAMES });
    x.select("A click", null, BRUSHES, (value) => { brush = value; maps.forEach(label); });
    const tools = html("div", { class: "so-tools" });
    x.controls.append(tools);
    const play = x.button("", () => (timer ? pause() : run()), tools);
    x.button("Reset map", () => { state.selected = cursor = null; x.set("rows", original); }, tools);
    const panels = html("div", { class: "so-panels" }), numbers = html("div", { class: "so-numbers" });
    x.picture.append(html("div", { class: "so-side" }, panels, numbers));
    pause();

    const setting = (planner) => ({ planner, temperature: state.temperature, horizon: state.time === "horizon" ? state.horizon : 0, gamma: state.time === "horizon" ? 1 : state.discount });
    const letterAt = ([r, c]) => state.rows[r][c];

    function redraw() {
      const finite = state.time === "horizon", names = [state.planner, state.second].filter((name, i) => i === 0 || name !== "none");
      horizon.hidden = !finite; discount.hidden = finite; action.hidden = state.show !== "dynamics";
      if (shape !== `${state.rows.length},${state.rows[0].length},${names.length}`) buildMaps(names.length);
      const wrong = mapError(state.rows);
      if (wrong) return fail(wrong);
      world = gridworld(state);
      const solved = {}, solve = (name) => (solved[name] ||= name === "yours" ? yours() : SoftOptimality.plan(world, setting(name)));
      plans = names.map(solve);
      const results = plans.map((p, i) => (p.error ? p : evaluate(world, p, setting(names[i])))), error = results.find((r) => r.error);
      if (error) return fail(error.error);
      if (walks.some((walk, i) => walk.plan !== plans[i])) leave(); // a control moved: the walk was another policy's
      const on = (place) => place && place[0] < state.rows.length && place[1] < state.rows[0].length;
      if (!on(cursor)) cursor = null;
      if (!on(state.selected) || letterAt(state.selected) === "#") state.selected = world.cells[world.first[0]].slice();
      const all = plans.flatMap((p) => Array.from(p.v[0]).filter((y, s) => Number.isFinite(y) && !world.terminal[s])), low = Math.min(...all), high = Math.max(...all);
      maps.forEach((map, i) => drawMap(map, names[i], plans[i], results[i], low, high));
      readOut(names, results, finite ? logEvidence(world, solve("optimistic").v[0], state.temperature) : NaN);
    }

    /** A Python solver's answer, sent by the kernel. */
    function yours() {
      const s = state.solution;
      if (s && s.error) return s;
      if (!s || s.v[0].length !== world.S || s.v.length !== (setting().horizon || 1)) return { error: "Waiting for your solver." };
      const rows = (name) => s[name].map((row) => Float64Array.from(row, Number)); // JSON has no −∞; "-Infinity" becomes one here
      return { q: rows("q"), v: rows("v"), policy: rows("policy") };
    }

    function fail(text) {
      plans = [];
      leave();
      maps.forEach((map, i) => {
        map.arrows.setAttribute("d", "");
        map.texts.forEach((t) => { t.textContent = ""; });
        map.rects.forEach((rect, j) => paintCell(rect, state.rows[(j / map.width) | 0][j % map.width], 0));
        map.name = TITLES[i ? state.second : state.planner];
        label(map);
        point(map);
      });
      numbers.replaceChildren();
      x.say(text, true);
    }

    function buildMaps(n) {
      const height = state.rows.length, width = state.rows[0].length;
      shape = `${height},${width},${n}`;
      panels.style.flexBasis = `${21 * n}rem`; // one map has the numbers at its side, two have them below
      maps = Array.from({ length: n }, () => {
        const caption = html("p", { class: "so-caption" }), picture = svg("svg", { viewBox: `-.04 -.04 ${width + 0.08} ${height + 0.08}`, tabindex: 0, role: "application", ...KEYS });
        const rects = [], texts = [];
        for (let i = 0; i < width * height; i++) {
          rects.push(svg("rect", { x: i % width, y: (i / width) | 0, width: 1, height: 1, stroke: "var(--line)", "stroke-width": 0.02 }));
          texts.push(svg("text", { x: (i % width) + 0.5, y: ((i / width) | 0) + 0.5 }));
        }
        const drawn = (tag, stroke, width, more) => svg(tag, { fill: "none", stroke, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round", ...more });
        const arrows = drawn("path", "var(--ink)", 0.045), here = drawn("rect", "var(--act)", 0.09, { width: 0.96, height: 0.96 });
        const trail = drawn("polyline", "var(--b)", 0.07), agent = svg("circle", { r: 0.2, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 0.05, visibility: "hidden" });
        picture.append(...rects, arrows, ...texts, trail, here, agent);
        const at = (event) => {
          const box = picture.getBoundingClientRect();
          return [Math.floor(((event.clientY - box.top) / box.height) * (height + 0.08) - 0.04), Math.floor(((event.clientX - box.left) / box.width) * (width + 0.08) - 0.04)];
        };
        picture.addEventListener("pointerdown", (e) => touch(at(e)));
        picture.addEventListener("pointermove", (e) => { if (e.buttons && brush !== "look" && brush !== "S") touch(at(e)); });
        picture.addEventListener("keydown", (e) => {
          const move = MOVES[["ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft"].indexOf(e.key)];
          if (move) step(move); else if (e.key === "Enter" || e.key === " ") touch(cursor || state.selected || [0, 0]); else return;
          e.preventDefault();
        });
        // no wider than that the map stays on the screen with its controls
        return { caption, picture, rects, texts, arrows, here, trail, agent, width, box: html("div", { style: `max-width:${(27 * Math.max(width / height, 0.5)).toFixed(1)}rem` }, caption, picture) };
      });
      panels.replaceChildren(...maps.map((map) => map.box));
    }

    function select(place) {
      cursor = place;
      if (letterAt(place) !== "#") x.set("selected", place); else x.schedule();
    }
    function step([down, right]) {
      const [r, c] = cursor || state.selected || [0, 0];
      select([Math.max(0, Math.min(state.rows.length - 1, r + down)), Math.max(0, Math.min(state.rows[0].length - 1, c + right))]);
    }
    function touch([r, c]) {
      if (r < 0 || c < 0 || r >= state.rows.length || c >= state.rows[0].length) return;
      if (brush !== "look" && state.rows[r][c] !== brush) {
        const rows = state.rows.map((row) => (brush === "S" ? row.replace("S", ".") : row)); // one start: painting it moves it
        rows[r] = rows[r].slice(0, c) + brush + rows[r].slice(c + 1);
        x.set("rows", rows);
      }
      select([r, c]);
    }

    function label(map) {
      map.caption.replaceChildren(html("b", {}, map.name), ` – ${LEGENDS[state.show]}`);
      map.picture.style.touchAction = brush === "look" ? "manipulation" : "none"; // a finger paints, or scrolls the page
      map.picture.setAttribute("aria-label", `Map of the planner: ${map.name}. Arrow keys move; Enter ${BRUSHES[brush]}.`);
    }

    function point(map) {
      const [r, c] = cursor || state.selected || [0, 0];
      put(map.here, { x: c + 0.02, y: r + 0.02 });
    }

    function drawMap(map, name, { v, policy }, { visits }, low, high) {
      const { show } = state, row = policy[0], most = Math.max(...visits.filter((_, s) => !world.terminal[s])) || 1;
      map.name = TITLES[name];
      label(map);
      let d = "";
      map.rects.forEach((rect, i) => {
        const s = world.index[i], letter = state.rows[(i / map.width) | 0][i % map.width], text = map.texts[i], end = s < 0 || world.terminal[s];
        let word = end && letter !== "#" ? letter : "", heat = 0;
        if (!end) {
          const value = v[0][s];
          if (show === "visits") heat = Math.sqrt(visits[s] / most);
          else if (show !== "dynamics" && Number.isFinite(value)) heat = high > low ? (value - low) / (high - low) : 0.5;
          if (show === "values") word = number(value, map.width > 8 ? 0 : 1);
          else if (show !== "dynamics") for (let a = 0; a < 4; a++) if (row[s * 4 + a] > 0.04) d += arrow(world.cells[s], MOVES[a], row[s * 4 + a]);
        }
        paintCell(rect, letter, heat);
        text.textContent = word;
        text.classList.toggle("so-end", end);
        text.setAttribute("font-size", Math.min(0.34, 1.6 / word.length)); // as large as fits
      });
      map.arrows.setAttribute("d", d);
      if (show === "dynamics") landings(v, name).forEach(([s, p, b]) => {
        const [r, c] = world.cells[s], text = map.texts[r * map.width + c];
        text.replaceChildren(svg("tspan", { x: c + 0.5, dy: "-.5em" }, p), svg("tspan", { x: c + 0.5, dy: "1.2em", "font-weight": 700 }, b));
        text.setAttribute("font-size", 0.3);
      });
      point(map);
    }

    /** Where the selected cell's action lands: [state, true chance, the chance that it plans with: the posterior bends it]. */
    function landings(v, name) {
      const [r, c] = state.selected, s = world.index[r * world.width + c], finite = state.time === "horizon", sums = new Map();
      if (world.terminal[s]) return [];
      const after = finite ? v[1] || new Float64Array(world.S) : v[0], bent = bentDynamics(world, after, state.temperature, setting().gamma);
      for (let k = 0; k < 3; k++) {
        const i = s * 12 + state.action * 3 + k, [p, b] = sums.get(world.next[i]) || [0, 0];
        sums.set(world.next[i], [p + world.chance[k], b + (name === "optimistic" ? bent[i] : world.chance[k])]);
      }
      const text = (y) => (y === 0 ? "0" : y < 0.001 ? y.toExponential(0).replace("-", "−") : y.toFixed(3));
      return [...sums].filter(([, [p]]) => p > 0).map(([s2, [p, b]]) => [s2, text(p), text(b)]);
    }

    function readOut(names, results, evidence) {
      const titles = names.map((name) => TITLES[name]), line = (name, write) => [name, ...results.map(write)];
      const rows = [line("expected return", (r) => number(r.ret)), line("reaches the goal", (r) => percent(r.goal)), line("falls off a cliff", (r) => percent(r.cliff)), line("entropy of its choices (nats)", (r) => number(r.entropy))];
      if (state.time === "horizon") rows.push(line("ELBO (nats)", (r) => number(r.elbo)), line("evidence log p(O) (nats)", () => number(evidence)), line("gap (nats)", (r) => number(evidence - r.elbo)));
      const place = ([r, c]) => `row ${r + 1}, column ${c + 1}`, s = world.index[state.selected[0] * world.width + state.selected[1]], here = place(state.selected);
      const tables = [table(["", ...titles], rows)];
      if (!world.terminal[s]) {
        tables.push(table([here, ...plans.flatMap(() => ["Q", "π"])], [
          ...NAMES.map((name, a) => [name, ...plans.flatMap((p) => [number(p.q[0][s * 4 + a]), p.policy[0][s * 4 + a].toFixed(3)])]),
          ["V", ...plans.flatMap((p) => [number(p.v[0][s]), ""])],
          ["visits", ...results.flatMap((r) => [number(r.visits[s]), ""])],
        ]));
        if (state.show === "dynamics") plans.forEach((p, i) => tables.push(table([`${NAMES[state.action]} lands on`, "true", titles[i]], landings(p.v, names[i]).map(([s2, ...chances]) => [place(world.cells[s2]), ...chances]))));
      }
      numbers.replaceChildren(...tables);
      const best = plans[0].policy[0].subarray(s * 4, s * 4 + 4), a = best.indexOf(Math.max(...best)), capital = (text) => text[0].toUpperCase() + text.slice(1);
      x.say(cursor && letterAt(cursor) === "#" ? `${capital(place(cursor))}: wall.` : world.terminal[s] ? `${capital(here)}: ${world.kind[s] === "G" ? "goal" : "cliff"}; it ends the episode.`
        : `${capital(here)}: value ${number(plans[0].v[0][s])}, goes ${NAMES[a]} with probability ${best[a].toFixed(2)}. Expected return ${results.map((y) => number(y.ret)).join(" against ")}.`);
    }

    // -- rollouts in the true dynamics
    const draws = random(7);
    function begin(plan) { return { path: [world.first[Math.floor(draws() * world.first.length)]], wait: 0, plan }; }
    function advance({ path, plan: { policy } }) {
      const s = path[path.length - 1], t = path.length - 1, finite = state.time === "horizon";
      if (world.terminal[s] || t >= (finite ? policy.length : 300)) return false;
      let u = draws(), a = 0, k = 0;
      while (a < 3 && (u -= policy[finite ? t : 0][s * 4 + a]) > 0) a++;
      u = draws();
      while (k < 2 && (u -= world.chance[k]) > 0) k++;
      path.push(world.next[s * 12 + a * 3 + k]);
      return true;
    }
    function show({ path }, map) {
      const points = path.map((s) => world.cells[s].map((y) => y + 0.5).reverse()), [cx, cy] = points[points.length - 1];
      map.trail.setAttribute("points", points.slice(-40).join(" "));
      put(map.agent, { cx, cy, visibility: "visible" });
    }
    function tick() {
      if (!maps[0].picture.isConnected) return pause();
      if (!walks.length) walks = plans.map(begin);
      walks.forEach((walk, i) => { if (!advance(walk) && ++walk.wait > 5) walks[i] = begin(plans[i]); show(walks[i], maps[i]); });
    }
    function run() {
      if (!plans.length) return;
      if (root.matchMedia("(prefers-reduced-motion: reduce)").matches) { // the whole walk at once, and nothing moves
        walks = plans.map(begin);
        return walks.forEach((walk, i) => { while (advance(walk)); show(walk, maps[i]); });
      }
      timer = setInterval(tick, 220);
      play.textContent = "Pause";
      tick();
    }
    function pause() { clearInterval(timer); timer = 0; play.textContent = walks.length ? "Go on" : "Play rollouts"; }
    function leave() {
      walks = [];
      maps.forEach((map) => { map.trail.setAttribute("points", ""); map.agent.setAttribute("visibility", "hidden"); });
      if (!timer || !plans.length) pause();
    }

    x.draw();
    return { ...x.api, destroy() { pause(); x.api.destroy(); } };
  }

  // == the hidden Markov model ======================================================================================================

  const HMM = { noise: 0.2, stickiness: 0.8, day: 6, observations: [0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0], title: "What the boots say about the weather" };
  const BOOTS = ["clean", "muddy"], WEATHER = ["dry", "wet"];

  function hmmExplorer(host, config, onChange) {
    const state = { ...HMM, ...config }, T = state.observations.length;
    const x = frame(host, state.title, state, onChange, redraw);
    x.slider("Sensor noise", "noise", { min: 0, max: 1, step: 0.01 });
    x.slider("Stickiness", "stickiness", { min: 0, max: 1, step: 0.01 });
    x.slider("Today is day", "day", { min: 1, max: T, step: 1 });
    const picture = svg("svg", { role: "img" }), numbers = html("div", { class: "so-numbers" }), days = html("div", { class: "so-days", style: `grid-template-columns:repeat(${T},1fr)` });
    const buttons = state.observations.map((_, t) => x.button("", () => x.set("observations", state.observations.map((y, i) => (i === t ? 1 - y : y))), days));
    x.picture.append(html("p", { class: "so-caption" }, "Probability of wet weather. Bars: what is known on the day (filled), and predicted from it (hollow). Dots: looking back with all days (smoothing). Words: the most probable whole path. Press a day’s boots to flip them."), picture, days, numbers);

    function redraw() {
      const { noise: e, stickiness: k, day, observations } = state, W = x.width(), step = W / T, top = 8, height = 130, y = (p) => top + height * (1 - p);
      const model = { initial: [0.5, 0.5], transition: [[k, 1 - k], [1 - k, k]], emission: [[1 - e, e], [e, 1 - e]] };
      const all = hmm(model, observations);
      buttons.forEach((button, t) => {
        const boots = BOOTS[observations[t]];
        button.textContent = boots;
        put(button, { "aria-label": `Day ${t + 1}: ${boots} boots. Press to flip.`, class: boots });
      });
      put(picture, { viewBox: `0 0 ${W} 168`, "aria-label": all.error || `Probability of wet weather for ${T} days.` });
      const lines = [0, 0.5, 1].map((p) => svg("line", { x1: 0, x2: W, y1: y(p), y2: y(p), stroke: "var(--line)" }));
      if (all.error) {
        picture.replaceChildren(...lines);
        numbers.replaceChildren();
        return x.say(`${all.error} Add some noise, or flip a day.`, true);
      }
      const known = [];
      for (let t = 0; t <= T; t++) {
        const p = known[t - 1];
        known[t] = t < day ? all.filtered[t] : [p[0] * k + p[1] * (1 - k), p[0] * (1 - k) + p[1] * k];
      }
      picture.replaceChildren(svg("rect", { x: (day - 1) * step, y: top, height, width: step, fill: "var(--act)", opacity: 0.1 }), ...lines, ...observations.flatMap((_, t) => [
        svg("rect", { x: (t + 0.22) * step, y: y(known[t][1]), width: step * 0.56, height: height * known[t][1], stroke: "var(--a)", "stroke-width": 1.5, fill: t < day ? "var(--a)" : "none", "fill-opacity": 0.65, "stroke-dasharray": t < day ? "" : "4 3" }),
        svg("circle", { cx: (t + 0.5) * step, cy: y(all.smoothed[t][1]), r: 5, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 1.5 }),
        svg("text", { x: (t + 0.5) * step, y: 154, "font-size": Math.min(13, step * 0.46) }, WEATHER[all.path[t]]),
      ]));
      const d = day - 1, next = known[day], until = hmm(model, observations.slice(0, day));
      numbers.replaceChildren(table(["", "dry", "wet"], [
        [`filtering: day ${day}, given days 1 to ${day}`, ...known[d].map((p) => p.toFixed(4))],
        [`smoothing: day ${day}, given all ${T} days`, ...all.smoothed[d].map((p) => p.toFixed(4))],
        [`prediction: day ${day + 1}, given days 1 to ${day}`, ...next.map((p) => p.toFixed(4))],
      ]), table(["", "clean", "muddy"], [[`prediction: boots on day ${day + 1}`, ...[0, 1].map((o) => next.reduce((sum, p, z) => sum + p * model.emission[z][o], 0).toFixed(4))]]),
      table(["evidence (nats)", "log p"], [[`days 1 to ${day}`, number(until.logEvidence, 4)], [`all ${T} days`, number(all.logEvidence, 4)]]));
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
    const pay = { min: -10, max: 10, step: 0.1, format: tenths };
    x.slider("Door one pays", "sure", pay);
    x.slider("Door two: win", "win", pay);
    x.slider("Door two: lose", "lose", pay);
    x.slider("Probability of a win", "probability", { min: 0, max: 1, step: 0.01 });
    x.slider("Temperature η", "temperature", { min: 0.05, max: 50, step: 0.05, log: true });
    const picture = svg("svg", { role: "img" }), numbers = html("div", { class: "so-numbers" }), line = (stroke, more) => svg("path", { fill: "none", stroke, "stroke-width": 2.5, ...more });
    const KINDS = [["what the optimist sees, η log E exp(V/η)", "var(--b)", ""], ["the expectation E V", "var(--a)", ""], ["door one", "var(--ink)", "7 5"]];
    const key = KINDS.map(([name, stroke, dash]) => html("span", {}, svg("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" }, line(stroke, { d: "M0 5H30", "stroke-dasharray": dash })), name));
    x.picture.append(html("p", { class: "so-caption" }, "What door two is worth, against temperature"), html("div", { class: "so-key" }, ...key), picture, numbers);

    function redraw() {
      const { sure: c, win, lose, probability: p, temperature: eta } = state, W = x.width(), left = 34, right = W - 12;
      const low = Math.min(win, lose, c), high = Math.max(win, lose, c, low + 0.5), X = (t) => left + ((right - left) * Math.log(t / 0.05)) / Math.log(1000), Y = (v) => 190 - (175 * (v - low)) / (high - low);
      const ev = p * win + (1 - p) * lose, opt = optimisticMean(state, eta), t = threshold(state);
      const curve = Array.from({ length: 121 }, (_, i) => 0.05 * 1000 ** (i / 120)).map((u) => `${X(u).toFixed(1)} ${Y(optimisticMean(state, u)).toFixed(1)}`);
      const ways = [`M${curve.join("L")}`, `M${left} ${Y(ev)}H${right}`, `M${left} ${Y(c)}H${right}`];
      const words = [[left - 16, Y(low), tenths(low)], [left - 16, Y(high), tenths(high)], ...[0.1, 1, 10].map((u) => [X(u), 214, `η = ${u}`])];
      put(picture, { viewBox: `0 0 ${W} 224`, "aria-label": `At temperature ${short(eta)} the gamble is worth ${number(opt, 3)} to the optimist and ${number(ev, 3)} on average; the sure door pays ${tenths(c)}.` });
      picture.replaceChildren(line("var(--line)", { d: `M${left} 200H${right}${[0.1, 1, 10].map((u) => `M${X(u)} 200v5`).join("")}`, "stroke-width": 1 }), line("var(--act)", { d: `M${X(eta)} 10V200`, "stroke-width": 1.2 }),
        ...KINDS.map(([, stroke, dash], i) => line(stroke, { d: ways[i], "stroke-dasharray": dash })).reverse(),
        svg("circle", { cx: X(eta), cy: Y(opt), r: 6, fill: "var(--b)", stroke: "var(--paper)", "stroke-width": 2 }), ...words.map(([wx, wy, word]) => svg("text", { x: wx, y: wy, "font-size": 13 }, word)));
      const choose = (v) => (Math.abs(v - c) < 1e-12 ? "either" : v > c ? "the gamble" : "the sure door");
      numbers.replaceChildren(table(["", "door two is worth", "prefers"], [["expectation E V", number(ev, 4), choose(ev)], ["optimist η log E exp(V/η)", number(opt, 4), choose(opt)], ["gap", number(opt - ev, 4), ""], ["changes its mind at η", t === null ? "–" : number(t, 4), ""]]));
      x.say(t === null ? `The optimist prefers ${choose(opt)} at every temperature.` : `The optimist gambles below temperature ${number(t, 3)}; now it is ${short(eta)}, and it prefers ${choose(opt)}.`);
    }
    x.draw();
    return x.api;
  }

  // == the backup ===================================================================================================================

  const BACKUP = { values: [1, 0.6, -0.5, 0.9], temperature: 0.5, title: "Choosing hard, choosing softly" };

  function backupExplorer(host, config, onChange) {
    const state = { ...BACKUP, ...config }, A = state.values.length;
    const x = frame(host, state.title, state, onChange, redraw);
    const change = (a, value) => x.set("values", state.values.map((q, i) => (i === a ? value : q)));
    state.values.forEach((_, a) => x.slider(`Q of action ${a + 1}`, null, { min: -2, max: 2, step: 0.05, format: number, get: () => state.values[a], change: (value) => change(a, value) }));
    x.slider("Temperature η", "temperature", { min: 0.01, max: 100, step: 0.05, log: true });
    const picture = svg("svg", { role: "img" }), numbers = html("div", { class: "so-numbers" });
    x.picture.append(html("p", { class: "so-caption" }, "Drag the top of a bar, or use its slider. Below: the probability of each action."), picture, numbers);
    const unit = 38, zero = 118, ground = 262, Y = (v) => zero - unit * v, bars = state.values.map((_, a) => {
      const hold = svg("rect", { class: "so-hold", fill: "transparent" }); // wider than the bar's end, for a finger
      const drag = (e) => {
        const box = picture.getBoundingClientRect(), value = (zero - ((e.clientY - box.top) / box.height) * 280) / unit;
        change(a, Math.max(-2, Math.min(2, Math.round(value * 20) / 20)));
      };
      hold.addEventListener("pointerdown", (e) => { hold.setPointerCapture(e.pointerId); drag(e); });
      hold.addEventListener("pointermove", (e) => { if (e.buttons) drag(e); });
      return { bar: svg("rect", { fill: "var(--a)", "fill-opacity": 0.55 }), grip: svg("line", { stroke: "var(--a)", "stroke-width": 5, "stroke-linecap": "round" }), share: svg("rect", { fill: "var(--b)", "fill-opacity": 0.7 }), text: svg("text", { y: 272 }), hold };
    });
    const scale = [-2, -1, 0, 1, 2].map((v) => [svg("line", { x1: 24, y1: Y(v), y2: Y(v), stroke: "var(--line)", "stroke-width": v ? 0.5 : 1.5 }), svg("text", { x: 10, y: Y(v), "font-size": 12 }, number(v, 0))]);
    const lines = [["max Q + η log A", "var(--b)", "4 4"], ["soft V (counting)", "var(--b)", ""], ["max Q", "var(--ink)", ""], ["soft V (uniform)", "var(--a)", ""]].map(([name, stroke, dash]) => ({
      name, line: svg("line", { x1: 24, stroke, "stroke-width": 2.5, "stroke-dasharray": dash }), label: svg("text", { "font-size": 12.5, class: "so-left" }),
    }));
    picture.append(...scale.flat(), ...bars.flatMap((b) => [b.bar, b.grip, b.share, b.text]), ...lines.flatMap((l) => [l.line, l.label]), ...bars.map((b) => b.hold));

    function redraw() {
      const { values: q, temperature: eta } = state, W = x.width(), right = W - 126, step = (right - 24) / A;
      const best = Math.max(...q), spread = eta * Math.log(A), counting = eta * logSumExp(q.map((v) => v / eta)), uniform = counting - spread;
      const policy = q.map((v) => Math.exp((v - counting) / eta)), entropy = -policy.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
      bars.forEach(({ bar, grip, share, text, hold }, a) => {
        const left = 24 + (a + 0.2) * step, width = 0.6 * step, span = { y: Math.min(Y(q[a]), zero), height: Math.abs(Y(q[a]) - zero) };
        put(bar, { x: left, width, ...span });
        put(grip, { x1: left, x2: left + width, y1: Y(q[a]), y2: Y(q[a]) });
        put(hold, { x: left - 0.2 * step, width: step, y: span.y - 14, height: span.height + 28 });
        put(share, { x: left, width, y: ground - 50 * policy[a], height: 50 * policy[a] });
        put(text, { x: left + width / 2, "font-size": Math.min(13, 0.32 * step) }).textContent = policy[a].toFixed(3);
      });
      scale.forEach(([line]) => line.setAttribute("x2", right));
      const levels = [best + spread, counting, best, uniform], places = [];
      levels.forEach((v, i) => { places[i] = Math.max(Y(Math.min(v, 2.9)), i ? places[i - 1] + 15 : 8); }); // from the top down, a line's distance apart
      for (let i = 3, last = 205; i >= 0; i--) last = (places[i] = Math.min(places[i], last)) - 15; // and none below the scale
      lines.forEach(({ name, line, label }, i) => {
        put(line, { x2: right, y1: Y(levels[i]), y2: Y(levels[i]), visibility: Y(levels[i]) < 4 || Y(levels[i]) > 205 ? "hidden" : "visible" });
        put(label, { x: right + 5, y: places[i] }).textContent = name + (Y(levels[i]) < 4 ? " ↑" : Y(levels[i]) > 205 ? " ↓" : "");
      });
      put(picture, { viewBox: `0 0 ${W} 280`, "aria-label": `Q values ${q.map((v) => number(v)).join(", ")}; hard maximum ${number(best)}, soft maximum ${number(counting, 3)}.` });
      numbers.replaceChildren(table(["", "value"], [["max Q (hard)", number(best, 4)], ["η log Σ exp(Q/η) (counting measure)", number(counting, 4)], ["its upper bound, max Q + η log A", number(levels[0], 4)], ["η log mean exp(Q/η) (uniform prior)", number(uniform, 4)], ["its lower bound, max Q − η log A", number(best - spread, 4)], ["entropy of the policy (nats)", number(entropy, 4)]]));
      x.say(`The policy puts ${policy.map((p) => p.toFixed(3)).join(", ")} on its actions; the soft maximum exceeds the hard one by ${number(counting - best, 3)}.`);
    }
    x.draw();
    return x.api;
  }

  // == both lives ===================================================================================================================

  const EXPLORERS = {};

  SoftOptimality.mount = (kind, host, config, onChange) => {
    let explorer = EXPLORERS[kind](host, config, onChange);
    return {
      destroy() { explorer.destroy(); },
      update(changes) { // another number of days or actions has other controls
        const { state } = explorer;
        if (["observations", "values"].every((key) => !changes[key] || changes[key].length === state[key].length)) return explorer.update(changes);
        explorer.destroy();
        explorer = EXPLORERS[kind](host, { ...state, ...changes }, onChange);
      },
    };
  };

  SoftOptimality.define = (kind, explorer) => {
    EXPLORERS[kind] = explorer;
    const { customElements } = root, name = `so-${kind}`;
    if (!customElements || customElements.get(name)) return;
    customElements.define(name, class extends HTMLElement {
      connectedCallback() { this.explorer ||= SoftOptimality.mount(kind, this, JSON.parse(this.dataset.config || "{}")); }
    });
  };

  SoftOptimality.kit = { frame, html, svg, put, table, number, arrow, paintCell, MOVES, NAMES }; // what learning.js shares
  Object.entries({ gridworld: gridworldExplorer, hmm: hmmExplorer, lottery: lotteryExplorer, backup: backupExplorer }).forEach((x) => SoftOptimality.define(...x));
})(typeof globalThis !== "undefined" ? globalThis : window);
