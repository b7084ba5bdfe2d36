/**
 * The second bolt of an M, thrown from the inside by whoever wants to be left alone. It is a piece of metal: it stays where it is
 * when the power goes, and the firmware only feels where it stands (SPEC C7).
 */
export class Deadbolt {
  #extended = false;

  get extended(): boolean {
    return this.#extended;
  }

  turn(to: "extended" | "retracted"): void {
    this.#extended = to === "extended";
  }
}
