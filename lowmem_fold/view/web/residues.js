// The residues of a record in a row, and what they are called.

const WIDEST_GAP = 20; // residues

class Residues {
  constructor(chains, sequence) {
    this.chains = [];
    this.length = 0;
    this.along = []; // how far along an axis each one lies: where residues of a file are missing, room is left
    this.span = 0;
    for (const { id, numbers, labels } of chains) {
      this.chains.push({ id, numbers, labels: labels ?? numbers, start: this.length, length: numbers.length });
      this.length += numbers.length;
      numbers.forEach((number, i) => {
        if (i > 0) this.span += Math.min(WIDEST_GAP, number - numbers[i - 1] - 1);
        this.along.push(this.span);
        this.span += 1;
      });
    }
    this.sequence = sequence;
    this.places = new Map(); // by chain and number, as structure files have them
    for (const chain of this.chains) {
      chain.numbers.forEach((number, i) => this.places.set(`${chain.id}:${number}`, chain.start + i));
    }
  }

  chainOf(place) {
    return this.chains.findIndex((chain) => place < chain.start + chain.length);
  }

  number(place) {
    const chain = this.chains[this.chainOf(place)];
    return chain.numbers[place - chain.start];
  }

  // Its number, with an insertion code, as the authors gave it.
  written(place) {
    const chain = this.chains[this.chainOf(place)];
    return String(chain.labels[place - chain.start]);
  }

  name(place) {
    return `${this.chains[this.chainOf(place)].id} ${this.sequence[place]}${this.written(place)}`;
  }

  label(place) {
    return `${this.chains[this.chainOf(place)].id} ${this.written(place)}`;
  }

  // Whether residues are missing between this one and the one before, or another chain begins.
  begins(place) {
    return place === 0 || this.along[place] - this.along[place - 1] > 1 || this.chains.some(({ start }) => start === place);
  }

  // The residue that lies nearest to a distance along the axis.
  nearest(distance) {
    const after = this.along.findIndex((begin) => begin + 1 > distance);
    if (after < 0) return this.length - 1;
    if (after === 0 || this.along[after] <= distance) return after;
    return distance - this.along[after - 1] - 1 < this.along[after] - distance ? after - 1 : after;
  }

  // Places whose numbers are round, at least `gap` apart where `room` is what all residues have together.
  ticks(room, gap = 44) {
    const least = (gap * this.span) / room;
    const step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000].find((s) => s >= least) ?? 10000;
    const round = [];
    for (let place = 0; place < this.length; place++) {
      if (this.number(place) % step === 0) round.push(place);
    }
    return round;
  }
}
