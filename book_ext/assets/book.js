// A display that is wider than its box scrolls inside it: by touch, and, while it overflows, by keyboard.
document.addEventListener("DOMContentLoaded", () => {
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
