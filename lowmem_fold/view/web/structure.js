// The structures of a record as cartoons on the stage, coloured by what one chooses.

const CHAIN_COLORS = ["#0E9AD8", "#D55E00", "#00916E", "#B0179A", "#9A7B1F", "#6A5ACD", "#C0392B", "#5B7083"];
const MODEL_COLORS = ["#0E7FD0", WITHOUT_VALUE];

// Of a model that counts its residues in its own way: the places of them in the row, null of those that are not in it.
function placesOf({ chains, places }) {
  const own = new Residues(chains, "");
  return new Map([...own.places].map(([name, i]) => [name, places[i] ?? undefined]));
}

class StructureView {
  constructor(payload, residues, cursor, { bands, distanceBands }, stage, name) {
    Object.assign(this, { payload, residues, cursor, bands, distanceBands, stage, name });
    this.places = payload.models.map((model) => (model.chains ? placesOf(model) : residues.places));
    this.modes = this.possibleModes();
    this.mode = this.modes[0];
    this.legend = make("div", { class: "legend-room" });
    const hint = make("p", { class: "hint" }, "Drag to turn, scroll to zoom, point at a residue to mark it.");
    this.node = make("div", { class: "structure" }, stage.node, this.tools(), this.legend, hint);
    this.shapes = [];
    this.showLegend();
    cursor.listen(() => this.mark());
  }

  // What one can colour by; of one chain without pLDDT there is nothing to choose.
  possibleModes() {
    const { models, distance } = this.payload;
    const modes = [
      models.length > 1 ? "structure" : null,
      distance ? "distance" : null,
      models.some((model) => model.plddt) ? "pLDDT" : null,
      this.residues.chains.length > 1 ? "chain" : null,
    ].filter(Boolean);
    return modes.length ? modes : ["plain"];
  }

  tools() {
    const choices = this.modes.map((mode) =>
      make("button", { type: "button", "aria-pressed": String(mode === this.mode), click: () => this.choose(mode) }, mode),
    );
    this.choices = choices;
    const button = (text, does) => make("button", { type: "button", click: does }, text);
    const saved = this.payload.models.map((model) =>
      button(`Save ${this.payload.models.length > 1 ? model.name : model.format.toUpperCase()}`, () =>
        saveText(`${model.file}.${model.format}`, model.text),
      ),
    );
    return make(
      "div",
      { class: "tools" },
      choices.length > 1
        ? make("span", { class: "choice", role: "group", "aria-label": "Colour by" }, make("span", {}, "Colour by"), ...choices)
        : null,
      make("span", { class: "spring" }),
      button("Reset view", () => this.reset()),
      button("Save picture", () => this.viewer && saveAs(`${this.name}.png`, this.viewer.pngURI())),
      ...saved,
    );
  }

  choose(mode) {
    this.mode = mode;
    this.choices.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === mode)));
    this.showLegend();
    if (!this.viewer) return;
    this.style();
    this.viewer.render();
  }

  // The colour of a residue of one of the models.
  color(model, place) {
    if (place === undefined) return WITHOUT_VALUE;
    const { models, distance } = this.payload;
    if (this.mode === "structure" || this.mode === "plain") return MODEL_COLORS[model];
    if (this.mode === "chain") return CHAIN_COLORS[this.residues.chainOf(place) % CHAIN_COLORS.length];
    if (this.mode === "distance") return model === 0 ? distanceColor(this.distanceBands, distance[place]) : WITHOUT_VALUE;
    return plddtColor(this.bands, models[model].plddt?.[place]);
  }

  showLegend() {
    const { models } = this.payload;
    const entries = {
      structure: () => models.map(({ name }, i) => ({ color: MODEL_COLORS[i], name })),
      distance: () => this.distanceBands,
      pLDDT: () => this.bands,
      chain: () => this.residues.chains.map(({ id }, i) => ({ color: CHAIN_COLORS[i % CHAIN_COLORS.length], name: id })),
      plain: () => [],
    }[this.mode]();
    const title = { distance: "Distance of CA atoms", pLDDT: "pLDDT", chain: "Chain" }[this.mode];
    this.legend.replaceChildren(title ? make("span", { class: "legend-title" }, title) : "", legend(entries));
  }

  // Draws, once the node is on the page; rejects where the library or WebGL is missing.
  async start() {
    const viewer = await this.stage.opened();
    if (!this.node.isConnected) return; // another record was chosen meanwhile
    viewer.removeAllModels();
    viewer.removeAllShapes();
    this.viewer = viewer;
    this.models = this.payload.models.map(({ text, format }) => viewer.addModel(text, format));
    this.atoms = this.models.map((model, i) => this.alphas(model, i));
    viewer.setHoverable({}, true, (atom) => this.hover(atom), () => {});
    this.style();
    viewer.zoomTo();
    this.mark();
  }

  // The place in the row of an atom's residue; undefined where the row has none for it.
  place(model, { chain, resi }) {
    return this.places[model].get(`${chain}:${resi}`);
  }

  // CA atoms of a model by the place of their residue.
  alphas(model, i) {
    return new Map(model.selectedAtoms({ atom: "CA" }).map((atom) => [this.place(i, atom), atom]));
  }

  style() {
    this.models.forEach((model, i) => {
      const colorfunc = (atom) => this.color(i, this.place(i, atom));
      model.setStyle({}, { cartoon: { colorfunc, arrows: true } });
    });
  }

  reset() {
    this.viewer?.zoomTo({}, 300);
  }

  hover(atom) {
    const place = this.place(this.models.findIndex((model) => model.getID() === atom.model), atom);
    if (place !== undefined) this.cursor.set(place);
  }

  mark() {
    if (!this.viewer || !this.node.isConnected) return;
    this.shapes.forEach((shape) => this.viewer.removeShape(shape));
    const { at, from } = this.cursor;
    const marks = [[at, "--mark"], [from === at ? null : from, "--mark-from"]];
    this.shapes = marks.flatMap(([place, color]) =>
      this.atoms.flatMap((atoms) => {
        const atom = place === null ? undefined : atoms.get(place);
        if (!atom) return [];
        const center = { x: atom.x, y: atom.y, z: atom.z };
        return [this.viewer.addSphere({ center, radius: 1.7, color: themed(color) })];
      }),
    );
    this.viewer.render();
  }
}
