// The predicted aligned error of each pair of residues: a row for the residue aligned on, a column for the one judged.

const PAE_COLORS = {
  light: ["#00441b", "#1f8742", "#6cc077", "#c3e7bf", "#ffffff"],
  dark: ["#e0f7da", "#86d77f", "#2f9a4c", "#14522c", "#14191f"],
};
const UNKNOWN_ERROR = 255;
const STEPS_PER_ANGSTROM = 4;

class ErrorMap {
  constructor({ bins, limit }, errors, residues, cursor) {
    Object.assign(this, { bins, limit, errors, residues, cursor });
    this.svg = draw("svg", {
      class: "plot map",
      role: "application",
      tabindex: 0,
      "aria-label": "Predicted aligned error: left and right choose the residue judged, up and down the one aligned on",
      pointermove: (event) => this.point(event),
      pointerdown: (event) => this.point(event),
      keydown: (event) => this.step(event),
    });
    this.bar = make("canvas", { class: "bar", width: 128, height: 1, role: "img", "aria-label": "colours of the errors" });
    const scale = make(
      "div",
      { class: "scale" },
      make("span", {}, "0"),
      this.bar,
      make("span", {}, `${Number(limit.toFixed(2))} Å`),
    );
    const per = residues.length / bins;
    this.means = per > 1;
    const means = `Each point is a mean over ${Math.floor(per)}${per % 1 ? ` or ${Math.ceil(per)}` : ""} residues each way.`;
    const hint = this.means ? make("p", { class: "hint" }, means) : null;
    this.node = make("div", { class: "map-room" }, make("div", { class: "plot-room" }, this.svg), scale, hint);
    this.margin = { left: residues.chains.length > 1 ? 54 : 40, right: 10, top: 8, bottom: residues.chains.length > 1 ? 52 : 38 };
    whenResized(this.node.firstChild, (width) => this.redraw(width));
    cursor.listen(() => this.mark());
  }

  // The error in Angstrom of residue `at` when aligned on residue `from`, null if the model said none; of a long protein
  // the mean over their neighbours.
  error(from, at) {
    const bin = (place) => Math.floor((place * this.bins) / this.residues.length);
    const value = this.errors[bin(from) * this.bins + bin(at)];
    return value === UNKNOWN_ERROR ? null : value / STEPS_PER_ANGSTROM;
  }

  place(x) {
    return this.margin.left + (x / this.residues.length) * this.side;
  }

  placeDown(y) {
    return this.margin.top + (y / this.residues.length) * this.side;
  }

