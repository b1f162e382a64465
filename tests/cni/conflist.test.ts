/** R-LD-3, R-LD-4, R-VS of cni-runtime.md: what a configuration may say, and libcni's texts. */
import { describe, expect, test } from "bun:test";
import {
  assumedVersion,
  parseConf,
  parseConfList,
  parsePlugin,
} from "../../lib/cni/conflist.ts";
import { parseJson } from "../../lib/cni/json.ts";

const plugins = [{ type: "bridge" }];
const network = { cniVersion: "1.0.0", name: "n", plugins };

const inList = (text: string) => `error parsing configuration list: ${text}`;
const inPlugin = (text: string) =>
  `failed to parse plugin config 0: error parsing configuration: ${text}`;

describe("parseConfList", () => {
  test("takes 32 plugins", () => {
    const list = {
      name: "n",
      plugins: Array.from({ length: 32 }, () => ({ type: "t" })),
    };
    expect(parseConfList(list).plugins).toHaveLength(32);
  });

  test("gives the list with its plugins untouched", () => {
    const bridge = {
      type: "bridge",
      name: "inner",
      cniVersion: "0.1.0",
      capabilities: { portMappings: true, bandwidth: false },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.0.0.0/24" }]] },
      dns: { nameservers: ["1.1.1.1"], domain: "d", search: [], options: null },
      unknown: { constructor: 1 },
    };
    const list = {
      cniVersion: "1.0.0",
      name: "net/with:odd name",
      disableCheck: true,
      plugins: [bridge, { type: "tuning" }],
      description: "ignored",
    };
    expect(parseConfList(list)).toEqual({
      name: "net/with:odd name",
      cniVersion: "1.0.0",
      disableCheck: true,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      plugins: [bridge, { type: "tuning" }],
    });
  });

  test("leaves a list without plugins to the directory", () => {
    expect(parseConfList({ name: "n" })).toEqual({
      name: "n",
      cniVersion: assumedVersion,
      disableCheck: false,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      plugins: [],
    });
  });

  test.each<[string, unknown]>([
    ["expected an object, got an array", []],
    ["expected an object, got null", null],
    ["expected an object, got a string", "x"],
    ["no name", { plugins }],
    ["no name", { NAME: "n", plugins }],
    ["invalid name type <nil>", { name: null, plugins }],
    ["invalid name type float64", { name: 7, plugins }],
    ["invalid name type bool", { name: true, plugins }],
    ["invalid name type []interface {}", { name: [], plugins }],
    ["invalid name type map[string]interface {}", { name: {}, plugins }],
    ["invalid cniVersion type <nil>", { ...network, cniVersion: null }],
    ["invalid cniVersion type float64", { ...network, cniVersion: 1 }],
    [
      "invalid type for cniVersions: string",
      { ...network, cniVersions: "1.0.0" },
    ],
    ["invalid type for cniVersions: <nil>", { ...network, cniVersions: null }],
    [
      "invalid type for cniVersions index 1: float64",
      { ...network, cniVersions: ["1.0.0", 1] },
    ],
    [
      'invalid cniVersions entry x at index 0: failed to convert major version part "x": strconv.Atoi: parsing "x": invalid syntax',
      { ...network, cniVersions: ["x"] },
    ],
    [
      'invalid cniVersions entry 1.0.0.0 at index 1: invalid version "1.0.0.0": too many parts',
      { ...network, cniVersions: ["1.0.0", "1.0.0.0"] },
    ],
    [
      'invalid cniVersion v1: failed to convert major version part "v1": strconv.Atoi: parsing "v1": invalid syntax',
      { ...network, cniVersion: "v1", cniVersions: ["1.0.0"] },
    ],
    [
      'invalid cniVersion "1\\n2": failed to convert major version part "1\\n2": strconv.Atoi: parsing "1\\n2": invalid syntax',
      { ...network, cniVersion: "1\n2", cniVersions: ["1.0.0"] },
    ],
    ["invalid type float64 for disableCheck", { ...network, disableCheck: 1 }],
    ["invalid type <nil> for disableGC", { ...network, disableGC: null }],
    [
      "invalid type []interface {} for loadOnlyInlinedPlugins",
      { ...network, loadOnlyInlinedPlugins: [] },
    ],
    [
      'invalid value "yes" for disableCheck',
      { ...network, disableCheck: "Yes" },
    ],
    ['invalid value "" for disableGC', { ...network, disableGC: "" }],
    [
      "`loadOnlyInlinedPlugins` is true, and no 'plugins' key",
      { name: "n", loadOnlyInlinedPlugins: "TRUE" },
    ],
    ["invalid 'plugins' type <nil>", { name: "n", plugins: null }],
    [
      "invalid 'plugins' type map[string]interface {}",
      { name: "n", plugins: {} },
    ],
    ["no plugins in list", { name: "n", plugins: [] }],
    [
      "more than 32 plugins",
      { name: "n", plugins: Array.from({ length: 33 }, () => ({ type: "t" })) },
    ],
  ])("refuses: %s", (text, value) => {
    expect(() => parseConfList(value)).toThrow(new Error(inList(text)));
  });

  test.each<[string, unknown]>([
    ["missing 'type'", {}],
    ["missing 'type'", { type: "" }],
    ["missing 'type'", { type: null }],
    ["invalid type for 'type': float64", { type: 7 }],
    ["invalid 'type' \"../bridge\"", { type: "../bridge" }],
    ["invalid 'type' \"..\"", { type: ".." }],
    ["invalid 'type' \".\"", { type: "." }],
    ["invalid 'type' \"../x\"", { type: "ptp", ipam: { type: "../x" } }],
    ["invalid 'type' \"a/b\"", { type: "ptp", Delegate: { TYPE: "a/b" } }],
    ["expected an object, got a string", "bridge"],
    ["expected an object, got null", null],
    [
      "capabilities: expected an object, got an array",
      { type: "b", capabilities: [] },
    ],
    [
      "capabilities.ips: expected a bool, got a string",
      { type: "b", capabilities: { ips: "true" } },
    ],
    ["ipam: expected an object, got a string", { type: "b", ipam: "dhcp" }],
    [
      "ipam.type: expected a string, got the number 1",
      { type: "b", ipam: { type: 1 } },
    ],
    ["dns: expected an object, got an array", { type: "b", dns: [] }],
    [
      "dns.domain: expected a string, got the number 1",
      { type: "b", dns: { domain: 1 } },
    ],
    [
      "dns.search: expected an array of strings, got a string",
      { type: "b", dns: { search: "a" } },
    ],
    [
      "dns.search.1: expected a string, got the number 1",
      { type: "b", dns: { search: ["a", 1] } },
    ],
  ])("refuses a plugin: %s", (text, plugin) => {
    const list = { name: "n", plugins: [plugin] };
    expect(() => parseConfList(list)).toThrow(new Error(inPlugin(text)));
  });

  test("counts plugins from zero", () => {
    const list = { name: "n", plugins: [{ type: "a" }, {}] };
    expect(() => parseConfList(list)).toThrow(
      "failed to parse plugin config 1: error parsing configuration: missing 'type'",
    );
  });

  test.each<[string, unknown, boolean]>([
    ["true", true, true],
    ["false", false, false],
    ['"true"', "true", true],
    ['"TrUe"', "TrUe", true],
    ['"FALSE"', "FALSE", false],
  ])("takes %s for a flag", (_, value, expected) => {
    const { disableCheck, disableGC, loadOnlyInlinedPlugins } = parseConfList({
      ...network,
      disableCheck: value,
      disableGC: value,
      loadOnlyInlinedPlugins: value,
    });
    expect([disableCheck, disableGC, loadOnlyInlinedPlugins]).toEqual([
      expected,
      expected,
      expected,
    ]);
  });

  test.each<[string, object, string]>([
    ["cniVersion alone", { cniVersion: "0.4.0" }, "0.4.0"],
    ["an unknown cniVersion alone", { cniVersion: "1.2.3" }, "1.2.3"],
    ["a cniVersion that is none, alone", { cniVersion: "abc" }, "abc"],
    ["nothing: 0.3.0", {}, "0.3.0"],
    ["an empty cniVersion: 0.3.0", { cniVersion: "" }, "0.3.0"],
    ["the highest", { cniVersions: ["0.4.0", "1.0.0", "0.3.1"] }, "1.0.0"],
    [
      "the highest by number",
      { cniVersions: ["0.9.0", "0.10.0", "0.4.0"] },
      "0.10.0",
    ],
    [
      "the highest up to 1.1.0",
      { cniVersions: ["1.0.0", "1.2.0", "9.0.0"] },
      "1.0.0",
    ],
    [
      "cniVersion, when it is higher",
      { cniVersion: "1.1.0", cniVersions: ["0.4.0", "1.0.0"] },
      "1.1.0",
    ],
    [
      "cniVersions, when cniVersion is newer than ours",
      { cniVersion: "1.2.0", cniVersions: ["0.4.0"] },
      "0.4.0",
    ],
    [
      "cniVersion, when all others are newer than ours",
      { cniVersion: "1.5.0", cniVersions: ["1.2.0", "2.0.0"] },
      "1.5.0",
    ],
    [
      "cniVersion, when cniVersions is empty",
      { cniVersion: "0.3.1", cniVersions: [] },
      "0.3.1",
    ],
    [
      "0.3.0, when both are empty",
      { cniVersion: "", cniVersions: [] },
      "0.3.0",
    ],
  ])("selects %s", (_, versions, expected) => {
    expect(parseConfList({ name: "n", plugins, ...versions })).toHaveProperty(
      "cniVersion",
      expected,
    );
  });
});

