// What is known of the marked residue in a line, and why there is no picture.

function readout(payload, residues, cursor, bands, map = null) {
  const node = make("output", { class: "readout" });
  const partners = partnersOf(payload.models[1]);
  const tell = ({ at, from }) => {
    if (at === null) return node.replaceChildren();
    const parts = [residues.name(at)];
    const partner = partners.get(at);
    if (partner && partner !== residues.label(at)) parts.push(`on ${partner}`);
    const plddt = payload.models[0].plddt?.[at];
    if (plddt !== undefined && plddt !== null) parts.push(`pLDDT ${plddt.toFixed(1)}, ${bandOf(bands, plddt).name}`);
    const distance = payload.distance?.[at];
    if (payload.distance) parts.push(distance === null ? "no partner" : `${distance.toFixed(2)} Å apart`);
    const error = map && from !== null ? map.error(from, at) : null;
    if (error !== null) parts.push(expectedError(error, map.means, residues.label(from)));
    node.replaceChildren(...parts.map((part, i) => make(i ? "span" : "strong", {}, part)));
  };
  cursor.listen(tell);
  tell(cursor);
  return node;
}

function expectedError(error, isMean, from) {
  const size = `${error.toFixed(error % 1 ? 1 : 0)} Å`;
  return `expected position error ${size}${isMean ? " (a mean)" : ""}, aligned on residue ${from}`;
}

// What the residues of the other structure are called, by the place in the row of those that they are compared with.
function partnersOf(model) {
  if (!model?.chains) return new Map();
  const own = new Residues(model.chains, "");
  return new Map(model.places.map((place, i) => [place, own.label(i)]));
}

function withoutPicture(structure, error, { address }) {
  const network = error instanceof NoLibrary && address
    ? " It comes from the network: to do without, make the page again without --cdn, and it holds its own copy."
    : "";
  structure.node.prepend(make("p", { class: "notice failed" }, `No picture: ${error.message}.${network}`));
  console.warn(`No picture of the structure: ${error.message}`);
}
