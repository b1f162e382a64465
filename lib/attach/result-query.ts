/**
 * What a result says of the pod, and how that compares with what the pod asked
 * for (selection.md §6). Pure. A plugin that ignores a request says nothing of it.
 */
import { formatIp, parseCidr, parseIp, parseMac } from "../linux/address.ts";
import {
  type Interface,
  type ModernResult,
  type Result,
  type Route,
  modernResult,
} from "../cni/result.ts";
import type { Attachment } from "../select/select.ts";

/** What was asked for and not given, in words; empty when all was. */
export function unmetRequests(
  { asked, ifname }: Attachment,
  result: Result,
): string[] {
  if (!asked?.ips && !asked?.mac) return [];
  const modern = modernResult(result);
  const given = new Set(modern.ips.map(({ address }) => addressOf(address)));
  const addresses = (asked.ips ?? [])
    .filter((ip) => !given.has(addressOf(ip)))
    .map((ip) => `address ${ip} was requested, but not given`);
  const mac = macOf(modern, ifname);
  const wrongMac =
    asked.mac !== undefined && !sameMac(asked.mac, mac)
      ? [
          `MAC address ${asked.mac} was requested, but ${mac ?? "none"} was given`,
        ]
      : [];
  return [...addresses, ...wrongMac];
}

/** The interface inside of the pod. */
export function podInterface(
  { interfaces }: ModernResult,
  ifname: string,
): Interface | undefined {
  let named: Interface | undefined;
  for (const one of interfaces) {
    if (one.name !== ifname) continue;
    if (one.sandbox) return one;
    named ??= one;
  }
  return named;
}

/** The names of the interfaces that an attachment has in the pod, as far as the result tells. */
export function podInterfaces(result: ModernResult, ifname: string): string[] {
  const inPod = result.interfaces.filter(({ sandbox }) => sandbox);
  return [...new Set([ifname, ...inPod.map(({ name }) => name)])];
}

/** The main table, `RT_TABLE_MAIN` of rtnetlink; `table` absent or 0 means it too. */
const mainTable = 254;

/** Whether it is one of the pod's default routes; those of other tables are for policy routing. */
export function isDefaultRoute({ dst, table }: Route): boolean {
  return parseCidr(dst)?.prefix === 0 && (table || mainTable) === mainTable;
}

/** A route's gateway: its own, else the first of its family in the same result. */
export function gatewayOf(
  { dst, gw }: Route,
  { ips }: ModernResult,
): string | undefined {
  if (gw) return gw;
  const family = parseCidr(dst)?.ip.family;
  for (const { gateway } of ips) {
    if (gateway && parseIp(gateway)?.family === family) return gateway;
  }
  return undefined;
}

function macOf(result: ModernResult, ifname: string): string | undefined {
  return podInterface(result, ifname)?.mac;
}

function sameMac(a: string, b: string | undefined): boolean {
  const [left, right] = [
    parseMac(a),
    b === undefined ? undefined : parseMac(b),
  ];
  return (
    left !== undefined &&
    right !== undefined &&
    Buffer.compare(left, right) === 0
  );
}

/** Canonical, without a prefix. */
function addressOf(text: string): string {
  const ip = parseCidr(text)?.ip ?? parseIp(text);
  return ip ? formatIp(ip) : text;
}
