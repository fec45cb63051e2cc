// The residues of a record in a row, and what they are called.

class Residues {
  constructor(chains, sequence) {
    this.chains = [];
    this.length = 0;
    for (const { id, numbers } of chains) {
      this.chains.push({ id, numbers, start: this.length, length: numbers.length });
      this.length += numbers.length;
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

  name(place) {
    const chain = this.chains[this.chainOf(place)];
    return `${chain.id} ${this.sequence[place]}${this.number(place)}`;
  }

  // Places whose numbers are round, at least `gap` apart where `room` is what all residues have together.
  ticks(room, gap = 44) {
    const least = (gap * this.length) / room;
    const step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000].find((s) => s >= least) ?? 10000;
    const round = [];
    for (let place = 0; place < this.length; place++) {
      if (this.number(place) % step === 0) round.push(place);
    }
    return round;
  }
}
