// What was packed away until it is shown: zlib streams in base64, one script element of no type that runs for each.

async function unpacked(id) {
  const block = document.getElementById(id);
  if (!block) return null;
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old to unpack what the page holds (it has no DecompressionStream)");
  }
  const bytes = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpackedText(id) {
  const bytes = await unpacked(id);
  return bytes && new TextDecoder().decode(bytes);
}

function saveAs(name, url) {
  make("a", { href: url, download: name }).click();
}

function saveText(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  saveAs(name, url);
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
