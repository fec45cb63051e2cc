// Making elements. What a record says of itself only ever becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

// The value of a CSS variable of the page, for what CSS does not reach: the 3D view and the pixels of the map.
function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function whenThemeChanges(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

// Calls redraw(width) now and whenever the width of a node changes.
function whenResized(node, redraw) {
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.floor(node.clientWidth);
    if (now > 0 && now !== width) redraw((width = now));
  }).observe(node);
}
