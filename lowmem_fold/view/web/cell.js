// One structure, as the result of a notebook's cell shows it.

async function start() {
  const room = document.getElementById("page");
  room.className = "cell";
  try {
    const payload = JSON.parse(await unpackedText("record-0"));
    const residues = new Residues(payload.chains, payload.sequence);
    const cursor = new Cursor();
    const stage = new Stage(DATA.library);
    const structure = new StructureView(payload, residues, cursor, DATA, stage, DATA.title);
    room.append(structure.node, readout(payload, residues, cursor, DATA.bands));
    addEventListener("keydown", (event) => event.key === "Escape" && cursor.clear());
    whenThemeChanges(() => {
      stage.ground();
      structure.mark();
    });
    structure.start().catch((error) => withoutPicture(structure, error, DATA.library));
  } catch (trouble) {
    room.append(make("p", { class: "notice failed" }, `No picture: ${trouble.message}.`));
  }
}

start();
