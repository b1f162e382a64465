/**
 * Every recorded conversion of upstream's result types (cni-plugin.md §1.9),
 * against ours. `createErr` is what upstream said when it read the input. What
 * ours does otherwise, on purpose, stands in `refused` and `kept`.
 */
import { describe, expect, test } from "bun:test";
import { isObject, own } from "../../lib/cni/json.ts";
import { convertResult, parseResult } from "../../lib/cni/result.ts";
import { formOf } from "../../lib/cni/result-shape.ts";
import {
  type CniVersion,
  isSupported,
  supportedVersions,
} from "../../lib/cni/version.ts";
import cases from "../data/convert-cases.json";
import { cniError } from "../support/cni-error.ts";

/** By what is wrong in the input: our message. */
const refused = [
  // Upstream reads these, and then its converters or its runtimes panic (C-10).
  { part: '"ips":[null]', msg: "result.ips.0: null is not allowed here" },
  { part: '"routes":[null]', msg: "result.routes.0: null is not allowed here" },
  {
    part: '"interface":-1',
    msg: "result.ips.0.interface: no interface -1 among 1",
  },
  // Upstream names Go's types, which mean nothing to who writes a plugin.
  {
    part: '"interface":"0"',
    msg: "result.ips.0.interface: expected an integer, got a string",
  },
  {
    part: '"mtu":1.5',
    msg: "result.interfaces.0.mtu: expected an integer, got the number 1.5",
  },
  {
    part: '"name":5',
    msg: "result.interfaces.0.name: expected a string, got the number 5",
  },
  { part: '"dns":"x"', msg: "result.dns: expected an object, got a string" },
  {
    part: '"cniVersion":1,',
    msg: "result.cniVersion: expected a string, got the number 1",
  },
  { part: '"ips":{', msg: "result.ips: expected an array, got an object" },
];

/** Fields that a family does not know: upstream drops them, ours keeps them within the family (C-9). */
const kept: Record<string, Record<string, readonly string[]>> = {
  legacy: {},
  "0.3": { interfaces: ["mtu", "socketPath", "pciID"] },
  "1": { interfaces: ["foo"], ips: ["version"], routes: ["extra"] },
};

const named = cases.map((recorded) => ({
  ...recorded,
  name: JSON.stringify(recorded.input),
}));
const readable = named.filter(
  (c) => c.createErr === undefined && !refusal(c.input),
);
const unreadable = named.filter((c) => !readable.includes(c));

const conversions = readable.flatMap(({ name, input, out }) =>
  supportedVersions.map((version) => ({
    name,
    input,
    version,
    upstream: own(out, version),
  })),
);

describe("convertResult, as upstream", () => {
  test.each(conversions)(
    "$name to $version",
    ({ input, version, upstream }) => {
      const convert = (): unknown =>
        convertResult(parseResult(input, "0.1.0"), version);
      const problem = own(upstream, "err");
      if (problem === undefined)
        expect(convert()).toEqual(withKept(upstream, input, version));
      else
        expect(convert).toThrow(
          expect.objectContaining({ code: 999, message: problem }),
        );
    },
  );

  test.each(
    conversions.filter(({ upstream }) => own(upstream, "err") === undefined),
  )(
    "$name to $version is unchanged when it is read again",
    ({ input, version }) => {
      const converted = convertResult(parseResult(input, "0.1.0"), version);
      expect(JSON.stringify(parseResult(converted, version))).toBe(
        JSON.stringify(converted),
      );
    },
  );
});

describe("parseResult, as upstream", () => {
  test.each(unreadable)("refuses $name", ({ input, createErr }) => {
    const message = refusal(input) ?? createErr;
    expect(() => parseResult(input, "0.1.0")).toThrow(cniError(999, message));
  });

  test("every deviation is met by a case", () => {
    const inputs = cases.map(({ input }) => JSON.stringify(input));
    expect(
      refused.filter(
        ({ part }) => !inputs.some((input) => input.includes(part)),
      ),
    ).toEqual([]);
  });
});

function refusal(input: unknown): string | undefined {
  const text = JSON.stringify(input);
  return refused.find(({ part }) => text.includes(part))?.msg;
}

/** Upstream's answer with what ours keeps of the input. */
function withKept(
  upstream: unknown,
  input: unknown,
  version: CniVersion,
): unknown {
  const from = own(input, "cniVersion") || "0.1.0";
  if (typeof from !== "string" || !isSupported(from) || !isObject(upstream))
    return upstream;
  const family = formOf(version);
  if (formOf(from) !== family) return upstream;
  const lists = Object.entries(kept[family] ?? {}).map(([list, keys]) => [
    list,
    elements(upstream, list)?.map((element, i) => ({
      ...element,
      ...pick(elements(input, list)?.[i] ?? {}, keys),
    })),
  ]);
  return { ...upstream, ...Object.fromEntries(lists) };
}

function elements(
  result: unknown,
  list: string,
): Record<string, unknown>[] | undefined {
  const value = own(result, list);
  return Array.isArray(value) ? value.filter(isObject) : undefined;
}

function pick(
  object: Record<string, unknown>,
  keys: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).filter(([key]) => keys.includes(key)),
  );
}
