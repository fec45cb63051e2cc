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
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = new Table(data.columns, data.records, data.bands);
  const detail = new Detail(data);
  const room = make("div", { class: data.records.length > 5 ? "layout many" : "layout few" }, table.node, detail.node);
  document.getElementById("page").append(head(data), room);
  let shownIndex = null;
  const show = () => {
    const index = chosen(data.records);
    if (index === shownIndex) return;
    shownIndex = index;
    table.select(index);
    detail.show(index);
  };
  addEventListener("hashchange", show);
  show();
}

start();
