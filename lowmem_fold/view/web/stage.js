// The one 3D viewer of the page, moved from record to record: a browser gives a page few WebGL contexts.

// 3Dmol.js is missing, not something that it needs.
class NoLibrary extends Error {}

// Resolves to 3Dmol.js: its text is in the page, or else its address with the hash that it must have.
async function library({ address, integrity }) {
  const script = make("script", address ? { src: address, integrity, crossorigin: "anonymous" } : {});
  const text = address ? null : await unpackedText("library");
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new NoLibrary("3Dmol.js could not be loaded"));
    if (text !== null) script.textContent = text; // runs at once, and tells of no end
    document.head.append(script);
    if (text !== null) resolve();
  });
  if (!globalThis.$3Dmol) throw new NoLibrary("3Dmol.js could not be run");
  return globalThis.$3Dmol;
}

function hasWebGL() {
  const context = ["webgl2", "webgl"].map((kind) => make("canvas").getContext(kind)).find(Boolean);
  context?.getExtension("WEBGL_lose_context")?.loseContext(); // a browser gives a page few of them
  return Boolean(context);
}

class Stage {
  constructor(source) {
    this.source = source;
    this.node = make("div", { class: "stage", role: "img", "aria-label": "The structure: drag to turn it" });
  }

  // Loaded when the first structure is shown; after a failure it is tried again with the next one.
  async opened() {
    this.loading ??= library(this.source);
    try {
      await this.loading;
    } catch (error) {
      this.loading = null;
      throw error;
    }
    return this.viewer ?? this.made();
  }

  made() {
    if (!hasWebGL()) throw new Error("this browser has no WebGL, or it is switched off");
    const viewer = globalThis.$3Dmol.createViewer(this.node, { backgroundAlpha: 0, hoverDuration: 25 });
    let size = "";
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.node;
      if (!clientWidth || size === `${clientWidth} ${clientHeight}`) return; // it is moved to another record
      size = `${clientWidth} ${clientHeight}`;
      viewer.resize();
    }).observe(this.node);
    this.viewer = viewer;
    this.ground();
    return viewer;
  }

  // What is far away fades into the colour of the page.
  ground() {
    this.viewer?.setBackgroundColor(themed("--panel"), 0);
  }
}
