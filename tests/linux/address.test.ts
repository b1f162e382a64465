import { describe, expect, test } from "bun:test";
import {
  family,
  formatCidr,
  formatIp,
  parseCidr,
  parseIp,
} from "../../lib/linux/address.ts";
import { cidrContains, networkOf } from "../../lib/linux/address-range.ts";
import { parseMac } from "../../lib/linux/mac.ts";

describe("parseIp and formatIp, canonical form", () => {
  test.each([
    ["10.0.0.2", "10.0.0.2", "4"],
    ["255.255.255.255", "255.255.255.255", "4"],
    ["0.0.0.0", "0.0.0.0", "4"],
    ["FD00:0:0::2", "fd00::2", "6"],
    ["fd00:0000:0000:0000:0000:0000:0000:0001", "fd00::1", "6"],
    ["::", "::", "6"],
    ["::1", "::1", "6"],
    ["1::", "1::", "6"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3", "6"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4", "6"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7", "6"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", "6"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201", "6"],
    ["::1.2.3.4", "::102:304", "6"],
    ["::ffff:10.0.0.2", "10.0.0.2", "4"],
    ["::FFFF:a00:2", "10.0.0.2", "4"],
  ])("%s is %s, family %s", (text, canonical, version) => {
    const ip = parseIp(text);
    expect(ip && [formatIp(ip), family(ip)]).toEqual([canonical, version]);
  });

  test.each([
    "",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.256",
    "010.0.0.2",
    "10.0.0.02",
    "10.0.0.",
    "10.0.0.2 ",
    "0x0a.0.0.1",
    "10.0.0.1/24",
    "fe80::1%eth0",
    ":",
    ":::",
    "1:",
    ":1:2:3:4:5:6:7",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "12345::",
    "g::",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "::1.2.3.04",
    "1:2:3:4:5:6:7:1.2.3.4",
    "[::1]",
  ])("%j is none", (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
});

describe("parseCidr and formatCidr, canonical form with host bits", () => {
  test.each([
    ["10.0.0.2/24", "10.0.0.2/24", "4"],
    ["10.0.0.2/024", "10.0.0.2/24", "4"],
    ["0.0.0.0/0", "0.0.0.0/0", "4"],
    ["10.0.0.2/32", "10.0.0.2/32", "4"],
    ["fd00:0:0:0:0:0:0:1/128", "fd00::1/128", "6"],
    ["::/0", "::/0", "6"],
    ["::ffff:10.0.0.2/120", "10.0.0.2/24", "4"],
    ["::ffff:10.0.0.2/64", "10.0.0.2/0", "4"],
  ])("%s is %s, family %s", (text, canonical, version) => {
    const cidr = parseCidr(text);
    expect(cidr && [formatCidr(cidr), family(cidr)]).toEqual([
      canonical,
      version,
    ]);
  });

  test.each([
    "",
    "10.0.0.2",
    "10.0.0.2/",
    "10.0.0.2/33",
    "10.0.0.2/-1",
    "10.0.0.2/+1",
    "10.0.0.2/ 1",
    "10.0.0.2/24/1",
    "10.0.0.2/255.0.0.0",
    "010.0.0.2/24",
    "fd00::1/129",
    "fe80::1%eth0/64",
    "/24",
  ])("%j is none", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

describe("cidrContains", () => {
  test.each([
    ["10.0.0.9/24", "10.0.0.255", true],
    ["10.0.0.9/24", "10.0.1.0", false],
    ["10.0.0.0/20", "10.0.15.1", true],
    ["10.0.0.0/20", "10.0.16.1", false],
    ["0.0.0.0/0", "192.0.2.1", true],
    ["10.0.0.1/32", "10.0.0.1", true],
    ["10.0.0.1/32", "10.0.0.0", false],
    ["fd00::/61", "fd00:0:0:7::1", true],
    ["fd00::/61", "fd00:0:0:8::1", false],
    ["::/0", "10.0.0.1", false],
    ["0.0.0.0/0", "::1", false],
  ])("%s contains %s: %p", (network, address, contained) => {
    const cidr = parseCidr(network);
    const ip = parseIp(address);
    expect(cidr && ip && cidrContains(cidr, ip)).toBe(contained);
  });
});

describe("parseMac, as net.ParseMAC", () => {
  test.each([
    ["00:11:22:AA:bb:ff", "001122aabbff"],
    ["00-11-22-33-44-55", "001122334455"],
    ["0011.2233.4455", "001122334455"],
    ["02:00:5e:10:00:00:00:01", "02005e1000000001"],
    ["0200.5e10.0000.0001", "02005e1000000001"],
    [
      "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01",
      "00000000fe8000000000000002005e1000000001",
    ],
  ])("%s", (text, hex) => {
    expect(parseMac(text)?.toHex()).toBe(hex);
  });

  test.each([
    "",
    "00:11:22:33:44",
    "00:11:22:33:44:55:66",
    "00:11-22:33:44:55",
    "0:11:22:33:44:55",
    "001122334455",
    "00:11:22:33:44:5g",
    "00:11:22:33:44:55 ",
    "0011.2233",
  ])("%j is none", (text) => {
    expect(parseMac(text)).toBeUndefined();
  });
});

test.each([
  ["10.32.7.9/20", "10.32.0.0/20"],
  ["10.32.7.9/32", "10.32.7.9/32"],
  ["255.255.255.255/0", "0.0.0.0/0"],
  ["fd00:0:0:ff::1/57", "fd00:0:0:80::/57"],
  ["::ffff:10.1.2.3/120", "10.1.2.0/24"],
])("networkOf, %s", (text, network) => {
  const cidr = parseCidr(text);
  expect(cidr && formatCidr(networkOf(cidr))).toBe(network);
});
