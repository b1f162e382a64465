/**
 * Rules of policy routing against bytes as linux/fib_rules.h has them.
 */
import { expect, test } from "bun:test";
import { decodeRule, encodeRule } from "../../lib/linux/route-rule.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));

test.each([
  [
    "IPv4",
    { family: "4", bytes: Uint8Array.of(10, 1, 0, 2) } as const,
    1000,
    "02 00 20 00 00 00 00 01 00000000 0800 0200 0a010002 0800 0600 e8030000 0800 0f00 e8030000",
  ],
  [
    "IPv6, a table of one byte",
    { family: "6", bytes: hex("fd000000000000000000000000000002") } as const,
    200,
    "0a 00 80 00 c8 00 00 01 00000000 1400 0200 fd000000000000000000000000000002 0800 0600 c8000000 0800 0f00 c8000000",
  ],
])("encodeRule, from an address: %s", (_, source, table, bytes) => {
  const rule = { source, table, priority: table };
  expect(encodeRule(rule).toHex()).toBe(bytes.replaceAll(" ", ""));
  expect(decodeRule(encodeRule(rule))).toEqual({
    family: source.family,
    table,
  });
});

test.each([
  [
    "the number of a table in the header only",
    "02 00 00 00 fe 00 00 01 00000000",
    { family: "4", table: 254 },
  ],
  ["of another family", "80 00 00 00 fe 00 00 01 00000000", undefined],
  [
    "without a table, as goto",
    "0a 00 00 00 00 00 00 02 00000000",
    { family: "6", table: 0 },
  ],
])("decodeRule, %s", (_, bytes, expected) => {
  expect(decodeRule(hex(bytes))).toEqual(expected as never);
});
