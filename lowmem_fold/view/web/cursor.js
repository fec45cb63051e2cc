// The residue that is marked in every view at once. It stays marked when the pointer leaves, so that one can go and look
// at it elsewhere; Escape takes the mark away.

class Cursor {
  constructor() {
    this.at = null; // residue, counted from 0 through all chains
    this.from = null; // in the map of errors: the residue that the other one is judged from
    this.listeners = [];
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  set(at, from = null) {
    if (at === this.at && from === this.from) return;
    this.at = at;
    this.from = from;
    for (const listener of this.listeners) listener(this);
  }

  clear() {
    this.set(null);
  }
}

// What the arrow keys do to a place from 0 to length - 1.
function stepped(event, place, length, [back, forth] = ["ArrowLeft", "ArrowRight"]) {
  const far = event.shiftKey ? 10 : 1;
  const to = {
    [back]: place - far,
    [forth]: place + far,
    PageDown: place - 10,
    PageUp: place + 10,
    Home: 0,
    End: length - 1,
  }[event.key];
  return to === undefined ? null : Math.max(0, Math.min(length - 1, to));
}
