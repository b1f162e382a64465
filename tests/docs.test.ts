/**
 * What README.md and docs/ show is what genie accepts: every example is read by
 * the parser that would read it on a node, every file they name is there, and
 * the table of configuration keys has all of them.
 */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseRecord } from "../lib/attach/record.ts";
import { statusAnnotations } from "../lib/attach/write-back.ts";
import { parseConf, parseConfList } from "../lib/cni/conflist.ts";
import { isObject, own, parseJson } from "../lib/cni/json.ts";
import { parseResult } from "../lib/cni/result.ts";
import { readKubeconfig } from "../lib/kube/kubeconfig.ts";
import { parseNetworks } from "../lib/select/cni-annotation.ts";
import { configKeys } from "../lib/select/config-schema.ts";
import { readConfig } from "../lib/select/config.ts";
import { definitionNetwork } from "../lib/select/definition.ts";
import { parseElements } from "../lib/select/npwg-annotation.ts";
import { nameInterfaces } from "../lib/select/interface-names.ts";
import { networksOf } from "../lib/select/node-networks.ts";
import {
  cniAnnotation,
  defaultNetworkAnnotation,
  networksAnnotation,
} from "../lib/select/attachment.ts";

const root = resolve(import.meta.dir, "..");
const pages = [
  "README.md",
  ...[...new Bun.Glob("docs/**/*.md").scanSync(root)].toSorted(),
];

/** Also within a list of the page, and with whatever comes after the language. */
const fence =
  /^[ \t]*```([^\s`]*)[ \t]*([^\n]*?)[ \t]*\n(.*?)^[ \t]*```[ \t]*$/gms;

interface Block {
  /** `README.md:42` */
  where: string;
  language: string;
  /** What the example is of; "" for a block that is not marked. */
  mark: string;
  text: string;
}

/** What is done with a marked block: throws, or fails an expectation, for a wrong example. */
const readers: Record<string, (text: string) => void | Promise<unknown>> = {
  "json conflist": (text) => readList(parseConfList(parseJson(text)).plugins),
  "json conf": (text) => readList(parseConf(parseJson(text)).plugins),
  "json genie-config": (text) => {
    const value = parseJson(text);
    expect(readConfig(value).type).toBe("genie");
    expect(undocumented(value)).toEqual([]);
  },
  "json record": parseRecord,
  "json log": readLog,
  "yaml kubeconfig": readKubeconfigText,
  "yaml rbac": readRole,
  "yaml pod": readPod,
  "yaml definition": readDefinition,
  "yaml write-back": readWriteBack,
  "text cni": readInterfaceNames,
};

/** Languages in which an example without a mark is a mistake. */
const mustBeMarked = new Set(["json", "jsonc", "yaml", "yml"]);

describe("documentation", () => {
  test("examples, each kind has one", () => {
    const marks = new Set(
      blocks().map(({ language, mark }) => `${language} ${mark}`),
    );
    const expected = [
      "json conflist",
      "json genie-config",
      "yaml pod",
      "yaml definition",
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

  test.each(pages)("links and paths of %s, all are there", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    expect(
      filesNamedIn(text, page).filter((path) => !existsSync(join(root, path))),
    ).toEqual([]);
  });

  test("README.md, its table has every configuration key that the schema has", () => {
    const documented = documentedKeys();
    expect(schemaKeys().filter((key) => !documented.has(key))).toEqual([]);
  });
});

function checkedBlocks(): Block[] {
  return blocks().filter(
    ({ language, mark }) => mark !== "" || mustBeMarked.has(language),
  );
}

function blocks(): Block[] {
  return pages.flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8");
    return [...text.matchAll(fence)].map((match) => {
      const [, language = "", mark = "", content = ""] = match;
      const line = text.slice(0, match.index).split("\n").length;
      return { where: `${page}:${line}`, language, mark, text: content };
    });
  });
}

/** Targets of links, and what looks like a file of this repository in code spans. */
function filesNamedIn(text: string, page: string): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
    ([, target = ""]) => join(dirname(page), target),
  );
  const spans = [
    ...text.matchAll(
      /`((?:lib|tests|scripts|demo|docs|bench)\/[\w./-]*\w|genie\.ts)`/g,
    ),
  ].map(([, path = ""]) => path);
  return [...links, ...spans];
}

/** The words in the first column of the table that begins with "key". */
function documentedKeys(): ReadonlySet<string> {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const [, table = ""] =
    /^\| key +\|[^\n]*\n((?:\|[^\n]*\n)+)/m.exec(text) ?? [];
  const cells = table.split("\n").map((row) => row.split("|")[1] ?? "");
  return new Set(
    cells.flatMap((cell) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, key = ""]) => key),
    ),
  );
}

/** Keys that are read for a later version; what they do is not there yet. */
const undocumentedKeys = new Set(["automatic", "auxiliaryChain"]);

function schemaKeys(): string[] {
  const parents = new Set(["kubernetes", "policy"]);
  return configKeys.filter((key) => {
    const [first = ""] = key.split(".");
    return !undocumentedKeys.has(first) && !parents.has(key);
  });
}

/** Keys of an example that the table does not have. */
function undocumented(config: unknown): string[] {
  const documented = documentedKeys();
  return Object.entries(isObject(config) ? config : {})
    .flatMap(([key, value]) =>
      isObject(value)
        ? Object.keys(value).map((inner) => `${key}.${inner}`)
        : [key],
    )
    .filter((key) => !documented.has(key));
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
    [cniAnnotation]: (value) => void parseNetworks("the example", value),
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
