/**
 * The examples of the documentation are valid: the parser that reads one on a node
 * reads it here.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseLoad } from "../lib/attach/choice/automatic.ts";
import { statusAnnotations } from "../lib/attach/network-status.ts";
import { parseConf, parseConfList } from "../lib/cni/conflist.ts";
import { type JsonObject, isObject, own, parseJson } from "../lib/cni/json.ts";
import { protocolVersion, pluginConfig } from "../lib/cni/network.ts";
import { parseResult } from "../lib/cni/result.ts";
import { readKubeconfig } from "../lib/kube/access/kubeconfig.ts";
import {
  cniAnnotation,
  defaultNetworkAnnotation,
  networksAnnotation,
} from "../lib/select/attachment.ts";
import { parseNetworks } from "../lib/select/cni-annotation.ts";
import { readConfig } from "../lib/select/config.ts";
import { definitionNetwork } from "../lib/select/definition.ts";
import { nameInterfaces } from "../lib/select/interface-names.ts";
import { logicalNetwork, parseLogical } from "../lib/select/logical-network.ts";
import { networksOf } from "../lib/select/node-networks.ts";
import { parseElements } from "../lib/select/npwg-annotation.ts";
import { parseRecord } from "../lib/state/record-text.ts";
import { type Block, blocks, spansOf } from "./support/pages.ts";

/** The reader of each kind of example: throws, or fails an expectation, for a wrong one. */
const readers: Record<string, (text: string) => void | Promise<unknown>> = {
  "json conflist": (text) => readList(parseConfList(parseJson(text)).plugins),
  "json conf": (text) => readList(parseConf(parseJson(text)).plugins),
  "json genie-config": (text) => {
    const value = parseJson(text);
    expect(readConfig(value).type).toBe("genie");
    expect(undocumented(value)).toEqual([]);
  },
  "json request": readRequest,
  "json record": parseRecord,
  "json load": (text) => expect(parseLoad(text)).toBeDefined(),
  "json log": readLog,
  "yaml kubeconfig": readKubeconfigText,
  "yaml rbac": readRole,
  "yaml pod": readPod,
  "yaml definition": readDefinition,
  "yaml claim": readClaim,
  "yaml logical-network": readLogicalNetwork,
  "yaml policy": readPolicy,
  "yaml write-back": readWriteBack,
  "text cni": readInterfaceNames,
};

/** Languages whose examples must have a mark. */
const mustBeMarked = new Set(["json", "jsonc", "yaml", "yml"]);

describe("examples of the documentation", () => {
  test("examples, each kind has one", () => {
    const marks = new Set(
      blocks().map(({ language, mark }) => `${language} ${mark}`),
    );
    const expected = [
      "json conflist",
      "json genie-config",
      "yaml pod",
      "yaml definition",
      "json request",
      "json log",
      "json record",
    ];
    expect(expected.filter((kind) => !marks.has(kind))).toEqual([]);
  });

  test.each(checkedBlocks())(
    "example, $where is a valid $language $mark",
    async (block) => {
      const read = readers[`${block.language} ${block.mark}`];
      if (!read)
        throw new Error(`no reader for "${block.language} ${block.mark}"`);
      await read(block.text);
    },
  );
});

function checkedBlocks(): Block[] {
  return blocks().filter(
    ({ language, mark }) => mark !== "" || mustBeMarked.has(language),
  );
}

/** Keys of an example that the reference does not have. */
function undocumented(config: unknown): string[] {
  const documented = spansOf("Configuration");
  return Object.entries(isObject(config) ? config : {})
    .flatMap(([key, value]) =>
      isObject(value)
        ? Object.keys(value).map((inner) => `${key}.${inner}`)
        : [key],
    )
    .filter((key) => !documented.has(key));
}

