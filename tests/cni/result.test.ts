/** Conversions that `convert-cases` does not record. */
import { describe, expect, test } from "bun:test";
import { parseJson } from "../../lib/cni/json.ts";
import {
  convertResult,
  modernResult,
  parseResult,
} from "../../lib/cni/result.ts";
import { type CniVersion, supportedVersions } from "../../lib/cni/version.ts";
import { cniError } from "../support/cni-error.ts";

const parse = (value: unknown, version: CniVersion): unknown =>
  parseResult(value, version);

const untrusted = (message: string) => cniError(999, message);

describe.each(supportedVersions)(
  "parseResult, configuration of %s",
  (version) => {
    const empty =
      version < "1.0.0"
        ? { cniVersion: version, dns: {} }
        : { cniVersion: version };

    test.each([
      ["{}"],
      ["null"],
      ['{"cniVersion":""}'],
      ['{"cniVersion":null}'],
    ])("%s has the configuration's version (C-1)", (text) => {
      expect(parse(parseJson(text), version)).toEqual(empty);
    });

    test("a result's own version wins, whatever the configuration's is (C-2)", () => {
      expect(parseResult({ cniVersion: "0.3.1" }, version)).toEqual({
        cniVersion: "0.3.1",
        dns: {},
      });
    });
  },
);

describe("parseResult, untrusted", () => {
  test.each([
    ['"text"', "result: expected an object, got a string"],
    ["[]", "result: expected an object, got an array"],
    ["1", "result: expected an object, got the number 1"],
    ['{"cniVersion":"9.9.9"}', 'unsupported CNI result version "9.9.9"'],
    ['{"cniVersion":"1.1"}', 'unsupported CNI result version "1.1"'],
    ['{"ips":[{}]}', "invalid CIDR address: "],
    ['{"ips":[{"address":null}]}', "invalid CIDR address: "],
    ['{"ips":[{"address":"10.0.0.2"}]}', "invalid CIDR address: 10.0.0.2"],
    ['{"ips":[{"address":"a\\nb"}]}', "invalid CIDR address: a\\nb"],
    [
      '{"ips":[{"address":7}]}',
      "result.ips.0.address: expected a string, got the number 7",
    ],
    [
      '{"ips":[{"address":"10.0.0.2/8","gateway":"x"}]}',
      "invalid IP address: x",
    ],
    [
      '{"ips":[{"address":"10.0.0.2/8","interface":0}]}',
      "result.ips.0.interface: no interface 0 among 0",
    ],
    [
      '{"interfaces":[{"name":"a"}],"ips":[{"address":"10.0.0.2/8"},{"address":"10.0.0.3/8","interface":1}]}',
      "result.ips.1.interface: no interface 1 among 1",
    ],
    [
      '{"interfaces":[{"name":"a"},null]}',
      "result.interfaces.1: null is not allowed here",
    ],
    [
      '{"interfaces":{}}',
      "result.interfaces: expected an array, got an object",
    ],
    [
      '{"interfaces":["a"]}',
      "result.interfaces.0: expected an object, got a string",
    ],
    [
      '{"interfaces":[{"name":"a","mtu":1500.0}]}',
      "result.interfaces.0.mtu: expected an integer, got the number 1500.0",
    ],
    [
      '{"interfaces":[{"name":"a","mtu":"1"}]}',
      "result.interfaces.0.mtu: expected an integer, got a string",
    ],
    [
      '{"routes":[{"dst":"10.0.0.0/8","gw":"10.0.0"}]}',
      "invalid IP address: 10.0.0",
    ],
    [
      '{"routes":[{"dst":"10.0.0.0/8","table":true}]}',
      "result.routes.0.table: expected an integer, got a bool",
    ],
    [
      '{"dns":{"search":[null]}}',
      "result.dns.search.0: null is not allowed here",
    ],
    [
      '{"dns":{"domain":[]}}',
      "result.dns.domain: expected a string, got an array",
    ],
    ['{"cniVersion":"0.2.0","ip4":{}}', "invalid CIDR address: "],
    [
      '{"cniVersion":"0.2.0","ip4":"10.0.0.2/8"}',
      "result.ip4: expected an object, got a string",
    ],
    [
      '{"cniVersion":"0.2.0","ip6":{"ip":"fd00::2/64","routes":[null]}}',
      "result.ip6.routes.0: null is not allowed here",
    ],
  ])("%s", (text, message) => {
    expect(() => parseResult(parseJson(text), "1.1.0")).toThrow(
      untrusted(message),
    );
  });

  test("an interface index means nothing before 0.3.0", () => {
    const legacy = { cniVersion: "0.2.0", ips: [{ interface: 9 }] };
    expect(parse(legacy, "0.2.0")).toEqual({
      ...legacy,
      dns: {},
    });
  });
});

