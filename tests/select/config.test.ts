/** configuration.md: the keys of our network configuration, their defaults, their errors. */
import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { parseJson } from "../../lib/cni/json.ts";
import { type GenieConfig, readConfig } from "../../lib/select/config.ts";

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
      delegateTimeoutMs: 120_000,
      result: "primary",
      strict: false,
      namespaceIsolation: false,
      globalNamespaces: ["default"],
      systemNamespace: "kube-system",
      allowedNetworks: undefined,
      allowedPlugins: undefined,
      declaresAnnotations: false,
      runtimeConfig: {},
    });
  });

  const keys = {
    type: "cni-genie",
    capabilities: { "io.kubernetes.cri.pod-annotations": true },
    runtimeConfig: { portMappings: [] },
    default_plugin: "weave,flannel@eth1",
    kubernetes: {
      kubeconfig: "/etc/cni/kubeconfig",
      k8s_api_root: "https://a:6443",
    },
    log_level: "debug",
    logFile: "/var/log/genie.log",
    confDir: "/conf",
    binDir: "/bin1",
    dataDir: "/data",
    apiTimeout: 2.5,
    delegateTimeout: 30,
    result: "merged",
    strict: true,
    namespaceIsolation: true,
    globalNamespaces: ["shared", "default"],
    systemNamespace: "system",
    allowedNetworks: ["weave"],
    allowedPlugins: [],
  };

  test("reads every key", () => {
    expect(readConfig(keys)).toMatchObject({
      type: "cni-genie",
      defaultPlugin: "weave,flannel@eth1",
      kube: { kubeconfig: "/etc/cni/kubeconfig", server: "https://a:6443" },
      logLevel: "debug",
      logFile: "/var/log/genie.log",
      confDir: "/conf",
      binDirs: ["/bin1"],
      dataDir: "/data",
      apiTimeoutMs: 2500,
      delegateTimeoutMs: 30_000,
      result: "merged",
      strict: true,
      namespaceIsolation: true,
      globalNamespaces: ["shared", "default"],
      systemNamespace: "system",
      allowedNetworks: ["weave"],
      allowedPlugins: [],
      declaresAnnotations: true,
      runtimeConfig: { portMappings: [] },
    });
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
      "a list of folders",
      { binDir: ["/a", "", "/b"] },
      { binDirs: ["/a", "/b"] },
    ],
    ["an empty folder", { binDir: "" }, { binDirs: [] }],
    ["an empty logFile", { logFile: "" }, { logFile: undefined }],
    [
      "an annotations capability that is false",
      { capabilities: { "io.kubernetes.cri.pod-annotations": false } },
      { declaresAnnotations: false },
    ],
    ["no network at all", { allowedNetworks: [] }, { allowedNetworks: [] }],
    [
      "unknown keys",
      { constructor: 1, ipam: {}, dns: {}, args: {}, x: null },
      {},
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

  test.each<[string, unknown]>([
    ["default_plugin: expected string, got number", { default_plugin: 1 }],
    ["policy.type: expected string, got number", { policy: { type: 1 } }],
    ["strict: expected boolean, got string", { strict: "true" }],
    ["apiTimeout: expected number, got string", { apiTimeout: "10" }],
    [
      "allowedNetworks.1: expected string, got number",
      { allowedNetworks: ["a", 1] },
    ],
    ['result: expected ("primary" | "merged"), got string', { result: "all" }],
    [
      'result: expected ("primary" | "merged"), got list, strict: expected boolean, got number',
      { strict: 1, result: [] },
    ],
  ])("refuses: %s", (text, config) => {
    expect(said(config)).toEqual([7, `invalid configuration: ${text}`]);
  });

  test.each<[string, unknown]>([
    ["binDir", 1],
    ["binDir", [1]],
    ["confDir", "net.d"],
    ["dataDir", ""],
    ["dataDir", 1],
  ])("refuses %s: %j", (key, value) => {
    expect(said({ [key]: value })).toEqual([
      7,
      expect.stringContaining(`invalid configuration: ${key}: expected `),
    ]);
  });

  test.each([0, -1, 1e9])("refuses a time of %d seconds", (seconds) => {
    expect(said({ delegateTimeout: seconds })).toEqual([
      7,
      expect.stringMatching(/^invalid configuration: delegateTimeout: /),
    ]);
  });

  test("never says a value, which may be a secret", () => {
    const secret = "SECRET";
    const configs = [
      { policy: { k8s_auth_token: [secret] } },
      { policy: secret },
      { kubernetes: secret },
      { result: secret },
      { confDir: secret },
      { apiTimeout: secret },
      { globalNamespaces: secret },
    ];
    expect(configs.map((config) => JSON.stringify(said(config)))).toEqual(
      configs.map(() => expect.not.stringContaining(secret) as string),
    );
  });
});
