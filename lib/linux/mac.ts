/** Hardware addresses that are asked for, as by Go's net package (C-8). Pure. */

/**
 * The bytes of a 6, 8 or 20 byte hardware address in the three notations of
 * net.ParseMAC (`:`, `-`, dotted groups of four), or undefined.
 */
export function parseMac(text: string): Uint8Array | undefined {
  const notation = macNotations().find(({ pattern }) => pattern.test(text));
  if (!notation) return undefined;
  const bytes = Uint8Array.fromHex(text.replaceAll(notation.separator, ""));
  return [6, 8, 20].includes(bytes.length) ? bytes : undefined;
}

const macNotations = () => [
  { separator: ":", pattern: /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/i },
  { separator: "-", pattern: /^[0-9a-f]{2}(?:-[0-9a-f]{2})+$/i },
  { separator: ".", pattern: /^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i },
];