  redraw(width) {
    const { left, right, top, bottom } = this.margin;
    this.width = width;
    this.side = width - left - right;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.side + top + bottom}`);
    this.svg.setAttribute("height", this.side + top + bottom);
    this.marks = draw("g", { class: "marks" });
    const image = draw("image", {
      x: left,
      y: top,
      width: this.side,
      height: this.side,
      preserveAspectRatio: "none",
      href: this.picture(),
    });
    const frame = draw("rect", { class: "frame", x: left, y: top, width: this.side, height: this.side });
    this.svg.replaceChildren(image, frame, ...this.borders(), ...this.axes(), this.marks);
    this.mark();
  }

  // 256 colours as red, green, blue: those of the errors in steps, up to the limit, and the one of no error.
  palette() {
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const stops = PAE_COLORS[theme].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    return Array.from({ length: 256 }, (_, value) => {
      if (value === UNKNOWN_ERROR) return [128, 128, 128];
      const along = Math.min(1, value / STEPS_PER_ANGSTROM / this.limit) * (stops.length - 1);
      const [low, high] = [stops[Math.floor(along)], stops[Math.ceil(along)]];
      return low.map((part, i) => part + (high[i] - part) * (along % 1));
    });
  }

  picture() {
    const palette = this.palette();
    this.paint(this.bar, 128, 1, (i) => palette[Math.min(254, Math.round((i / 127) * this.limit * STEPS_PER_ANGSTROM))]);
    const canvas = make("canvas", { width: this.bins, height: this.bins });
    this.paint(canvas, this.bins, this.bins, (i) => palette[this.errors[i]]);
    return canvas.toDataURL();
  }

  paint(canvas, width, height, color) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      image.data.set(color(i), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  // Drawn twice, dark on light, so that a border is seen on every colour of the map.
  borders() {
    const starts = this.residues.chains.map((chain) => chain.start).filter((start) => start > 0);
    const { left, top } = this.margin;
    const line = (kind, start) => [
      draw("line", { class: kind, x1: this.place(start), x2: this.place(start), y1: top, y2: top + this.side }),
      draw("line", { class: kind, y1: this.placeDown(start), y2: this.placeDown(start), x1: left, x2: left + this.side }),
    ];
    return ["border-under", "border"].flatMap((kind) => starts.flatMap((start) => line(kind, start)));
  }

  axes() {
    const { left, top } = this.margin;
    const [under, middle] = [top + this.side, this.side / 2];
    const numbers = this.residues.ticks(this.side).flatMap((place) => {
      const text = this.residues.written(place);
      return [
        draw("text", { x: this.place(place + 0.5), y: under + 15, "text-anchor": "middle" }, text),
        draw("text", { x: left - 6, y: this.placeDown(place + 0.5) + 4, "text-anchor": "end" }, text),
      ];
    });
    const turned = `translate(11 ${top + middle}) rotate(-90)`;
    const titles = [
      draw("text", { class: "title", x: left + middle, y: under + this.margin.bottom - 5, "text-anchor": "middle" }, "Scored residue"),
      draw("text", { class: "title", transform: turned, "text-anchor": "middle" }, "Aligned residue"),
    ];
    return [...numbers, ...titles, ...this.chainNames(under)];
  }

  chainNames(under) {
    if (this.residues.chains.length < 2) return [];
    return this.residues.chains.flatMap(({ id, start, length }) => {
      const middle = start + length / 2;
      if ((length / this.residues.length) * this.side < 9 * id.length) return [];
      return [
        draw("text", { class: "chain", x: this.place(middle), y: under + 30, "text-anchor": "middle" }, id),
        draw("text", { class: "chain", x: 22, y: this.placeDown(middle) + 4, "text-anchor": "middle" }, id),
      ];
    });
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const place = (distance) => Math.floor((distance / this.side) * this.residues.length);
    const at = place(event.clientX - box.left - this.margin.left);
    const from = place(event.clientY - box.top - this.margin.top);
    const within = (value) => value >= 0 && value < this.residues.length;
    if (within(at) && within(from)) this.cursor.set(at, from);
  }

  step(event) {
    const length = this.residues.length;
    const at = this.cursor.at ?? 0;
    const from = this.cursor.from ?? at;
    const down = ["ArrowUp", "ArrowDown"].includes(event.key);
    const to = down ? stepped(event, from, length, ["ArrowUp", "ArrowDown"]) : stepped(event, at, length);
    if (to === null) return;
    event.preventDefault();
    if (down) this.cursor.set(at, to);
    else this.cursor.set(to, from);
  }

  mark() {
    const { at, from } = this.cursor;
    if (!this.marks) return;
    const { left, top } = this.margin;
    const upright = (place, kind) => {
      const x = this.place(place + 0.5);
      return draw("line", { class: `mark ${kind}`, x1: x, x2: x, y1: top, y2: top + this.side });
    };
    const level = (place, kind) => {
      const y = this.placeDown(place + 0.5);
      return draw("line", { class: `mark ${kind}`, y1: y, y2: y, x1: left, x2: left + this.side });
    };
    const drawn = at === null ? [] : [[at, "at", upright], [from ?? at, from === null ? "at" : "from", level]];
    this.marks.replaceChildren(
      ...["mark-under", ""].flatMap((under) => drawn.map(([place, kind, line]) => line(place, `${kind} ${under}`))),
    );
  }
}
