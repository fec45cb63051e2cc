// The table of all records: sorted by any column, filtered by name, one row of it selected.

const GIB = 2 ** 30;

function shown({ kind, key }, record) {
  const [value, whole] = [record[key], record[`${key}_whole`]];
  if (value === null || value === undefined) return "-";
  switch (kind) {
    case "plddt":
    case "seconds":
      return value.toFixed(1);
    case "fraction":
      return value.toFixed(3);
    case "angstrom":
      return value.toFixed(2);
    case "bytes":
      return (value / GIB).toFixed(2);
    case "part":
      return value === whole ? String(value) : `${value} of ${whole}`;
    default:
      return String(value);
  }
}

class Table {
  constructor(columns, records, bands) {
    this.columns = columns;
    this.records = records;
    this.bands = bands;
    this.sorted = { key: null, descending: false };
    this.rows = records.map((record, index) => this.row(record, index));
    this.head = make("tr", {}, ...columns.map((column) => this.header(column)));
    this.body = make("tbody", { keydown: (event) => this.step(event) }, ...this.rows);
    this.count = make("span", { class: "count", role: "status" });
    this.filter = make("input", {
      type: "search",
      placeholder: "Filter by name or status",
      "aria-label": "Filter by name or status",
      input: () => this.sift(),
    });
    const table = make("table", {}, make("thead", {}, this.head), this.body);
    this.node = make(
      "nav",
      { class: "records", "aria-label": "Records" },
      records.length > 1 ? make("div", { class: "search" }, this.filter, this.count) : null,
      make("div", { class: "scroll", scroll: () => this.tellMore() }, table),
    );
    whenResized(this.node, () => this.tellMore());
    this.sift();
  }

  header(column) {
    const button = make("button", { type: "button", title: column.help ?? null, click: () => this.sort(column) });
    button.append(column.label, make("span", { class: "arrow", "aria-hidden": "true" }));
    return make("th", { scope: "col", class: column.kind, "data-key": column.key, "aria-sort": "none" }, button);
  }

  row(record, index) {
    const cells = this.columns.map((column, place) => {
      if (place === 0) {
        const link = make("a", { href: "#" + encodeURIComponent(record.id), title: record.header || null }, record.id);
        return make("th", { scope: "row", class: column.kind }, link);
      }
      return make("td", { class: column.kind }, this.cell(column, record));
    });
    return make("tr", { "data-index": index, click: (event) => this.click(event, index) }, ...cells);
  }

  cell(column, record) {
    const value = record[column.key];
    if (column.kind === "status") return make("span", { class: `badge ${value}` }, value);
    if (column.kind !== "plddt" || value === null) return shown(column, record);
    const swatch = make("span", { class: "swatch", style: `background:${bandOf(this.bands, value).color}` });
    return make("span", {}, swatch, shown(column, record));
  }

  click(event, index) {
    if (event.target.closest("a") || getSelection().toString()) return;
    location.hash = encodeURIComponent(this.records[index].id);
  }

  // Numbers from the greatest, words from A; then the other way round; then as in the run.
  sort(column) {
    const first = column.kind !== "text" && column.kind !== "status";
    const { key, descending } = this.sorted;
    if (key !== column.key) this.sorted = { key: column.key, descending: first };
    else if (descending === first) this.sorted = { key, descending: !first };
    else this.sorted = { key: null, descending: false };
    this.arrange();
  }

  arrange() {
    const { key, descending } = this.sorted;
    for (const cell of this.head.children) {
      const direction = descending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", cell.dataset.key === key ? direction : "none");
    }
    const order = this.records.map((_, index) => index);
    if (key !== null) order.sort((a, b) => this.compare(this.records[a][key], this.records[b][key], descending));
    this.body.append(...order.map((index) => this.rows[index]));
  }

  // What has no value comes last either way.
  compare(a, b, descending) {
    const without = (value) => value === null || value === undefined;
    if (without(a) || without(b)) return without(a) - without(b);
    const difference = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    return descending ? -difference : difference;
  }

  sift() {
    const wanted = this.filter.value.trim().toLowerCase();
    let left = 0;
    this.records.forEach((record, index) => {
      const text = `${record.id} ${record.header ?? ""} ${record.status ?? ""}`.toLowerCase();
      this.rows[index].hidden = !text.includes(wanted);
      left += !this.rows[index].hidden;
    });
    this.count.textContent = wanted ? `${left} of ${this.records.length}` : `${this.records.length} records`;
  }

  step(event) {
    const by = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!by) return;
    let row = event.target.closest("tr")[by];
    while (row && row.hidden) row = row[by];
    if (!row) return;
    event.preventDefault();
    const link = row.querySelector("a");
    link.focus();
    link.click();
  }

  // Marks that columns are hidden on the right, where no bar may show it.
  tellMore() {
    const room = this.node.querySelector(".scroll");
    this.node.classList.toggle("more", room.scrollWidth - room.clientWidth - room.scrollLeft > 1);
  }

  // Scrolls the table to a row, and not the page.
  reveal(row) {
    const room = this.node.querySelector(".scroll");
    const above = room.scrollTop + this.head.offsetHeight - row.offsetTop;
    const below = row.offsetTop + row.offsetHeight - room.scrollTop - room.clientHeight;
    if (above > 0) room.scrollTop -= above;
    else if (below > 0) room.scrollTop += below;
  }

  select(index) {
    this.rows.forEach((row, i) => {
      if (i === index) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
    this.reveal(this.rows[index]);
  }
}
