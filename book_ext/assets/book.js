// A display that is wider than its box scrolls inside it: by touch, and, while it overflows, by keyboard.
document.addEventListener("DOMContentLoaded", () => {
  // A Python in the browser needs a server; on a page opened from a file its button would lead nowhere.
  const lite = document.getElementById("launch-lite");
  if (lite && location.protocol === "file:") lite.hidden = true;

  const mark = (box) => {
    const wide = box.scrollWidth > box.clientWidth + 1;
    if (wide === box.hasAttribute("tabindex")) return;
    if (wide) {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Equation, scrolls sideways");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  const boxes = document.querySelectorAll(".math-scroll");
  boxes.forEach((box) => watch.observe(box));
  document.fonts.ready.then(() => boxes.forEach(mark)); // the box keeps its size when its font arrives; its content does not

  // A link to a place inside a closed dropdown opens it.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target && target.closest("details:not([open])");
    if (closed) {
      closed.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();
});

// A file's search cannot read the other files for its summaries; the results stand without them.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// How far the reader came on each page, and where they were last: kept in this browser, sent nowhere.
document.addEventListener("DOMContentLoaded", () => {
  const KEY = "soft-optimality";
  const load = () => {
    try {
      return { read: {}, ...JSON.parse(localStorage.getItem(KEY)) };
    } catch {
      return { read: {} }; // storage that is full, forbidden or another's
    }
  };
  const save = (state) => {
    try {
      localStorage.setItem(KEY, JSON.stringify(state));
    } catch {
      // a reader who allows no storage reads on all the same
    }
  };
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const name = (url) => url.href.split(/[?#]/)[0].slice(root.href.length);
  const page = name(new URL(location.href));

  const showMarks = () => {
    const { read } = load();
    for (const link of document.querySelectorAll(".bd-links a[href]")) {
      const share = read[name(new URL(link.href))] || 0;
      if (share < 0.05) continue;
      const mark = link.querySelector(".read-mark") || link.appendChild(document.createElement("span"));
      mark.className = "read-mark";
      mark.textContent = share > 0.9 ? "✓" : `${Math.round(100 * share)} %`;
      mark.title = share > 0.9 ? "read" : "read so far";
    }
  };

  const place = document.querySelector(".book-place");
  const { last } = load();
  if (place && last && last.page !== page && /^[\w/.-]+\.html$/.test(last.page)) {
    const link = place.appendChild(document.createElement("a"));
    link.href = new URL(last.page, root).href + (last.section ? `#${encodeURIComponent(last.section)}` : "");
    link.textContent = `Go on reading: ${last.title}`;
  }

  const headings = [...document.querySelectorAll("article section[id] > :is(h1, h2, h3)")];
  const remember = () => {
    const state = load();
    const share = (scrollY + innerHeight) / document.documentElement.scrollHeight;
    state.read[page] = Math.max(state.read[page] || 0, Math.round(100 * Math.min(share, 1)) / 100);
    const here = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 3).pop();
    state.last = { page, section: here ? here.parentElement.id : "", title: document.title.split(" — ")[0] };
    save(state);
    showMarks();
  };
  showMarks();
  if (!/^chapters\/\d/.test(page) || place) return;
  let waiting = 0;
  addEventListener("scroll", () => {
    clearTimeout(waiting);
    waiting = setTimeout(remember, 300);
  }, { passive: true });
});

// Heads of a sortable table sort its rows: by number where cells hold one, else by letters; once more turns it round.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const text = row.cells[column].textContent.trim();
      const number = text.replace(/,/g, "").replace(/\u2011/g, "-").match(/^\d+|\d+e-\d+|\b0\.\d+/);
      return number ? parseFloat(number[0]) : text;
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.querySelector("p").childNodes);
      head.querySelector("p").append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none");
        const order = (a, b) => {
          const [x, y] = [value(a, column), value(b, column)];
          return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true }); // (2.9) before (2.10)
        };
        body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
      });
    });
  }
});
