/**
 * The annotations of a pod's author: `cni` and NPWG's, in both forms.
 * Nothing outside of the grammar is accepted (selection.md §3, §6).
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseCidr, parseIp, parseMac } from "../../lib/linux/address.ts";
import { Code, CniError } from "../../lib/cni/error.ts";
import { parseNetworks } from "../../lib/select/cni-annotation.ts";
import { parseElements } from "../../lib/select/npwg-annotation.ts";
import { parseAnyElements } from "../../lib/select/npwg-elements.ts";
import {
  almost,
  anyJson,
  anyText,
  fewRuns,
  mutated,
  orCniError,
  runs,
} from "./arbitraries.ts";

const source = 'annotation "cni"';
const invalid = Code.invalidNetworkConfig;

/** selection.md §3, written down a second time. */
function isIfname(name: string): boolean {
  const bytes = Buffer.byteLength(name);
  return (
    bytes >= 1 &&
    bytes <= 15 &&
    name !== "." &&
    name !== ".." &&
    !/[/:\t\n\v\f\r ]/.test(name)
  );
}

const isNetworkName = (name: string) =>
  /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name);

const isDnsName = (name: string) =>
  name.length <= 253 &&
  name
    .split(".")
    .every((label) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label));

describe("parseNetworks", () => {
  const texts = fc.oneof(
    anyText,
    mutated(
      "flannel",
      "flannel,weave",
      "a, b@eth4 , c @ eth7",
      "a@,b.c-d_e@net1",
    ),
  );

  test("any text: networks of the grammar or error 7", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const networks =
          orCniError(() => parseNetworks(source, text), invalid) ?? [];
        expect(networks.length).toBeLessThanOrEqual(32);
        for (const { name, ifname } of networks) {
          expect([name, isNetworkName(name)]).toEqual([name, true]);
          expect([ifname, ifname === undefined || isIfname(ifname)]).toEqual([
            ifname,
            true,
          ]);
        }
      }),
      runs,
    );
  });

  const network = fc.record(
    {
      name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,20}$/),
      ifname: fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/),
    },
    { requiredKeys: ["name"] },
  );
  const blank = fc.constantFrom("", " ", "\t", "  ");

  test("networks of the grammar, with blanks: the same networks", () => {
    const list = fc.array(network, { minLength: 1, maxLength: 32 });
    fc.assert(
      fc.property(list, blank, blank, (networks, a, b) => {
        const text = networks
          .map(
            ({ name, ifname }) =>
              `${a}${name}${b}${ifname === undefined ? "" : `@${b}${ifname}${a}`}`,
          )
          .join(",");
        expect(parseNetworks(source, text)).toEqual(networks);
      }),
      runs,
    );
  });
});

/** The letters in the case that the bits say. */
function inCase(key: string, bits: number): string {
  return Array.from(key, (letter, i) =>
    (bits >> i) & 1 ? letter.toUpperCase() : letter,
  ).join("");
}

describe("parseElements, keys in any case", () => {
  const element: Record<string, unknown> = {
    name: "a",
    namespace: "b",
    interface: "net1",
    ips: ["10.0.0.2/24"],
    mac: "02:00:00:00:00:01",
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    deviceID: "d",
    "cni-args": { Keep: 1 },
    "default-route": ["10.0.0.1"],
  };
  const keys = Object.keys(element);
  const expected = parseElements(source, JSON.stringify(element));
  const bits = fc.array(fc.nat(0xffff), {
    minLength: keys.length,
    maxLength: keys.length,
  });

  test("every spelling is the same element, two spellings are an error 7", () => {
    fc.assert(
      fc.property(bits, fc.constantFrom(...keys), (cases, twice) => {
        const spelt = Object.fromEntries(
          keys.map((key, i) => [inCase(key, cases[i] ?? 0), element[key]]),
        );
        expect(parseElements(source, JSON.stringify(spelt))).toEqual(expected);
        const other = twice.toUpperCase();
        if (Object.hasOwn(spelt, other)) return;
        const both = JSON.stringify({ ...spelt, [other]: element[twice] });
        expect(
          orCniError(() => parseElements(source, both), invalid),
        ).toBeUndefined();
      }),
      runs,
    );
  });
});

describe("parseElements, of a text as long as annotations may be", () => {
  const piece = fc.oneof(
    anyText,
    mutated("a,", '{"name":"a"}', '"ips":["x"],', "[[", "@/,", '"\\u0000"'),
  );

  test("a response at once, a message of at most 8 KiB", () => {
    fc.assert(
      fc.property(piece, fc.boolean(), (text, strict) => {
        const long = text.repeat(Math.ceil((256 << 10) / (text.length || 1)));
        const started = process.cpuUsage();
        for (const given of [long, `[${long}]`, `{"name":"a","ips":[${long}]}`])
          try {
            parseElements(source, given, strict);
          } catch (error) {
            const { code, message } = CniError.from(error);
            expect(code).toBe(invalid);
            expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8192);
          }
        expect(process.cpuUsage(started).user).toBeLessThan(2_000_000);
      }),
      fewRuns,
    );
  }, 60_000);
});

describe("parseElements", () => {
  const example = JSON.stringify([
    {
      name: "a",
      namespace: "b",
      interface: "net1",
      ips: ["10.0.0.2/24", "fe80::1"],
      mac: "02:00:00:00:00:01",
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: 1 },
      "cni-args": { a: 1 },
      "default-route": ["10.0.0.1"],
    },
  ]);
  const keys = Object.keys((JSON.parse(example) as object[])[0] ?? {});
  const texts = fc.oneof(
    anyText,
    mutated("a", "b/a@net1", "a,b/c , d@e", example),
    anyJson(...keys).map((value) => JSON.stringify(value)),
    almost(JSON.parse(example)).map((value) => JSON.stringify(value)),
  );

  test("any text: elements of the grammar or error 7", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = orCniError(() => parseElements(source, text), invalid);
        // The plain names that are read without a schema, too.
        expect(parsed).toEqual(
          orCniError(() => parseAnyElements(source, text, false), invalid),
        );
        const { elements } = parsed ?? { elements: [] };
        expect(elements.length).toBeLessThanOrEqual(32);
        for (const {
          name,
          namespace,
          ifname,
          ips = [],
          mac,
          defaultRoute = [],
        } of elements) {
          const wrong = [
            !isDnsName(name) && name,
            namespace !== undefined && !isDnsName(namespace) && namespace,
            ifname !== undefined && !isIfname(ifname) && ifname,
            ...ips.filter((ip) => !parseIp(ip) && !parseCidr(ip)),
            mac !== undefined && !parseMac(mac) && mac,
            ...defaultRoute.filter((ip) => !parseIp(ip)),
          ];
          expect(wrong.filter((value) => value !== false)).toEqual([]);
        }
      }),
      runs,
    );
  });
});