/** The request is what genie makes of the network of that name on the same page. */
function readRequest(text: string): void {
  const shown = parseJson(text);
  if (!isObject(shown)) throw new Error("the request is no object");
  const list = networks().find(({ name }) => name === shown["name"]);
  const plugin = list?.plugins.find(({ type }) => type === shown["type"]);
  if (!list || !plugin) throw new Error("no example of the network");
  const { runtimeConfig = {}, prevResult } = shown;
  if (!isObject(runtimeConfig)) throw new Error("runtimeConfig is no object");
  const runtime = {
    containerId: "a",
    netns: "/run/netns/a",
    ifname: "eth0",
    args: "",
    path: [],
    capabilityArgs: { ...runtimeConfig, cgroupPath: "/a" },
  };
  const made = pluginConfig(list, plugin, {
    runtime,
    prevResult: parseResult(prevResult, protocolVersion(list)),
  });
  expect(shown).toEqual(parseJson(made) as JsonObject);
}

function networks() {
  return blocks().flatMap(({ language, mark, text }) => {
    if (language !== "json") return [];
    if (mark === "conf") return [parseConf(parseJson(text))];
    return mark === "conflist" ? [parseConfList(parseJson(text))] : [];
  });
}

/** Lines as `logFile` has them. */
function readLog(text: string): void {
  const rows = text.trimEnd().split("\n");
  for (const row of rows) {
    const { time, level, msg } = JSON.parse(row) as Record<string, unknown>;
    expect(new Date(String(time)).toISOString()).toBe(String(time));
    expect([level, msg]).toEqual([
      expect.stringMatching(/^(?:error|warn|info|debug)$/),
      expect.any(String),
    ]);
  }
}

/** A plugin of our own type is our configuration. */
function readList(plugins: readonly { type: string }[]): void {
  for (const plugin of plugins) if (plugin.type === "genie") readConfig(plugin);
}

