/**
 * What a check claims; an Error says what was seen instead.
 */

/** Whole values, as JSON. */
export function expectEqual(
  what: string,
  seen: unknown,
  expected: unknown,
): void {
  if (Bun.deepEquals(seen, expected)) return;
  throw new Error(
    `${what}: expected ${JSON.stringify(expected)}, seen ${JSON.stringify(seen)}`,
  );
}

export function expectMatch(what: string, seen: string, pattern: RegExp): void {
  if (pattern.test(seen)) return;
  throw new Error(`${what}: expected ${pattern}, seen ${JSON.stringify(seen)}`);
}

/** Each interface, and what its address starts with. */
export function expectAddresses(
  seen: Readonly<Record<string, string>>,
  prefixes: Readonly<Record<string, string>>,
): void {
  const fits =
    Object.keys(seen).length === Object.keys(prefixes).length &&
    Object.entries(prefixes).every(([ifname, prefix]) =>
      seen[ifname]?.startsWith(prefix),
    );
  if (!fits)
    throw new Error(
      `addresses: expected ${JSON.stringify(prefixes)}, seen ${JSON.stringify(seen)}`,
    );
}
