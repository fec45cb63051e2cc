// A value of each residue as a line, on the ground of its bands.

class Curve {
  constructor({ title, top, series, bands }, residues, cursor) {
    Object.assign(this, { title, top, series, bands, residues, cursor });
    this.svg = draw("svg", {
      class: "plot curve",
      role: "slider",
      tabindex: 0,
      "aria-label": `${title}: residue`,
      "aria-valuemin": 1,
      "aria-valuemax": residues.length,
      pointermove: (event) => this.point(event),
      pointerdown: (event) => this.point(event),
      keydown: (event) => this.step(event),
    });
    this.node = make("div", { class: "plot-room" }, this.svg);
    this.margin = { left: 36, right: 10, top: 8, bottom: residues.chains.length > 1 ? 36 : 22 };
    whenResized(this.node, (width) => this.redraw(width));
    cursor.listen(() => this.mark());
    this.mark();
  }

  x(place) {
    return this.xOf(this.residues.along[place] + 0.5);
  }

  xOf(distance) {
    const { left, right } = this.margin;
    return left + (distance / this.residues.span) * (this.width - left - right);
  }

  y(value) {
    const { top, bottom } = this.margin;
    return top + (1 - value / this.top) * (this.height - top - bottom);
  }

  redraw(width) {
    this.width = width;
    this.height = 190;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.marks = draw("g", { class: "marks" });
    this.svg.replaceChildren(...this.ground(), ...this.axes(), ...this.lines(), this.marks);
    this.mark();
  }

  ground() {
    const { left, right } = this.margin;
    const room = this.width - left - right;
    return this.bands.map(({ color, floor, ceiling }) => {
      const [high, low] = [this.y(Math.min(ceiling, this.top)), this.y(floor)];
      if (low <= high) return draw("g");
      return draw("rect", { class: "ground", x: left, width: room, y: high, height: low - high, fill: color });
    });
  }

  axes() {
    const { left, right, bottom } = this.margin;
    const floor = this.height - bottom;
    const marks = this.values().map((value) =>
      draw("text", { x: left - 6, y: this.y(value) + 4, "text-anchor": "end" }, String(value)),
    );
    const places = this.residues
      .ticks(this.width - left - right)
      .map((place) =>
        draw(
          "g",
          {},
          draw("line", { class: "tick", x1: this.x(place), x2: this.x(place), y1: floor, y2: floor + 4 }),
          draw("text", { x: this.x(place), y: floor + 16, "text-anchor": "middle" }, this.residues.written(place)),
        ),
      );
    return [...marks, ...places, ...this.borders(floor)];
  }

  // Ends and borders of the bands, those whose numbers have room.
  values() {
    const kept = [this.top];
    for (const value of [0, ...this.bands.map((band) => band.floor).sort((a, b) => b - a)]) {
      if (kept.every((other) => Math.abs(this.y(other) - this.y(value)) >= 11)) kept.push(value);
    }
    return kept;
  }

  borders(floor) {
    const { chains, along } = this.residues;
    if (chains.length < 2) return [];
    return chains.map(({ id, start, length }) => {
      const [begin, end] = [this.xOf(along[start]), this.xOf(along[start + length - 1] + 1)];
      const line = draw("line", { class: "border", x1: begin, x2: begin, y1: this.margin.top, y2: floor + 4 });
      const name = draw("text", { class: "chain", x: (begin + end) / 2, y: floor + 31, "text-anchor": "middle" }, id);
      return draw("g", {}, start > 0 ? line : null, end - begin > 9 * id.length ? name : null);
    });
  }

  lines() {
    return this.series.flatMap(({ values, kind }) => {
      let path = "";
      const alone = [];
      let pen = "M";
      values.forEach((value, place) => {
        if (this.residues.begins(place)) pen = "M";
        if (value === null) return void (pen = "M");
        const [x, y] = [this.x(place).toFixed(1), this.y(Math.min(value, this.top)).toFixed(1)];
        path += `${pen}${x} ${y}`;
        const ends = place + 1 === values.length || this.residues.begins(place + 1) || values[place + 1] === null;
        if (pen === "M" && ends) alone.push(draw("circle", { class: `alone ${kind}`, r: 2.2, cx: x, cy: y }));
        pen = "L";
      });
      return [draw("path", { class: `line ${kind}`, d: path }), ...alone];
    });
  }

  point(event) {
    const { left, right } = this.margin;
    const along = (event.clientX - this.svg.getBoundingClientRect().left - left) / (this.width - left - right);
    this.cursor.set(this.residues.nearest(along * this.residues.span));
  }

  step(event) {
    const to = stepped(event, this.cursor.at ?? -1, this.residues.length);
    if (to === null) return;
    event.preventDefault();
    this.cursor.set(to);
  }

  mark() {
    const { at, from } = this.cursor;
    this.svg.setAttribute("aria-valuenow", (at ?? 0) + 1);
    this.svg.setAttribute("aria-valuetext", at === null ? "none" : this.told(at));
    if (!this.marks) return;
    this.marks.replaceChildren(
      ...(from === null ? [] : [this.upright(from, "from")]),
      ...(at === null ? [] : [this.upright(at, "at"), ...this.dots(at)]),
    );
  }

  told(place) {
    const values = this.series.map(({ name, values }) => `${name ? `${name} ` : ""}${values[place] ?? "no value"}`);
    return `${this.residues.name(place)}: ${values.join(", ")}`;
  }

  upright(place, kind) {
    const x = this.x(place);
    return draw("line", { class: `mark ${kind}`, x1: x, x2: x, y1: this.margin.top, y2: this.height - this.margin.bottom });
  }

  dots(place) {
    return this.series
      .filter(({ values }) => values[place] !== null)
      .map(({ values }) =>
        draw("circle", { class: "mark", r: 4, cx: this.x(place), cy: this.y(Math.min(values[place], this.top)) }),
      );
  }
}