describe("parseResult, canonical text", () => {
  test.each([
    [
      "keys in one order, unknown ones behind, numbers untouched (C-9)",
      '{"x":1.0,"dns":{"y":1,"search":["s"],"nameservers":["n"]},"routes":[{"z":1e3,"gw":"FD00::1","dst":"FD00::/8"}],' +
        '"ips":[{"q":null,"gateway":"::ffff:10.0.0.1","address":"::ffff:10.0.0.2/120","interface":0}],' +
        '"interfaces":[{"w":0,"pciID":"p","mtu":1500,"mac":"m","name":"a"}],"cniVersion":"1.1.0"}',
      '{"cniVersion":"1.1.0","interfaces":[{"name":"a","mac":"m","mtu":1500,"pciID":"p","w":0}],' +
        '"ips":[{"interface":0,"address":"10.0.0.2/24","gateway":"10.0.0.1","q":null}],' +
        '"routes":[{"dst":"fd00::/8","gw":"fd00::1","z":1e3}],' +
        '"dns":{"nameservers":["n"],"search":["s"],"y":1},"x":1.0}',
    ],
    [
      "zero is left out for mtu, advmss and priority, kept for table and scope (C-7)",
      '{"cniVersion":"1.1.0","interfaces":[{"name":"a","mtu":0}],"routes":[{"dst":"::/0","mtu":0,"advmss":0,"priority":0,"table":0,"scope":0}]}',
      '{"cniVersion":"1.1.0","interfaces":[{"name":"a"}],"routes":[{"dst":"::/0","table":0,"scope":0}]}',
    ],
    [
      "empty texts are left out, but not an interface's name",
      '{"cniVersion":"1.1.0","interfaces":[{"mac":"","sandbox":"","socketPath":"","pciID":""}],"dns":{"domain":""}}',
      '{"cniVersion":"1.1.0","interfaces":[{"name":""}]}',
    ],
    [
      "dns with only unknown fields is kept",
      '{"cniVersion":"1.0.0","dns":{"ttl":5}}',
      '{"cniVersion":"1.0.0","dns":{"ttl":5}}',
    ],
    [
      "__proto__ is a field like any other",
      '{"cniVersion":"1.0.0","__proto__":{"ips":[null]}}',
      '{"cniVersion":"1.0.0","__proto__":{"ips":[null]}}',
    ],
    [
      "host bits of a route are kept",
      '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","routes":[{"dst":"10.9.9.9/16"}]}}',
      '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","routes":[{"dst":"10.9.9.9/16"}]},"dns":{}}',
    ],
  ])("%s", (_criterion, text, canonical) => {
    expect(JSON.stringify(parseResult(parseJson(text), "1.1.0"))).toBe(
      canonical,
    );
  });
});

const convert = (input: unknown, version: CniVersion): unknown =>
  convertResult(parseResult(input, "0.1.0"), version);

/** Conversions between all versions: `convert-cases.test.ts`. */
describe("convertResult", () => {
  const unknown = {
    cniVersion: "1.0.0",
    interfaces: [{ name: "a", x: 1 }],
    ips: [{ address: "10.0.0.2/24", interface: 0, x: 2 }],
    routes: [{ dst: "0.0.0.0/0", x: 3 }],
    dns: { domain: "d", x: 4 },
    x: 5,
  };

  test("within a family changes only the version", () => {
    expect(convert(unknown, "1.1.0")).toEqual({
      ...unknown,
      cniVersion: "1.1.0",
    });
  });

  test("between families drops unknown fields", () => {
    expect([convert(unknown, "0.4.0"), convert(unknown, "0.2.0")]).toEqual([
      {
        cniVersion: "0.4.0",
        interfaces: [{ name: "a" }],
        ips: [{ version: "4", address: "10.0.0.2/24", interface: 0 }],
        routes: [{ dst: "0.0.0.0/0" }],
        dns: { domain: "d" },
      },
      {
        cniVersion: "0.2.0",
        ip4: { ip: "10.0.0.2/24", routes: [{ dst: "0.0.0.0/0" }] },
        dns: { domain: "d" },
      },
    ]);
  });

  test("a v4-mapped address is version 4 (C-5)", () => {
    const input = {
      cniVersion: "1.0.0",
      ips: [{ address: "::ffff:10.0.0.2/120" }],
    };
    expect(convert(input, "0.3.1")).toEqual({
      cniVersion: "0.3.1",
      ips: [{ version: "4", address: "10.0.0.2/24" }],
      dns: {},
    });
  });

  test("does not change its argument", () => {
    const result = parseResult(unknown, "1.0.0");
    const before = JSON.stringify(result);
    convertResult(result, "0.2.0");
    expect(JSON.stringify(result)).toBe(before);
  });
});

describe("modernResult", () => {
  test.each(supportedVersions)(
    "of an empty result of %s has everything empty",
    (version) => {
      expect(modernResult(parseResult({}, version))).toEqual({
        cniVersion: "1.1.0",
        interfaces: [],
        ips: [],
        routes: [],
        dns: {},
      });
    },
  );

  test("is a result: empty fields are omitted again", () => {
    const modern = modernResult(parseResult({}, "1.0.0"));
    expect(JSON.stringify(convertResult(modern, "1.0.0"))).toBe(
      '{"cniVersion":"1.0.0"}',
    );
  });
});

describe("parseResult, keys in any case, as Go reads them", () => {
  test("the last spelling wins; null changes nothing", () => {
    const result = parse(
      {
        CNIVERSION: "1.0.0",
        Interfaces: [{ NAME: "eth0", sandbox: "/x", Sandbox: "/ns" }],
        ips: [{ address: "10.0.0.2/24", interface: 7, Interface: 0 }],
        IPS: null,
        ſ: 1,
        extra: 1,
      },
      "0.4.0",
    );
    expect(result).toEqual({
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: "/ns" }],
      ips: [{ interface: 0, address: "10.0.0.2/24" }],
      ſ: 1,
      extra: 1,
    } as never);
  });

  test("another spelling of a key is validated", () => {
    const ips = [{ address: "10.0.0.3/24", interface: 9 }];
    expect(() => parse({ ips: [], IPs: ips }, "1.0.0")).toThrow(
      "result.ips.0.interface: no interface 9 among 0",
    );
  });
});
