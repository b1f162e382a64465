/**
 * Results of plugins: nothing is trusted that a runtime could fail on, and
 * conversion between versions keeps what both can say (cni-plugin.md §1.9).
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Code } from "../../lib/cni/error.ts";
import { parseJson } from "../../lib/cni/json.ts";
import {
  type Result,
  convertResult,
  modernResult,
  parseResult,
} from "../../lib/cni/result.ts";
import { supportedVersions } from "../../lib/cni/version.ts";
import {
  almost,
  anyJson,
  anyText,
  expectPrintable,
  mutated,
  objectOf,
  orCniError,
  runs,
} from "./arbitraries.ts";

const version = fc.constantFrom(...supportedVersions);
const listVersion = fc.constantFrom(
  ...supportedVersions.filter((one) => !/^0\.[12]/.test(one)),
);

const keys = [
  "cniVersion",
  "interfaces",
  "ips",
  "routes",
  "dns",
  "address",
  "gateway",
  "interface",
  "name",
  "dst",
  "gw",
  "ip4",
  "ip",
];

const modern = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "br0" },
    { name: "eth0", sandbox: "/ns", mac: "02:00:00:00:00:01" },
  ],
  ips: [{ address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1", mtu: 1400 }],
  dns: { nameservers: ["10.0.0.1"], search: ["a.b"] },
};
const legacy = {
  cniVersion: "0.2.0",
  ip4: { ip: "10.0.0.2/24", routes: [{ dst: "0.0.0.0/0" }] },
  dns: {},
};

/** Every list has its elements, every index an interface: nothing that crashes containerd. */
function expectTrustworthy(result: Result): void {
  const { interfaces, ips, routes } = modernResult(result);
  for (const list of [interfaces, ips, routes])
    expect(list).not.toContain(null);
  for (const { interface: index } of ips) {
    if (index !== undefined) expect(interfaces[index]).toBeDefined();
  }
}

describe("parseResult", () => {
  test("any JSON: a trustworthy result that reads the same again, or error 999", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyJson(...keys), almost(modern), almost(legacy)),
        version,
        (value, configVersion) => {
          const result = orCniError(
            () => parseResult(value, configVersion),
            Code.internal,
          );
          if (!result) return;
          expect(
            parseResult(JSON.parse(JSON.stringify(result)), configVersion),
          ).toEqual(result);
          orCniError(() => expectTrustworthy(result), Code.internal);
        },
      ),
      runs,
    );
  });
});

/** Interfaces, addresses and routes as a plugin may print them. */
const octet = fc.nat(255);
const v4 = fc
  .tuple(octet, octet, octet, octet)
  .map((octets) => octets.join("."));
const v6 = fc
  .tuple(fc.integer({ min: 0, max: 0xffff }), octet)
  .map(([a, b]) => `fd00::${a.toString(16)}:${b.toString(16)}`);
const address = fc.oneof(
  fc.tuple(v4, fc.nat(32)).map(([ip, prefix]) => `${ip}/${prefix}`),
  fc.tuple(v6, fc.nat(128)).map(([ip, prefix]) => `${ip}/${prefix}`),
);
const printed = fc
  .record({
    interfaces: fc.array(
      fc.record({
        name: fc.stringMatching(/^[a-z]{1,8}$/),
        sandbox: fc.constant("/ns"),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    ips: fc.array(fc.record({ address }), { minLength: 1, maxLength: 4 }),
    routes: fc.array(fc.record({ dst: address }), { maxLength: 3 }),
  })
  .chain((result) =>
    fc
      .array(fc.nat(result.interfaces.length - 1), {
        minLength: 4,
        maxLength: 4,
      })
      .map((indexes) => ({
        ...result,
        ips: result.ips.map((ip, i) => ({ ...ip, interface: indexes[i] ?? 0 })),
      })),
  );

describe("convertResult", () => {
  test("the result that was read last: as any copy of it", () => {
    fc.assert(
      fc.property(
        fc.oneof(almost(modern), almost(legacy)),
        version,
        version,
        (value, from, to) => {
          const result = orCniError(
            () => parseResult(value, from),
            Code.internal,
          );
          if (!result) return;
          const converted = orCniError(
            () => convertResult(result, to),
            Code.internal,
          );
          const ofCopy = orCniError(
            () => convertResult(structuredClone(result), to),
            Code.internal,
          );
          expect(JSON.stringify(converted)).toBe(JSON.stringify(ofCopy));
        },
      ),
      runs,
    );
  });

  test("to any version: that version, trustworthy, and a second time the same", () => {
    fc.assert(
      fc.property(printed, version, (value, to) => {
        const result = parseResult(value, "1.1.0");
        const converted = convertResult(result, to);
        expect(converted.cniVersion).toBe(to);
        expectTrustworthy(converted);
        expect(convertResult(converted, to)).toEqual(converted);
        expect(parseResult(JSON.parse(JSON.stringify(converted)), to)).toEqual(
          converted,
        );
      }),
      runs,
    );
  });

  test("between versions with lists and back: nothing is lost", () => {
    fc.assert(
      fc.property(printed, listVersion, listVersion, (value, from, to) => {
        const result = convertResult(parseResult(value, "1.1.0"), from);
        expect(convertResult(convertResult(result, to), from)).toEqual(result);
      }),
      runs,
    );
  });

  test("to a version without lists: the first address of each family", () => {
    fc.assert(
      fc.property(
        printed,
        fc.constantFrom("0.1.0" as const, "0.2.0" as const),
        (value, to) => {
          const result = parseResult(value, "1.1.0");
          const addresses = modernResult(result).ips.map((ip) => ip.address);
          const converted = modernResult(convertResult(result, to)).ips.map(
            (ip) => ip.address,
          );
          const first = [
            addresses.find((text) => !text.includes(":")),
            addresses.find((text) => text.includes(":")),
          ];
          expect(converted).toEqual(first.filter((text) => text !== undefined));
        },
      ),
      runs,
    );
  });
});

describe("parseJson", () => {
  const texts = fc.oneof(
    anyText,
    mutated('{"a":[1,2.50,-0,1e3,12345678901234567890],"b":"\\u0041"}'),
    fc.json(),
  );

  test("any text: accepted as JSON.parse accepts it, refused in one line", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const accepted = (parse: (text: string) => unknown) => {
          try {
            parse(text);
            return true;
          } catch (error) {
            expect(error).toBeInstanceOf(SyntaxError);
            return false;
          }
        };
        expect(accepted(parseJson)).toBe(
          accepted((one) => JSON.parse(one) as unknown),
        );
        try {
          parseJson(text);
        } catch (error) {
          expectPrintable((error as Error).message);
        }
      }),
      runs,
    );
  });

  test("numbers: their text comes out as it went in", () => {
    const number = fc.stringMatching(
      /^-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/,
    );
    fc.assert(
      fc.property(fc.array(number, { minLength: 1 }), (numbers) => {
        const text = `{"numbers":[${numbers.join(",")}]}`;
        expect(JSON.stringify(parseJson(text))).toBe(text);
      }),
      runs,
    );
  });

  test("objects with any keys: unchanged", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(
            fc.oneof(fc.constantFrom("__proto__", "constructor"), fc.string()),
            fc.integer(),
          ),
          { selector: ([key]) => key },
        ),
        (entries) => {
          const text = JSON.stringify(objectOf(entries));
          expect(JSON.stringify(parseJson(text))).toBe(text);
        },
      ),
      runs,
    );
  });
});