describe("parseConf", () => {
  test("makes a list of the one plugin, whole", () => {
    const conf = {
      cniVersion: "0.3.1",
      name: "n",
      type: "flannel",
      delegate: { isDefaultGateway: true },
      plugins: "not a list",
      disableCheck: true,
    };
    expect(parseConf(conf)).toEqual({
      name: "n",
      cniVersion: "0.3.1",
      disableCheck: false,
      disableGC: false,
      loadOnlyInlinedPlugins: true,
      plugins: [conf],
    });
  });

  test.each<[string, object]>([
    ["no", {}],
    ["a null", { name: null }],
    ["an empty", { name: "" }],
  ])("takes %s name for an empty one", (_, name) => {
    expect(parseConf({ type: "flannel", ...name })).toMatchObject({
      name: "",
      cniVersion: "0.3.0",
    });
  });

  test.each<[string, unknown]>([
    ["missing 'type'", { name: "n", plugins }],
    ["invalid name type float64", { type: "b", name: 1 }],
    ["invalid cniVersion type bool", { type: "b", cniVersion: true }],
    ["expected an object, got an array", []],
  ])("refuses: %s", (text, value) => {
    expect(() => parseConf(value)).toThrow(
      new Error(`error parsing configuration: ${text}`),
    );
  });
});

describe("parsePlugin", () => {
  test("keeps keys that JavaScript's objects have as well", () => {
    const text = '{"type":"b","__proto__":{"a":1},"constructor":2}';
    expect(JSON.stringify(parsePlugin(parseJson(text)))).toBe(text);
  });

  test.each<[string, object]>([
    ["capabilities", { capabilities: null }],
    ["capabilities.ips", { capabilities: { ips: null } }],
    ["ipam", { ipam: null }],
    ["ipam.type", { ipam: { type: null } }],
    ["dns", { dns: null }],
    ["dns.domain", { dns: { domain: null } }],
  ])("takes a null %s for none", (_, keys) => {
    expect(parsePlugin({ type: "b", ...keys })).toEqual({ type: "b", ...keys });
  });
});
