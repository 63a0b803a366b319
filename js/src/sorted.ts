/** Lists sorted by a figure that rises from one to the next. */

/** The index of the first one whose figure is at least `least`; the length of the list where none is. */
export function firstFrom<T>(list: readonly T[], figureOf: (one: T) => number, least: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = list[middle];
    if (one !== undefined && figureOf(one) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
