/** R-CF, §2.3 and F-10 of cni-runtime.md: one network, its plugins really executed. */
import type { RuntimeConf } from "../../lib/cni/invoke.ts";
import { statusIfAny as statusOf } from "../../lib/linux/file-calls.ts";
import { describe, expect, test } from "bun:test";
import {
  parseConf,
  parseConfList,
  type NetworkConfigList,
} from "../../lib/cni/conflist.ts";
import { Deadline } from "../../lib/linux/deadline.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { ExecRequest } from "../../lib/linux/exec.ts";
import { parseJson } from "../../lib/cni/json.ts";
import {
  addNetwork,
  declares,
  delNetwork,
  pluginConfig,
  validateNetwork,
} from "../../lib/cni/network.ts";
import {
  type ValidAttachment,
  checkNetwork,
  gcNetwork,
  statusNetwork,
  throwFirst,
} from "../../lib/cni/network-upkeep.ts";
import type { Result } from "../../lib/cni/result.ts";
import type { CniVersion } from "../../lib/cni/version.ts";
import {
  DelegateDouble,
  type RecordedCall,
  failing,
  testCaller,
} from "../support/delegate.ts";
import { cniError, rejection } from "../support/cni-error.ts";

const listOf = (cniVersion: string, ...types: string[]): NetworkConfigList =>
  parseConfList({
    cniVersion,
    name: "net",
    plugins: types.map((type) => ({ type })),
  });

const runtimeOf = (path: string[]): RuntimeConf => ({
  containerId: "c1",
  netns: "/run/netns/a",
  ifname: "eth0",
  args: "K8S_POD_NAME=p",
  capabilityArgs: {},
  path,
});

const minute = () => new Deadline(60_000);

const add = (list: NetworkConfigList, { bin }: DelegateDouble) =>
  addNetwork(list, runtimeOf([bin]), minute(), testCaller());

const del = (
  list: NetworkConfigList,
  result: Result | undefined,
  { bin }: DelegateDouble,
) => delNetwork(list, runtimeOf([bin]), result, minute(), testCaller());

const check = (
  list: NetworkConfigList,
  result: Result | undefined,
  { bin }: DelegateDouble,
) => checkNetwork(list, runtimeOf([bin]), result, minute(), testCaller());

const gc = (
  list: NetworkConfigList,
  valid: readonly ValidAttachment[],
  { bin }: DelegateDouble,
) => gcNetwork(list, valid, [bin], minute(), testCaller());

const status = (list: NetworkConfigList, { bin }: DelegateDouble) =>
  statusNetwork(list, [bin], minute(), testCaller());

/** The verb and the configuration of each plugin's call. */
const seen = (calls: RecordedCall[]) =>
  calls.map(({ type, verb, stdin }) => [type, verb, parseJson(stdin)]);

const result10 = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }],
  ips: [{ interface: 0, address: "10.0.0.2/24", gateway: "10.0.0.1" }],
  routes: [{ dst: "0.0.0.0/0" }],
} satisfies Result;

