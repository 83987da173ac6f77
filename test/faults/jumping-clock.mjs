// Loaded before the service (`node --import`): each SIGUSR2 moves this process's clock by a year, there and back again.
const YEAR_MS = 365 * 24 * 3600 * 1000;
const RealDate = Date;
let shift = 0;

class JumpingDate extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shift);
    else super(...args);
  }
  static now() {
    return RealDate.now() + shift;
  }
}

globalThis.Date = JumpingDate;
process.on("SIGUSR2", () => {
  shift = shift === 0 ? YEAR_MS : 0;
  process.stdout.write(`the clock is ${shift} ms ahead\n`);
});