function readKubeconfigText(text: string): void {
  const directory = mkdtempSync(join(tmpdir(), "genie-docs-"));
  try {
    const path = join(directory, "kubeconfig");
    writeFileSync(path, text);
    const { cluster, user } = readKubeconfig(path);
    expect(cluster.server).toStartWith("https://");
    expect(Object.keys(user)).not.toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** It allows what `lib/kube/client.ts` calls, and nothing else. */
function readRole(text: string): void {
  const role = Bun.YAML.parse(text);
  expect({ kind: own(role, "kind"), rules: own(role, "rules") }).toEqual({
    kind: "ClusterRole",
    rules: [
      { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
      {
        apiGroups: ["k8s.cni.cncf.io"],
        resources: ["network-attachment-definitions"],
        verbs: ["get"],
      },
    ],
  });
}

function readPod(text: string): void {
  const pod = Bun.YAML.parse(text);
  expect(own(pod, "kind")).toBe("Pod");
  const annotations = own(own(pod, "metadata"), "annotations");
  const parsers: Record<string, (value: string) => void> = {
    // Blank is a choice of its own.
    [cniAnnotation]: (value) =>
      void (value !== "" && parseNetworks("the example", value)),
    networks: (value) => void parseNetworks("the example", value),
    [networksAnnotation]: readElements,
    [defaultNetworkAnnotation]: readElements,
  };
  for (const [key, value] of Object.entries(
    isObject(annotations) ? annotations : {},
  )) {
    if (typeof value !== "string")
      throw new Error(`annotation ${key} is no string`);
    const parse = parsers[key];
    if (!parse) throw new Error(`annotation ${key} is none of genie's`);
    parse(value);
  }
}

/** A template whose constraints name its own requests. */
function readClaim(text: string): void {
  const template = Bun.YAML.parse(text);
  expect(own(template, "apiVersion")).toBe("resource.k8s.io/v1");
  expect(own(template, "kind")).toBe("ResourceClaimTemplate");
  const devices = own(own(own(template, "spec"), "spec"), "devices");
  const listed = (object: unknown, key: string) =>
    (own(object, key) ?? []) as unknown[];
  const names = listed(devices, "requests").map((one) => own(one, "name"));
  expect(names).not.toEqual([]);
  for (const constraint of listed(devices, "constraints"))
    for (const request of listed(constraint, "requests"))
      expect(names).toContain(request);
}

function readElements(value: string): void {
  const { elements, warnings } = parseElements("the example", value);
  expect(elements).not.toEqual([]);
  expect(warnings).toEqual([]);
}

function readDefinition(text: string): void {
  const definition = Bun.YAML.parse(text);
  const metadata = own(definition, "metadata");
  const name = String(own(metadata, "name"));
  const namespace = String(own(metadata, "namespace"));
  const config = own(own(definition, "spec"), "config");
  if (typeof config !== "string") throw new Error("spec.config is no string");
  const element = { name, ips: ["10.30.0.7/24"] };
  const { list } = definitionNetwork(
    { namespace, key: `${namespace}/${name}`, element, origin: "" },
    { config },
    {
      config: readConfig({ type: "genie", strict: true }),
      networks: networksOf("/etc/cni/net.d", [], ["genie"]),
      ifname: "eth0",
      args: "",
      warn: (message) => expect.unreachable(message),
    },
  );
  expect(list.name).toBe(name);
}

function readPolicy(text: string): void {
  const policy = Bun.YAML.parse(text);
  expect(own(policy, "kind")).toBe("MultiNetworkPolicy");
  const annotations = own(own(policy, "metadata"), "annotations");
  readElements(String(own(annotations, "k8s.v1.cni.cncf.io/policy-for")));
}

/** A physical network and a logical one in it. */
function readLogicalNetwork(text: string): void {
  const [physical, logical] = Bun.YAML.parse(text) as { spec: object }[];
  const hostLocal = { type: "host-local", subnet: "10.1.0.0/16" };
  const weave = { type: "bridge", name: "weave", ipam: hostLocal };
  const list = parseConf({ cniVersion: "1.0.0", ...weave });
  const { candidate } = logicalNetwork(
    {
      request: { name: "net1" },
      key: "shop/net1",
      logical: parseLogical(logical?.spec, "shop/net1"),
      physical: { key: "shop/phynet1", spec: physical?.spec },
    },
    networksOf("/etc/cni/net.d", [{ file: "10-weave.conf", list }], ["genie"]),
    readConfig({ type: "genie" }),
  );
  expect(own(candidate.list.plugins[0], "ipam")).toEqual({
    ...hostLocal,
    subnet: "10.32.0.0/24",
  });
}

/** Made of the attachments that it tells of, the example must come out again. */
function readWriteBack(text: string): void {
  const shown = Bun.YAML.parse(text);
  const entries = parseJson(
    String(own(shown, "k8s.v1.cni.cncf.io/network-status")),
  );
  if (!Array.isArray(entries)) throw new Error("network-status is no list");
  const attachments = entries.map((entry: unknown) => ({
    list: parseConf({ type: "bridge", name: own(entry, "name") }),
    ifname: String(own(entry, "interface")),
    args: "",
    capabilityArgs: {},
  }));
  const results = entries.map((entry: unknown) => resultOf(entry));
  const written = Object.entries(
    statusAnnotations(attachments, results, "eth0"),
  );
  expect(
    Object.fromEntries(written.map(([key, value]) => [key, parseJson(value)])),
  ).toEqual(
    Object.fromEntries(
      Object.entries(isObject(shown) ? shown : {}).map(([key, value]) => [
        key,
        parseJson(String(value)),
      ]),
    ),
  );
}

function resultOf(entry: unknown) {
  const list = (key: string): unknown[] => [own(entry, key) ?? []].flat();
  const result = {
    cniVersion: "1.0.0",
    interfaces: [
      {
        name: own(entry, "interface"),
        mac: own(entry, "mac"),
        sandbox: "/run/netns/a",
      },
    ],
    ips: list("ips").map((ip) => ({
      address: `${String(ip)}/24`,
      interface: 0,
    })),
    routes: list("gateway").map((gw) => ({ dst: "0.0.0.0/0", gw })),
    dns: own(entry, "dns"),
  };
  return parseResult(result, "1.0.0");
}

/** Lines of `annotation → interface, interface`. */
function readInterfaceNames(text: string): void {
  for (const line of text.trimEnd().split("\n")) {
    const [annotation = "", interfaces = ""] = line
      .split("→")
      .map((part) => part.trim());
    const requested = parseNetworks("the example", annotation).map(
      ({ ifname }) => ifname,
    );
    expect([
      annotation,
      nameInterfaces(requested, [], "eth0").join(", "),
    ]).toEqual([annotation, interfaces]);
  }
}
