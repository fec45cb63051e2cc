// The page: its head, the table, and the record that the address names after its #.

function chosen(records) {
  const index = records.findIndex((record) => "#" + encodeURIComponent(record.id) === location.hash);
  if (index >= 0) return index;
  return Math.max(0, records.findIndex((record) => record.drawn));
}

function head({ title, subtitle, settings }) {
  return make(
    "header",
    { class: "head" },
    make("h1", {}, title),
    make("p", { class: "muted" }, subtitle),
    settings.length ? facts("Settings and versions", settings) : null,
  );
}

function start() {
  const table = new Table(DATA.columns, DATA.records, DATA.bands);
  const detail = new Detail(DATA);
  const room = make("div", { class: DATA.records.length > 5 ? "layout many" : "layout few" }, table.node, detail.node);
  document.getElementById("page").append(head(DATA), room);
  let shownIndex = null;
  const show = () => {
    const index = chosen(DATA.records);
    if (index === shownIndex) return;
    shownIndex = index;
    table.select(index);
    detail.show(index);
  };
  addEventListener("hashchange", show);
  show();
}

start();