describe("request", () => {
  const runtime = runtimeOf([]);

  test("is the plugin's object with the list's name and version, the rest untouched (R-CF-1, R-CF-4)", () => {
    const list = parseConfList({
      cniVersion: "1.0.0",
      name: "net",
      plugins: [
        {
          type: "bridge",
          name: "inner",
          cniVersion: "0.2.0",
          ipam: { type: "host-local", subnet: "10.0.0.0/24" },
          args: { cni: { a: 1 } },
          dns: { nameservers: [] },
          html: "<a&b>",
          unknown: null,
        },
      ],
    });
    expect(
      list.plugins.map((plugin) =>
        parseJson(pluginConfig(list, plugin, { runtime: runtimeOf([]) })),
      ),
    ).toEqual([
      {
        type: "bridge",
        name: "net",
        cniVersion: "1.0.0",
        ipam: { type: "host-local", subnet: "10.0.0.0/24" },
        args: { cni: { a: 1 } },
        dns: { nameservers: [] },
        html: "<a&b>",
        unknown: null,
      },
    ]);
  });

  test("states the version that a configuration without one is run as", () => {
    const list = parseConf({ name: "n", type: "flannel" });
    expect(
      list.plugins.map((plugin) =>
        pluginConfig(list, plugin, { runtime: runtimeOf([]) }),
      ),
    ).toEqual(['{"name":"n","type":"flannel","cniVersion":"0.3.0"}']);
  });

  test("omits stale keys only (R-CF-2)", () => {
    const list = parseConfList({
      cniVersion: "1.1.0",
      name: "net",
      plugins: [
        {
          type: "a",
          prevResult: { ips: [] },
          runtimeConfig: { mac: "old" },
          PrevResult: { ips: [] },
          RUNTIMECONFIG: { mac: "old" },
          NAME: "another",
          CniVersion: "0.1.0",
          "CNI.dev/attachments": [],
          "cni.dev/attachments": [],
          "cni.dev/valid-attachments": [],
          "cni.dev/anything": 1,
          "cni.devil": 2,
          capabilities: { mac: true },
        },
      ],
    });
    expect(
      list.plugins.map((plugin) =>
        parseJson(pluginConfig(list, plugin, { runtime })),
      ),
    ).toEqual([
      {
        type: "a",
        name: "net",
        cniVersion: "1.1.0",
        "cni.devil": 2,
        capabilities: { mac: true },
      },
    ]);
  });

  test("passes capability arguments to plugins that declare them true (R-CF-3)", () => {
    const capabilityArgs = {
      portMappings: [{ hostPort: 80 }],
      bandwidth: { ingressRate: 1 },
      mac: "02:00:00:00:00:01",
      ips: null,
      constructor: "c",
      toString: "inherited keys are no capabilities",
    };
    const list = parseConfList({
      cniVersion: "1.0.0",
      name: "net",
      plugins: [
        {
          type: "a",
          capabilities: {
            portMappings: true,
            bandwidth: false,
            ips: true,
            dns: true,
            constructor: true,
          },
        },
        { type: "b" },
        { type: "c", capabilities: { dns: true } },
        { type: "d", capabilities: null },
      ],
    });
    const given = list.plugins.map((plugin) => {
      const text = pluginConfig(list, plugin, {
        runtime: { ...runtime, capabilityArgs },
      });
      const { runtimeConfig } = JSON.parse(text) as { runtimeConfig?: unknown };
      return runtimeConfig;
    });
    expect(given).toEqual([
      { portMappings: [{ hostPort: 80 }], ips: null, constructor: "c" },
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("keeps every number and every key as they were written", () => {
    const text =
      '{"type":"a","name":"n","cniVersion":"1.0.0","id":12345678901234567890,"one":1.0,"tiny":1E-7,"__proto__":{"x":1},"capabilities":{"n":true}}';
    const list = parseConf(parseJson(text));
    const args = parseJson('{"n":98765432109876543210}') as Record<
      string,
      unknown
    >;
    expect(
      list.plugins.map((plugin) =>
        pluginConfig(list, plugin, {
          runtime: { ...runtime, capabilityArgs: args },
        }),
      ),
    ).toEqual([
      `${text.slice(0, -1)},"runtimeConfig":{"n":98765432109876543210}}`,
    ]);
  });
});

test.each<[boolean, object]>([
  [true, { capabilities: { ips: true } }],
  [false, { capabilities: { ips: false } }],
  [false, { capabilities: {} }],
  [false, {}],
])("declares, is %p for %j", (expected, conf) => {
  expect(declares({ type: "a", ...conf }, "ips")).toBe(expected);
});

describe("addNetwork", () => {
  test("calls the plugins in order, each with the result of the one before", async () => {
    using double = new DelegateDouble("a", "b", "c");
    const { ips } = result10;
    double.behave("a", { stdout: { cniVersion: "1.0.0" } });
    double.behave("b", {
      stdout: { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] },
    });
    double.behave("c", { stdout: result10 });
    const list = listOf("1.0.0", "a", "b", "c");
    const added = await add(list, double);
    const conf = { name: "net", cniVersion: "1.0.0" };
    expect(added).toEqual({ ...result10, ips });
    expect(seen(double.calls())).toEqual([
      ["a", "ADD", { ...conf, type: "a" }],
      ["b", "ADD", { ...conf, type: "b", prevResult: { cniVersion: "1.0.0" } }],
      [
        "c",
        "ADD",
        {
          ...conf,
          type: "c",
          prevResult: {
            cniVersion: "1.0.0",
            ips: [{ address: "10.0.0.2/24" }],
          },
        },
      ],
    ]);
  });

  test("never runs two at once", async () => {
    using double = new DelegateDouble("a", "b");
    const list = listOf("1.0.0", "a", "b", "a");
    await add(list, double);
    expect(double.events()).toEqual(
      ["a", "b", "a"].flatMap((type) => [
        `start ${type} ADD eth0`,
        `end ${type} ADD eth0`,
      ]),
    );
  });

  test("stops at the first error, whose code and details are kept", async () => {
    using double = new DelegateDouble("a", "b", "c");
    const error = { code: 42, msg: "no address", details: "pool is full" };
    double.behave("b", { stdout: error, exit: 1 });
    const list = listOf("1.0.0", "a", "b", "c");
    const run = add(list, double);
    expect([
      await rejection(run),
      double.calls().map(({ type }) => type),
    ]).toEqual([
      cniError(42, 'plugin "b" failed to add eth0: no address', "pool is full"),
      ["a", "b"],
    ]);
  });

  test("converts an answer in another version at once (F-10)", async () => {
    using double = new DelegateDouble("a", "b");
    const answer = { cniVersion: "0.2.0", ip4: { ip: "10.0.0.2/24" }, dns: {} };
    double.behave("a", { stdout: answer });
    const converted = {
      cniVersion: "1.0.0",
      ips: [{ address: "10.0.0.2/24" }],
    } satisfies Result;
    double.behave("b", { stdout: { ...converted, cniVersion: "1.1.0" } });
    const list = listOf("1.0.0", "a", "b");
    const added = await add(list, double);
    expect([added, seen(double.calls()).at(-1)]).toEqual([
      converted,
      [
        "b",
        "ADD",
        { name: "net", type: "b", cniVersion: "1.0.0", prevResult: converted },
      ],
    ]);
  });

  test("keeps big numbers of a result for the next plugin", async () => {
    using double = new DelegateDouble("a", "b");
    double.behave("a", {
      stdout: '{"cniVersion":"1.0.0","x":12345678901234567890}',
    });
    const list = listOf("1.0.0", "a", "b");
    await add(list, double);
    expect(double.calls()[1]?.stdin).toBe(
      '{"type":"b","name":"net","cniVersion":"1.0.0","prevResult":{"cniVersion":"1.0.0","x":12345678901234567890}}',
    );
  });

  test.each<[CniVersion, boolean]>([
    ["0.1.0", false],
    ["0.2.0", false],
    ["0.3.0", true],
    ["0.3.1", true],
    ["0.4.0", true],
    ["1.0.0", true],
    ["1.1.0", true],
  ])(
    "gives the second plugin of %s a prevResult: %p",
    async (version, expected) => {
      using double = new DelegateDouble("a", "b");
      const run = add(listOf(version, "a", "b"), double);
      await run;
      const given = seen(double.calls()).map(([, , config]) =>
        Object.hasOwn(config as object, "prevResult"),
      );
      expect(given).toEqual([false, expected]);
    },
  );

  test.each<[string, unknown, string]>([
    [
      "a bad address",
      { ips: [{ address: "10.0.0.256/24" }] },
      "invalid CIDR address: 10.0.0.256/24",
    ],
    ["a list", [], "result: expected an object, got an array"],
  ])("refuses a result with %s (state.md ADD)", async (_, stdout, text) => {
    using double = new DelegateDouble("a", "b");
    double.behave("a", { stdout });
    const run = add(listOf("1.0.0", "a", "b"), double);
    expect([await rejection(run), double.calls().length]).toEqual([
      cniError(999, `plugin "a" failed to add eth0: ${text}`),
      1,
    ]);
  });

  test("refuses a result that the configuration's version cannot express", async () => {
    using double = new DelegateDouble("a");
    double.behave("a", { stdout: { cniVersion: "1.0.0" } });
    const run = add(listOf("0.2.0", "a"), double);
    expect(await rejection(run)).toEqual(
      cniError(
        999,
        'plugin "a" failed to add eth0: cannot convert: no valid IP addresses',
      ),
    );
  });

  test("does not execute an unknown version", async () => {
    using double = new DelegateDouble("a");
    const run = add(listOf("1.2.3", "a"), double);
    expect([await rejection(run), double.calls()]).toEqual([
      cniError(
        1,
        "incompatible CNI versions",
        'config of network "net" is "1.2.3", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
      ),
      [],
    ]);
  });
});

test("addNetwork, of a list without plugins has no result", async () => {
  const list = { ...listOf("1.0.0", "a"), plugins: [] };
  const run = addNetwork(list, runtimeOf([]), minute(), testCaller());
  expect(await rejection(run)).toEqual(cniError(7, "no plugins in list"));
});

describe("delNetwork", () => {
  test("calls the plugins in reverse, all with the final result", async () => {
    using double = new DelegateDouble("a", "b");
    const list = listOf("1.0.0", "a", "b");
    await del(list, result10, double);
    const conf = { name: "net", cniVersion: "1.0.0", prevResult: result10 };
    expect(seen(double.calls())).toEqual([
      ["b", "DEL", { ...conf, type: "b" }],
      ["a", "DEL", { ...conf, type: "a" }],
    ]);
  });

  test.each<[CniVersion, boolean]>([
    ["0.3.1", false],
    ["0.4.0", true],
    ["1.0.0", true],
    ["1.1.0", true],
  ])("gives prevResult in version %s: %p", async (version, expected) => {
    using double = new DelegateDouble("a");
    await del(listOf(version, "a"), result10, double);
    expect(
      seen(double.calls()).map(([, , config]) =>
        Object.hasOwn(config as object, "prevResult"),
      ),
    ).toEqual([expected]);
  });

  test("converts the result to the configuration's version", async () => {
    using double = new DelegateDouble("a");
    await del(listOf("0.4.0", "a"), result10, double);
    expect(seen(double.calls())).toEqual([
      [
        "a",
        "DEL",
        {
          name: "net",
          cniVersion: "0.4.0",
          type: "a",
          prevResult: {
            ...result10,
            cniVersion: "0.4.0",
            ips: [{ version: "4", ...result10.ips[0] }],
            dns: {},
          },
        },
      ],
    ]);
  });

  test.each<[string, Result | undefined]>([
    ["there is none", undefined],
    ["it cannot be converted", { cniVersion: "0.2.0", ip4: { ip: "none" } }],
  ])("goes on without a result when %s", async (_, result) => {
    using double = new DelegateDouble("a");
    await del(listOf("1.0.0", "a"), result, double);
    expect(seen(double.calls())).toEqual([
      ["a", "DEL", { name: "net", cniVersion: "1.0.0", type: "a" }],
    ]);
  });

  test("stops at the first error", async () => {
    using double = new DelegateDouble("a", "b", "c");
    double.behave("b", failing("later", 11));
    const run = del(listOf("1.0.0", "a", "b", "c"), undefined, double);
    expect([
      await rejection(run),
      double.calls().map(({ type }) => type),
    ]).toEqual([
      cniError(11, 'plugin "b" failed to delete eth0: later'),
      ["c", "b"],
    ]);
  });

  test("validates neither the name nor the namespace", async () => {
    using double = new DelegateDouble("a");
    const list = { ...listOf("1.0.0", "a"), name: "../bad name" };
    await delNetwork(
      list,
      { ...runtimeOf([double.bin]), netns: "" },
      undefined,
      minute(),
      testCaller(),
    );
    expect(double.calls().map(({ env }) => env["CNI_NETNS"])).toEqual([""]);
  });
});

describe("checkNetwork", () => {
  test("calls the plugins in order, all with the final result", async () => {
    using double = new DelegateDouble("a", "b");
    await check(listOf("1.0.0", "a", "b"), result10, double);
    const conf = { name: "net", cniVersion: "1.0.0", prevResult: result10 };
    expect(seen(double.calls())).toEqual([
      ["a", "CHECK", { ...conf, type: "a" }],
      ["b", "CHECK", { ...conf, type: "b" }],
    ]);
  });

  test("stops at the first error", async () => {
    using double = new DelegateDouble("a", "b");
    double.behave("a", failing("gone", 100));
    const run = check(listOf("1.0.0", "a", "b"), undefined, double);
    expect([await rejection(run), double.calls().length]).toEqual([
      cniError(100, 'plugin "a" failed to check eth0: gone'),
      1,
    ]);
  });

  test.each<[string, NetworkConfigList]>([
    ["disableCheck", { ...listOf("1.0.0", "a"), disableCheck: true }],
    ["version 0.3.1", listOf("0.3.1", "a")],
  ])("executes nothing with %s", async (_, list) => {
    using double = new DelegateDouble("a");
    await check(list, result10, double);
    expect(double.calls()).toEqual([]);
  });

  test("fails on a result that cannot be converted", async () => {
    using double = new DelegateDouble("a");
    const result: Result = { cniVersion: "0.2.0", ip4: { ip: "none" } };
    const run = check(listOf("1.0.0", "a"), result, double);
    expect(await rejection(run)).toEqual(
      cniError(999, "invalid CIDR address: none"),
    );
  });
});

const noContainer = {
  CNI_CONTAINERID: "",
  CNI_NETNS: "",
  CNI_IFNAME: "",
  CNI_ARGS: "",
};

describe("gcNetwork", () => {
  const valid = [{ containerID: "c1", ifname: "eth0" }];

  test("calls the plugins in order, with the valid attachments under both keys (R-CF-5)", async () => {
    using double = new DelegateDouble("a", "b");
    await gc(listOf("1.1.0", "a", "b"), valid, double);
    const conf = {
      name: "net",
      cniVersion: "1.1.0",
      "cni.dev/valid-attachments": valid,
      "cni.dev/attachments": valid,
    };
    expect(seen(double.calls())).toEqual([
      ["a", "GC", { ...conf, type: "a" }],
      ["b", "GC", { ...conf, type: "b" }],
    ]);
    expect(double.calls()[0]?.env).toMatchObject(noContainer);
  });

  test.each<[string, NetworkConfigList]>([
    ["disableGC", { ...listOf("1.1.0", "a"), disableGC: true }],
    ["version 1.0.0", listOf("1.0.0", "a")],
  ])("executes nothing with %s", async (_, list) => {
    using double = new DelegateDouble("a");
    await gc(list, valid, double);
    expect(double.calls()).toEqual([]);
  });

  test("goes on after errors and joins them", async () => {
    using double = new DelegateDouble("a", "b", "c", "d");
    double.behave("a", {
      stdout: { code: 5, msg: "one", details: "first" },
      exit: 1,
    });
    double.behave("c", {
      stdout: { code: 6, msg: "two", details: "second" },
      exit: 1,
    });
    double.behave("d", failing("three", 7));
    const run = gc(listOf("1.1.0", "a", "b", "c", "d"), valid, double);
    expect([await rejection(run), double.calls().length]).toEqual([
      cniError(
        5,
        'plugin "a" failed to collect garbage: one',
        'first; plugin "c" failed to collect garbage: two; second; plugin "d" failed to collect garbage: three',
      ),
      4,
    ]);
  });

  test("gives each plugin its share of the time", async () => {
    const limits: number[] = [];
    const exec = ({ deadline }: ExecRequest) => {
      limits.push(deadline.remaining);
      return Promise.resolve({
        exitCode: 0,
        signal: null,
        stdout: "",
        stderr: "",
      });
    };
    using double = new DelegateDouble("a", "b", "c");
    const deadline = new Deadline(9000, () => 0);
    await gcNetwork(
      listOf("1.1.0", "a", "b", "c"),
      valid,
      [double.bin],
      deadline,
      testCaller({ exec }),
    );
    expect(limits).toEqual([3000, 4500, 9000]);
  });
});

describe("statusNetwork", () => {
  test("calls the plugins in order with nothing but their configuration (R-CF-5)", async () => {
    using double = new DelegateDouble("a", "b");
    await status(listOf("1.1.0", "a", "b"), double);
    const conf = { name: "net", cniVersion: "1.1.0" };
    expect(seen(double.calls())).toEqual([
      ["a", "STATUS", { ...conf, type: "a" }],
      ["b", "STATUS", { ...conf, type: "b" }],
    ]);
    expect(double.calls()[0]?.env).toMatchObject(noContainer);
  });

  test("returns the first error with its code", async () => {
    using double = new DelegateDouble("a", "b");
    double.behave("a", failing("limited", 51));
    const run = status(listOf("1.1.0", "a", "b"), double);
    expect([await rejection(run), double.calls().length]).toEqual([
      cniError(51, 'plugin "a" failed the status check: limited'),
      1,
    ]);
  });

  test("executes nothing below 1.1.0", async () => {
    using double = new DelegateDouble("a");
    await status(listOf("1.0.0", "a"), double);
    expect(double.calls()).toEqual([]);
  });
});

describe("validateNetwork", () => {
  test("accepts an executable", () => {
    using double = new DelegateDouble("a", "b");
    expect(
      validateNetwork(listOf("1.0.0", "a", "b"), [double.bin], undefined),
    ).toBeUndefined();
  });

  const ipam = (key: string, value: object): NetworkConfigList => {
    const list = listOf("1.0.0", "a");
    return { ...list, plugins: [{ type: "a", [key]: value }] };
  };

  test.each([
    ["of a plugin that is there", { type: "b" }],
    ["without a type", {}],
    ["without a name of a type", { type: "" }],
  ])("accepts ipam %s", (_, value) => {
    using double = new DelegateDouble("a", "b");
    expect(
      validateNetwork(ipam("ipam", value), [double.bin], undefined),
    ).toBeUndefined();
  });

  const daemonList = (type: string, missing: string): NetworkConfigList => {
    const list = listOf("1.0.0", type);
    return { ...list, plugins: [{ type, ipam: { type: missing } }] };
  };

  test.each([
    ["antrea", "host-local"],
    ["azure-vnet", "azure-cns"],
  ])("accepts %s, whose daemon has IPAM %s", (type, missing) => {
    using double = new DelegateDouble("antrea", "azure-vnet");
    const list = daemonList(type, missing);
    expect(validateNetwork(list, [double.bin], undefined)).toBeUndefined();
  });

  test.each([
    ["antrea", "azure-cns"],
    ["azure-vnet", "azure-vnet-ipam"],
    ["constructor", "host-local"],
    ["a", "host-local"],
  ])("refuses %s with the missing IPAM %s", (type, missing) => {
    using double = new DelegateDouble(type);
    const list = daemonList(type, missing);
    expect(() => validateNetwork(list, [double.bin], undefined)).toThrow(
      `failed to find plugin "${missing}"`,
    );
  });

  test.each<[string, NetworkConfigList, unknown]>([
    [
      "a version that nobody knows",
      listOf("1.2.3", "a"),
      cniError(1, "incompatible CNI versions", expect.any(String)),
    ],
    [
      "a plugin that is missing, the second as well",
      listOf("1.0.0", "a", "missing"),
      cniError(
        7,
        expect.stringContaining('failed to find plugin "missing" in path '),
      ),
    ],
    ...["ipam", "IPAM"].map((key): [string, NetworkConfigList, unknown] => [
      `a plugin of ${key} that is missing`,
      ipam(key, { type: "missing" }),
      cniError(
        7,
        expect.stringContaining('failed to find plugin "missing" in path '),
      ),
    ]),
    [
      "a plugin of ipam that cannot be executed",
      ipam("ipam", { type: "text" }),
      cniError(7, expect.stringContaining('failed to execute plugin "text"')),
    ],
    [
      "a plugin that cannot be executed",
      listOf("1.0.0", "text"),
      cniError(
        7,
        expect.stringMatching(
          /^failed to execute plugin "text": .*: permission denied$/,
        ),
      ),
    ],
    [
      "the plugin before the name",
      { ...listOf("1.0.0", "missing"), name: "" },
      cniError(7, expect.stringContaining("failed to find plugin")),
    ],
    [
      "a network without a name",
      { ...listOf("1.0.0", "a"), name: "" },
      cniError(7, "missing network name"),
    ],
    [
      "a name with other characters",
      { ...listOf("1.0.0", "a"), name: "a/b" },
      cniError(7, "invalid characters found in network name", "a/b"),
    ],
  ])("refuses %s", (_, list, expected) => {
    using double = new DelegateDouble("a");
    double.install("text", 0o644);
    expect(() => validateNetwork(list, [double.bin], undefined)).toThrow(
      expected,
    );
  });

  test("refuses ourselves", () => {
    using double = new DelegateDouble("a", "b");
    const id = statusOf(`${double.bin}/b`)?.id;
    const list = listOf("1.0.0", "a", "b");
    expect(() => validateNetwork(list, [double.bin], id)).toThrow(
      cniError(
        7,
        `refusing to execute plugin "b": ${double.bin}/b is this plugin itself`,
      ),
    );
  });
});

describe("throwFirst", () => {
  test("throws nothing for nothing", () => {
    expect(throwFirst([])).toBeUndefined();
  });

  test("throws a single error as it is", () => {
    const error = new CniError(7, "m", { details: "d" });
    expect(() => throwFirst([error])).toThrow(error);
  });

  test("throws the first with the others in its details", () => {
    const errors = [
      new CniError(7, "a"),
      new CniError(5, "b", { details: "c" }),
      new CniError(6, "d"),
    ];
    expect(() => throwFirst(errors)).toThrow(cniError(7, "a", "b; c; d"));
  });
});
