// All that is known of one record: figures, what was noted, the structure, its curves and its map of errors.

class Detail {
  constructor(data) {
    this.data = data;
    this.stage = new Stage(data.library);
    this.node = make("main", { class: "detail", id: "detail", tabindex: -1, "aria-label": "The chosen record" });
    addEventListener("keydown", (event) => event.key === "Escape" && this.cursor?.clear());
    whenThemeChanges(() => {
      this.stage.ground();
      this.structure?.mark();
      this.map?.redraw(this.map.width);
    });
  }

  async show(index) {
    const record = this.data.records[index];
    this.index = index;
    this.cursor = new Cursor();
    const { payload, errors, trouble } = await this.held(index);
    if (this.index !== index) return; // another one was chosen meanwhile
    this.node.replaceChildren(this.head(record), this.figures(record), ...this.notes(record, payload));
    if (trouble) this.node.append(make("p", { class: "notice failed" }, `Nothing more can be shown: ${trouble.message}.`));
    if (payload?.models) this.showViews(record, payload, errors);
    if (payload?.facts.length) this.node.append(facts("How it was made", payload.facts));
  }

  // What the page holds of a record, or why that cannot be had.
  async held(index) {
    try {
      const payload = JSON.parse((await unpackedText(`record-${index}`)) ?? "null");
      return { payload, errors: await unpacked(`errors-${index}`) };
    } catch (trouble) {
      console.warn(`Record ${index} cannot be shown: ${trouble.message}`);
      return { trouble };
    }
  }

  head(record) {
    const title = make("h2", {}, record.id);
    if (record.status && record.status !== "ok") title.append(" ", make("span", { class: `badge ${record.status}` }, record.status));
    return make("header", {}, title, record.header && record.header !== record.id ? make("p", { class: "muted" }, record.header) : null);
  }

  figures(record) {
    const columns = this.data.columns.filter(({ key, kind }) => kind !== "text" && kind !== "status" && record[key] !== null);
    const figure = (column) =>
      make("div", { title: column.help ?? null }, make("dt", {}, column.label), make("dd", {}, shown(column, record)));
    return make("dl", { class: "figures" }, ...columns.map(figure));
  }

  notes(record, payload) {
    return (payload?.notes ?? []).map((text) => make("p", { class: `notice ${record.status ?? ""}` }, text));
  }

  showViews(record, payload, errors) {
    const residues = new Residues(payload.chains, payload.sequence);
    const structure = new StructureView(payload, residues, this.cursor, this.data, this.stage, record.id);
    const map = errors && new ErrorMap(payload.errors, errors, residues, this.cursor);
    Object.assign(this, { structure, map });
    const curves = payload.curves.map((curve) => this.curve(curve, payload, residues));
    const sequence = new SequenceView(residues, this.cursor, this.letterColor(payload));
    this.node.append(
      make(
        "div",
        { class: map ? "views" : "views alone" },
        panel("Structure", structure.node, "wide"),
        map ? panel("Predicted aligned error", map.node) : null,
      ),
      readout(payload, residues, this.cursor, this.data.bands, map),
      ...curves,
      panel("Sequence", sequence.node),
    );
    structure.start().catch((error) => withoutPicture(structure, error, this.data.library));
  }

  // How far a letter is off where that is known, else how sure the model is of it.
  letterColor({ distance, models }) {
    if (distance) return (place) => distanceColor(this.data.distanceBands, distance[place]);
    return (place) => plddtColor(this.data.bands, models[0].plddt?.[place]);
  }

  curve({ kind, title, series }, payload, residues) {
    const named = series.length > 1;
    const lines = series.map(({ name, values }, i) => ({ name, values, kind: named ? ["moved", "reference"][i] : "" }));
    const largest = Math.max(...series.flatMap(({ values }) => values.filter((value) => value !== null)), 0);
    const top = kind === "plddt" ? 100 : [2, 4, 8, 12, 16, 24, 32, 48, 64, 96].find((t) => t >= largest) ?? Math.ceil(largest);
    const bands = ranges(kind === "plddt" ? this.data.bands : this.data.distanceBands, top);
    const curve = new Curve({ title, top, series: lines, bands }, residues, this.cursor);
    const names = named ? legend(lines.map(({ name }, i) => ({ name, color: MODEL_COLORS[i] }))) : null;
    return panel(title, make("div", {}, curve.node, names));
  }
}

function panel(title, node, kind = "") {
  return make("section", { class: `panel ${kind}`, "aria-label": title }, make("h3", {}, title), node);
}

function facts(title, pairs) {
  const list = make("dl", { class: "facts" }, ...pairs.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  return make("details", { class: "panel" }, make("summary", {}, title), list);
}
