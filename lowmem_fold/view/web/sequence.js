// The letters of a record in tens, each underlined in the colour of its band.

class SequenceView {
  constructor(residues, cursor, color) {
    this.cursor = cursor;
    this.letters = [];
    this.node = make("div", {
      class: "sequence",
      role: "group",
      "aria-label": "Sequence",
      pointermove: (event) => this.point(event),
      pointerdown: (event) => this.point(event),
    });
    for (const chain of residues.chains) this.node.append(this.chain(chain, residues, color));
    cursor.listen(() => this.mark());
  }

  chain({ id, start, length }, residues, color) {
    const row = make("p", {}, residues.chains.length > 1 ? make("b", {}, `${id} `) : null);
    let [group, begun] = [null, start];
    for (let place = start; place < start + length; place++) {
      const missing = place > start && residues.begins(place);
      if (missing) {
        begun = place;
        row.append(make("span", { class: "missing", title: "residues are missing here" }, "⋯"), " ");
      }
      if ((place - begun) % 10 === 0) {
        group = make("span", { class: "ten", "data-number": residues.written(place) });
        row.append(group, " ");
      }
      const letter = make("span", { "data-place": place, style: `border-color:${color(place)}` }, residues.sequence[place]);
      this.letters.push(letter);
      group.append(letter);
    }
    return row;
  }

  point(event) {
    const place = event.target.dataset.place;
    if (place !== undefined) this.cursor.set(Number(place));
  }

  mark() {
    const { at, from } = this.cursor;
    this.node.querySelectorAll(".at, .from").forEach((letter) => letter.classList.remove("at", "from"));
    if (from !== null) this.letters[from].classList.add("from");
    if (at !== null) this.letters[at].classList.add("at");
  }
}
