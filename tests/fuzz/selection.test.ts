/**
 * Interface names: whatever is requested, they are what selection.md §3 and §6
 * say, written down here a second time, or it is an error 7.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Code } from "../../lib/cni/error.ts";
import { readConfig } from "../../lib/select/config.ts";
import { parseChoice } from "../../lib/select/choice.ts";
import { definitionNetwork } from "../../lib/select/definition.ts";
import { resolve } from "../../lib/select/resolve.ts";
import { networksAnnotation } from "../../lib/select/attachment.ts";
import { nodeNetworks } from "../select/networks.ts";
import { objectOf, orCniError, runs } from "./arbitraries.ts";

const config = readConfig({});
const keys = ["alpha", "beta", "gamma"];
const networks = nodeNetworks(
  Object.fromEntries(
    keys.map((key) => [
      `${key}.conf`,
      { cniVersion: "1.0.0", name: key, type: key },
    ]),
  ),
);
const defined = {
  config: JSON.stringify({
    cniVersion: "1.0.0",
    name: "defined",
    type: "macvlan",
  }),
};

/** Few names, so that they meet. */
const ifname = fc.constantFrom("eth0", "eth1", "eth2", "net1", "net2", "tun0");
const chosen = fc.array(
  fc.record(
    { name: fc.constantFrom(...keys), ifname },
    { requiredKeys: ["name"] },
  ),
  {
    minLength: 1,
    maxLength: 6,
  },
);
const added = fc.array(fc.record({ ifname }, { requiredKeys: [] }), {
  maxLength: 4,
});

function expectedNames(
  requested: readonly (string | undefined)[],
  more: readonly (string | undefined)[],
  primary: string,
): string[] | undefined {
  const explicit = [...requested, ...more].filter((name) => name !== undefined);
  if (new Set(explicit).size < explicit.length) return undefined;
  const taken = new Set(explicit);
  const take = (prefix: string, from: number) => {
    const n = Array.from({ length: 50 }, (_, i) => from + i).find(
      (i) => !taken.has(`${prefix}${i}`),
    );
    taken.add(`${prefix}${n}`);
    return `${prefix}${n}`;
  };
  const first = requested.includes(primary) ? -1 : requested.indexOf(undefined);
  // Reserved by another annotation: the primary would be attached twice.
  if (first >= 0 && taken.has(primary)) return undefined;
  if (first >= 0) taken.add(primary);
  const names = requested.map(
    (name, i) => name ?? (i === first ? primary : take("eth", 0)),
  );
  const others = more.map((name, i) => name ?? take("net", i + 1));
  return [...names, ...others].includes(primary)
    ? [...names, ...others]
    : undefined;
}

describe("definitionNetwork", () => {
  const key = fc
    .constantFrom("type", "ipam", "delegate", "delegates", "plugins", "x")
    .chain((name) =>
      fc
        .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
        .map((upper) =>
          Array.from(name, (letter, i) =>
            upper[i]
              ? letter === "s"
                ? "\u017f"
                : letter.toUpperCase()
              : letter,
          ).join(""),
        ),
    );
  const type = fc.constantFrom("ok", "evil", "host-local");
  const { plugin } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "medium" },
      type,
      tie("plugin"),
      fc.array(tie("value"), { maxLength: 2 }),
    ),
    plugin: fc
      .array(fc.tuple(key, tie("value")), { maxLength: 4 })
      .map(objectOf),
  }));

  /** Go's reading of a key, of a text that has no other characters than these. */
  const folded = (name: string) => name.toLowerCase().replaceAll("ſ", "s");

  /** Whether a type that is not allowed stands where a plugin would execute it. */
  function executesEvil(value: unknown, allowed: readonly string[]): boolean {
    if (Array.isArray(value))
      return value.some((item) => executesEvil(item, allowed));
    if (typeof value !== "object" || value === null) return false;
    return Object.entries(value).some(([name, inner]) => {
      const found: unknown = inner;
      if (folded(name) === "type")
        return typeof found === "string" && !allowed.includes(found);
      if (folded(name) === "ipam")
        return executesEvil(found, [...allowed, "host-local"]);
      return (
        ["delegate", "delegates", "plugins"].includes(folded(name)) &&
        executesEvil(found, allowed)
      );
    });
  }

  test("an accepted network: only allowed plugins", () => {
    const context = {
      config: readConfig({
        allowedPlugins: ["ok"],
        allowedIpams: ["host-local"],
      }),
      networks,
      ifname: "eth0",
      args: "",
    };
    const reference = {
      namespace: "a",
      key: "a/b",
      element: { name: "b" },
      origin: "",
    };
    let accepted = 0;
    fc.assert(
      fc.property(plugin, (object) => {
        const text = JSON.stringify({ type: "ok", ...object });
        const list = orCniError(
          () => definitionNetwork(reference, { config: text }, context),
          Code.invalidNetworkConfig,
        );
        if (!list) return;
        accepted++;
        expect([text, executesEvil(JSON.parse(text), ["ok"])]).toEqual([
          text,
          false,
        ]);
      }),
      runs,
    );
    expect(accepted).toBeGreaterThan(50);
  });
});

describe("parseChoice and resolve", () => {
  test("interface names, as the page says or error 7", () => {
    fc.assert(
      fc.property(
        chosen,
        added,
        fc.constantFrom("eth0", "net1"),
        (requested, more, primary) => {
          const cni = requested
            .map((entry) =>
              [entry.name, entry.ifname].filter(Boolean).join("@"),
            )
            .join(",");
          const text = more
            .map((entry) => ["lan", entry.ifname].filter(Boolean).join("@"))
            .join(",");
          const context = {
            config,
            networks,
            ifname: primary,
            args: "",
            namespace: "ns",
          };
          const select = () => {
            const annotations = { cni, [networksAnnotation]: text };
            const choice = parseChoice(annotations, context);
            return resolve(choice, context, (reference) =>
              definitionNetwork(reference, defined, context),
            );
          };
          const attachments = orCniError(select, Code.invalidNetworkConfig);
          const expected = expectedNames(
            requested.map((entry) => entry.ifname),
            more.map((entry) => entry.ifname),
            primary,
          );
          expect(attachments?.map((attachment) => attachment.ifname)).toEqual(
            expected,
          );
          if (!attachments) return;
          expect(attachments.map(({ list }) => list.name)).toEqual([
            ...requested.map(({ name }) => name),
            ...more.map(() => "defined"),
          ]);
          // Pure: the same inputs, the same list.
          expect(select()).toEqual(attachments);
        },
      ),
      runs,
    );
  });
});
