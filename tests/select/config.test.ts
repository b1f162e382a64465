/** configuration.md: the keys of our network configuration, their defaults, their errors. */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { CniError } from "../../lib/cni/error.ts";
import { parseJson } from "../../lib/cni/json.ts";
import {
  type GenieConfig,
  readConfig,
  readConfigForCleanup,
} from "../../lib/select/config.ts";

const defaults = readConfig({});

describe("readConfig", () => {
  test("fills in every default", () => {
    expect(defaults).toMatchObject({
      type: "genie",
      defaultPlugin: "",
      kube: {},
      logLevel: "warn",
      logFile: undefined,
      confDir: "/etc/cni/net.d",
      binDirs: [],
      dataDir: "/var/lib/cni/genie",
      apiTimeoutMs: 10_000,
      apiReads: "latest",
      delegateTimeoutMs: 120_000,
      result: "primary",
      strict: false,
      namespaceIsolation: false,
      globalNamespaces: ["default"],
      systemNamespace: "kube-system",
      allowedNetworks: undefined,
      allowedPlugins: undefined,
      allowedIpams: undefined,
      defaultRoutes: "owner",
      allowRepeated: [],
      deleteGiveUpMs: 300_000,
      runtimeCacheDir: "/var/lib/cni/results",
      multusDir: "/var/lib/cni/multus",
      multusConfDir: "/etc/cni/multus/net.d",
      nodeName: undefined,
      podResourcesSocket: "/var/lib/kubelet/pod-resources/kubelet.sock",
      declaresAnnotations: false,
      runtimeConfig: {},
      unknownKeys: [],
    });
  });

  /** Keys whose value is taken as it is. */
  const plain = {
    confDir: "/conf",
    dataDir: "/data",
    logFile: "/var/log/genie.log",
    result: "merged",
    strict: true,
    namespaceIsolation: true,
    globalNamespaces: ["shared", "default"],
    systemNamespace: "system",
    allowedNetworks: ["weave"],
    allowedPlugins: [],
    allowedIpams: ["calico-ipam"],
    defaultRoutes: "keep",
    allowRepeated: ["calico"],
    runtimeCacheDir: "/cache",
    multusDir: "",
    multusConfDir: "/multus/net.d",
    nodeName: "node-1",
    podResourcesSocket: "/run/kubelet.sock",
    type: "cni-genie",
    runtimeConfig: { portMappings: [] },
  };
  const ordinary = {
    ...plain,
    capabilities: { "io.kubernetes.cri.pod-annotations": true },
    default_plugin: "weave,flannel@eth1",
    kubernetes: {
      kubeconfig: "/etc/cni/kubeconfig",
      k8s_api_root: "https://a:6443",
    },
    log_level: "debug",
    binDir: "/bin1",
    apiTimeout: 0.5,
    apiReads: "cached",
    delegateTimeout: 86_400,
    deleteGiveUp: 0,
  };
  const keys = {
    ...ordinary,
    automatic: { networks: ["canal", "weave"], by: "traffic" },
    auxiliaryChain: "vendor",
  };

  test("reads every key", () => {
    expect(readConfig(keys)).toMatchObject({
      ...plain,
      defaultPlugin: "weave,flannel@eth1",
      kube: { kubeconfig: "/etc/cni/kubeconfig", server: "https://a:6443" },
      logLevel: "debug",
      binDirs: ["/bin1"],
      apiTimeoutMs: 500,
      apiReads: "cached",
      delegateTimeoutMs: 86_400_000,
      deleteGiveUpMs: 0,
      declaresAnnotations: true,
      automatic: { networks: ["canal", "weave"], by: "traffic" },
      auxiliaryChain: "vendor",
      unknownKeys: [],
    });
  });

  test("of documented values, loads no schema", () => {
    const configs = [
      ordinary,
      { name: "n", default_plugin: "", binDir: ["/a"], logFile: "" },
      { deleteGiveUp: 1, delegateTimeout: 86_400, runtimeCacheDir: "" },
      { policy: { k8s_auth_token: "" }, multusConfDir: "", nodeName: "" },
    ];
    const script = `
      import { readConfig } from "./lib/select/config.ts";
      for (const config of ${JSON.stringify(configs)}) readConfig(config);
      const loaded = Object.keys(require.cache);
      console.log(loaded.filter((path) => path.includes("valibot")).length);`;
    const cwd = resolve(import.meta.dir, "../..");
    const child = Bun.spawnSync([process.execPath, "-e", script], { cwd });
    expect([child.stdout.toString(), child.stderr.toString()]).toEqual([
      "0\n",
      "",
    ]);
  });

  test.each(Object.keys(keys))("takes a null %s for an absent one", (key) => {
    expect(readConfig({ [key]: null })).toEqual(defaults);
  });

  test("takes the sample of CNI-Genie as it is", () => {
    const sample = {
      name: "k8s-pod-network",
      type: "genie",
      log_level: "info",
      datastore_type: "kubernetes",
      hostname: "__KUBERNETES_NODE_NAME__",
      etcd_endpoints: "http://127.0.0.1:2379",
      cAdvisor_address: "http://127.0.0.1:4194",
      romana_root: "http://127.0.0.1:9600",
      segment_label_name: "romanaSegment",
      policy: {
        type: "k8s",
        k8s_api_root: "https://10.96.0.1:443",
        k8s_auth_token: "secret",
      },
      kubernetes: {
        k8s_api_root: "https://10.96.0.1:443",
        kubeconfig: "/etc/cni/net.d/genie-kubeconfig",
      },
    };
    expect(readConfig(sample)).toEqual({
      ...defaults,
      logLevel: "info",
      kube: {
        kubeconfig: "/etc/cni/net.d/genie-kubeconfig",
        server: "https://10.96.0.1:443",
        policy: { server: "https://10.96.0.1:443", token: "secret" },
      },
    });
  });

  test.each<[string, object, Partial<GenieConfig>]>([
    [
      "a list of directories",
      { binDir: ["/a", "", "/b"] },
      { binDirs: ["/a", "/b"] },
    ],
    ["an empty directory", { binDir: "" }, { binDirs: [] }],
    ["an empty logFile", { logFile: "" }, { logFile: undefined }],
    [
      "an annotations capability that is false",
      { capabilities: { "io.kubernetes.cri.pod-annotations": false } },
      { declaresAnnotations: false },
    ],
    ["no network at all", { allowedNetworks: [] }, { allowedNetworks: [] }],
    [
      "IPAM types where only the plugins are restricted",
      { allowedPlugins: ["ptp"] },
      {
        allowedPlugins: ["ptp"],
        allowedIpams: ["host-local", "static", "dhcp", "whereabouts"],
      },
    ],
    [
      "keys of CNI",
      {
        cniVersion: "1.0.0",
        cniVersions: [],
        name: "n",
        prevResult: {},
        ipam: {},
        dns: {},
        args: {},
        disableCheck: true,
        disableGC: true,
        "cni.dev/valid-attachments": [],
      },
      {},
    ],
    ["one unknown key", { x: 1 }, { unknownKeys: ["x"] }],
    [
      "an unknown key of kubernetes",
      { kubernetes: { kubeconfg: "/k" } },
      { unknownKeys: ["kubernetes.kubeconfg"] },
    ],
    [
      "an automatic choice, by attachments unless it says otherwise",
      { automatic: { networks: ["canal"] } },
      { automatic: { networks: ["canal"], by: "attachments" } },
    ],
    [
      "unknown keys",
      { constructor: 1, x: null, policy: { tipe: "k8s" } },
      { unknownKeys: ["constructor", "x", "policy.tipe"] },
    ],
  ])("understands %s", (_, config, expected) => {
    expect(readConfig(config)).toEqual({ ...defaults, ...expected });
  });

  test("understands numbers that keep their text", () => {
    const config = parseJson('{"apiTimeout":5.0,"delegateTimeout":6e1}');
    expect(readConfig(config)).toEqual({
      ...defaults,
      apiTimeoutMs: 5000,
      delegateTimeoutMs: 60_000,
    });
  });

  const said = (config: unknown): unknown => {
    try {
      return readConfig(config);
    } catch (error) {
      const { code, message } = CniError.from(error);
      return [code, message];
    }
  };

  test.each<[text: string, config: unknown]>([
    ["expected an object, got an array", []],
    [
      "default_plugin: expected a string, got the number 1",
      { default_plugin: 1 },
    ],
    [
      "policy.k8s_api_root: expected a string, got an array, policy.k8s_client_key: expected a string, got a number",
      { policy: { k8s_client_key: 1, k8s_api_root: [] } },
    ],
    [
      'apiTimeout: expected a number above 0, at most 86400, got "10"',
      { apiTimeout: "10" },
    ],
    [
      'binDir: expected an absolute path or an array of them, got "bin"',
      { binDir: "bin" },
    ],
    [
      'binDir.1: expected an absolute path or "", got "bin"',
      { binDir: ["/a", "bin"] },
    ],
    [
      "binDir: expected an absolute path or an array of them, got a bool",
      { binDir: true },
    ],
    [
      'allowedNetworks: expected an array of strings, got "weave"',
      { allowedNetworks: "weave" },
    ],
    [
      "allowedNetworks.1: expected a string, got the number 1.50",
      parseJson('{"allowedNetworks":["a",1.50]}'),
    ],
    [
      'automatic.networks: expected an array of strings, got "weave", automatic.by: expected "attachments" or "traffic", got "luck"',
      { automatic: { networks: "weave", by: "luck" } },
    ],
    [
      'log_level: expected "error", "warn", "info" or "debug", got "loud"',
      { log_level: "loud" },
    ],
    [
      'result: expected "primary" or "merged", got an array, strict: expected a bool, got the number 1',
      { strict: 1, result: [] },
    ],
  ])("refuses: %s", (text, config) => {
    expect(said(config)).toEqual([7, `invalid configuration: ${text}`]);
  });

  test("many wrong values, at most 8 KiB of them", () => {
    const message = JSON.stringify(
      said({ allowedNetworks: Array(9999).fill(1) }),
    );
    expect(message.length).toBeLessThan(8192);
    expect(message).toEndWith(', and more"]');
  });

  test("never quotes a possible secret", () => {
    const secret = "SECRET";
    const configs = [
      { policy: { k8s_auth_token: [secret] } },
      { policy: [secret] },
      { policy: secret },
      { kubernetes: secret },
      { kubernetes: { kubeconfig: { token: secret } } },
    ];
    expect(configs.map((config) => JSON.stringify(said(config)))).toEqual(
      configs.map(() => expect.not.stringContaining(secret) as string),
    );
  });

  /** The configuration of DEL, CHECK and GC, and their warnings. */
  const forCleanup = (config: unknown) => {
    const warnings: string[] = [];
    const warn = (text: string) => void warnings.push(text);
    return { config: readConfigForCleanup(config, warn), warnings };
  };

  test.each<[key: string, wrong: unknown, isTold: boolean]>([
    ["type", "", true],
    ["default_plugin", ["weave"], true],
    ["confDir", "net.d", true],
    ["binDir", 1, true],
    ["binDir", [1], true],
    ["binDir", "bin", true],
    ["binDir", ["/a", "bin"], true],
    ["binDir", "/a\0b", true],
    ["binDir", ["/a", "/a\0b"], true],
    ["confDir", "/a\0b", true],
    ["logFile", "/a\0b", true],
    ["dataDir", "", true],
    ["dataDir", "data", true],
    ["log_level", 5, true],
    ["logFile", "genie.log", true],
    ["delegateTimeout", 0, true],
    ["delegateTimeout", -1, true],
    ["delegateTimeout", 86_401, true],
    ["deleteGiveUp", -1, true],
    ["deleteGiveUp", "never", true],
    ["deleteGiveUp", JSON.rawJSON("1e999"), true],
    ["runtimeCacheDir", "results", true],
    ["multusDir", 1, true],
    ["multusDir", "multus", true],
    ["capabilities", [], false],
    ["runtimeConfig", "x", false],
    ["kubernetes", "/etc/kubeconfig", false],
    ["policy", [], false],
    ["policy", { type: 1 }, false],
    ["apiTimeout", 0, false],
    ["apiTimeout", JSON.rawJSON("86400.1"), false],
    ["result", "all", false],
    ["strict", "yes", false],
    ["namespaceIsolation", "no", false],
    ["globalNamespaces", "default", false],
    ["systemNamespace", "", false],
    ["systemNamespace", 1, false],
    ["allowedNetworks", "weave", false],
    ["allowedPlugins", {}, false],
    ["allowedIpams", false, false],
    ["defaultRoutes", true, false],
    ["apiReads", true, false],
    ["allowRepeated", "calico", false],
    ["automatic", [], false],
    ["auxiliaryChain", 1, false],
    ["auxiliaryChain", "../x", false],
    ["auxiliaryChain", "..", false],
    ["auxiliaryChain", "my vendor", false],
    ["auxiliaryChain", "-v", false],
    ["auxiliaryChain", "v".repeat(256), false],
    ["multusConfDir", 1, false],
    ["nodeName", [], false],
    ["podResourcesSocket", "", false],
  ])("refuses %s: %j; for cleanup it is as if absent", (key, wrong, isTold) => {
    const problem = expect.stringMatching(
      new RegExp(`^invalid configuration: ${key}[.\\w]*: expected `),
    );
    expect(said({ [key]: wrong })).toEqual([7, problem]);
    const warning = expect.stringMatching(
      new RegExp(
        `^invalid configuration, the default is used: ${key}[.\\w]*: expected `,
      ),
    );
    expect(forCleanup({ [key]: wrong })).toEqual({
      config: defaults,
      warnings: isTold ? [warning] : [],
    });
  });

  test.each([{}, { networks: null, by: "traffic" }, { networks: [] }])(
    "automatic %j is none, also beside an unknown key",
    (automatic) => {
      expect(readConfig({ automatic }).automatic).toBeUndefined();
      expect(readConfig({ automatic, other: 1 }).automatic).toBeUndefined();
    },
  );

  test("for cleanup, the right values beside a wrong one hold", () => {
    const config = { dataDir: 1, confDir: "/conf", deleteGiveUp: 5, strict: 1 };
    expect(forCleanup(config).config).toEqual({
      ...defaults,
      confDir: "/conf",
      deleteGiveUpMs: 5000,
    });
    expect(forCleanup([]).config).toEqual(defaults);
  });
});
