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
