/**
 * A rule of policy routing (linux/fib_rules.h): which table a packet is looked up
 * in. Of the rules of others only the table is read; ours say `from <address>`. Pure.
 */
import type { Family, Ip } from "./address.ts";
import {
  concat,
  encodeAttributes,
  findAttribute,
  numberIn,
  u32,
} from "./netlink-message.ts";
import { addressFamily, familyOf } from "./route.ts";

/** `from <source> lookup <table>`, for one address. */
export interface Rule {
  readonly source: Ip;
  readonly table: number;
  readonly priority: number;
}

/** What is read of an existing rule. */
export interface ListedRule {
  readonly family: Family;
  readonly table: number;
}

/** undefined for a rule of another family. */
export function decodeRule(payload: Uint8Array): ListedRule | undefined {
  const { 0: number = 0, 4: shortTable = 0 } = payload;
  const family = familyOf(number);
  if (!family) return undefined;
  const table = findAttribute(payload.subarray(headerLength), FRA_TABLE);
  return { family, table: numberIn(table) || shortTable };
}

/** What RTM_NEWRULE and RTM_DELRULE say to make exactly this rule, or to remove it. */
export function encodeRule({ source, table, priority }: Rule): Uint8Array {
  const { family, bytes } = source;
  // struct fib_rule_hdr: family, length of destination and source, tos, table,
  // two reserved, action, u32 flags
  const header = new Uint8Array(headerLength);
  header[0] = addressFamily[family];
  header[2] = bytes.byteLength * 8;
  header[4] = table < 256 ? table : RT_TABLE_UNSPEC;
  header[7] = FR_ACT_TO_TBL;
  const attributes = encodeAttributes([
    { type: FRA_SRC, data: bytes },
    { type: FRA_PRIORITY, data: u32(priority) },
    { type: FRA_TABLE, data: u32(table) },
  ]);
  return concat([header, attributes]);
}

const headerLength = 12;
const RT_TABLE_UNSPEC = 0;
const FR_ACT_TO_TBL = 1;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
