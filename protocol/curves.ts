/**
 * Sorts a curve by position. In order of time, evaluations of earlier steps come after the steps they evaluate. Returns the
 * same arrays if they are in order already.
 */
export function inOrderOfPlaces<A extends ArrayLike<number>, B extends ArrayLike<number>>(
  places: A,
  values: B,
): { places: A | number[]; values: B | number[] } {
  let ascends = true;
  for (let i = 1; ascends && i < places.length; i++) ascends = places[i]! >= places[i - 1]!;
  if (ascends) return { places, values };
  const order = Array.from(places, (_, i) => i).sort((a, b) => places[a]! - places[b]! || a - b);
  return { places: order.map((i) => places[i]!), values: order.map((i) => values[i]!) };
}
