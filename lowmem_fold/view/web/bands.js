// Bands of a value as the page's data lists them, and the legends that name them.

const WITHOUT_VALUE = DATA.withoutValue;

// Of pLDDT, from the best: a value on the border of the best band is not in it, the others' borders are in the better one.
function bandOf(bands, value) {
  return bands.find((band, i) => (i === 0 ? value > band.floor : value >= band.floor)) ?? bands[bands.length - 1];
}

function plddtColor(bands, value) {
  return value === null || value === undefined ? WITHOUT_VALUE : bandOf(bands, value).color;
}

// Of distances, from near to far: a border is of the farther one.
function distanceColor(bands, value) {
  if (value === null || value === undefined) return WITHOUT_VALUE;
  return bands.findLast((band) => value >= band.floor).color;
}

// Bands with both their ends, those of which one begins below `top`.
function ranges(bands, top) {
  const floors = [...bands.map((band) => band.floor), top].sort((a, b) => a - b);
  return bands
    .filter((band) => band.floor < top)
    .map((band) => ({ ...band, ceiling: Math.min(top, floors[floors.indexOf(band.floor) + 1]) }));
}

function legend(entries) {
  const items = entries.map(({ color, name, label }) =>
    make(
      "li",
      {},
      make("span", { class: "swatch", style: `background:${color}` }),
      make("span", {}, name, label ? make("span", { class: "range" }, ` ${label}`) : null),
    ),
  );
  return make("ul", { class: "legend" }, ...items);
}
