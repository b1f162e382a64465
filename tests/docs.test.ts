/**
 * The documentation is true: the parser that reads an example on a node reads it
 * here, every file that a page names exists, and the references in README.md have
 * every configuration key with its default, every element key and every command.
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
import { failureRatio, ratios, rssMiB } from "../bench/budgets.ts";
import { phases } from "../lib/attach/context.ts";
import { commands } from "../lib/cli/commands.ts";
import { parseConf, parseConfList } from "../lib/cni/conflist.ts";
import { type JsonObject, isObject, own, parseJson } from "../lib/cni/json.ts";
import { protocolVersion, pluginConfig } from "../lib/cni/network.ts";
import { parseResult } from "../lib/cni/result.ts";
import { readKubeconfig } from "../lib/kube/kubeconfig.ts";
import { parseNetworks } from "../lib/select/cni-annotation.ts";
import { configKeys } from "../lib/select/config-schema.ts";
import { type GenieConfig, readConfig } from "../lib/select/config.ts";
import { definitionNetwork } from "../lib/select/definition.ts";
import { parseElements } from "../lib/select/npwg-annotation.ts";
import { elementKeys } from "../lib/select/npwg-schema.ts";
import { nameInterfaces } from "../lib/select/interface-names.ts";
import { networksOf } from "../lib/select/node-networks.ts";
import {
  cniAnnotation,
  defaultNetworkAnnotation,
  networksAnnotation,
} from "../lib/select/attachment.ts";

const root = resolve(import.meta.dir, "..");
const pages = [
  ...new Bun.Glob("*.md").scanSync(root),
  ...new Bun.Glob("{docs,tests}/**/*.md").scanSync(root),
].toSorted();

/** What a terminal shows of a row without tearing it apart. */
const maxTableRow = 160;

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
  "json request": readRequest,
  "json record": parseRecord,
  "json log": readLog,
  "yaml kubeconfig": readKubeconfigText,
  "yaml rbac": readRole,
  "yaml pod": readPod,
  "yaml definition": readDefinition,
  "yaml write-back": readWriteBack,
  "text cni": readInterfaceNames,
};

/** The configuration keys that have a default, as README.md says it and as it is read. */
const documentedDefaults: [string, string, Partial<GenieConfig>][] = [
  ["default_plugin", "the first network", { defaultPlugin: "" }],
  ["confDir", "`/etc/cni/net.d`", { confDir: "/etc/cni/net.d" }],
  ["binDir", "none", { binDirs: [] }],
  ["result", "primary", { result: "primary" }],
  ["defaultRoutes", "owner", { defaultRoutes: "owner" }],
  [
    "multusConfDir",
    "`/etc/cni/multus/net.d`",
    { multusConfDir: "/etc/cni/multus/net.d" },
  ],
  ["allowedNetworks", "all", { allowedNetworks: undefined }],
  [
    "allowedPlugins",
    "all",
    { allowedPlugins: undefined, allowedIpams: undefined },
  ],
  ["allowRepeated", "none", { allowRepeated: [] }],
  ["namespaceIsolation", "false", { namespaceIsolation: false }],
  ["globalNamespaces", '`["default"]`', { globalNamespaces: ["default"] }],
  ["systemNamespace", "`kube-system`", { systemNamespace: "kube-system" }],
  ["strict", "false", { strict: false }],
  ["nodeName", "none", { nodeName: undefined }],
  [
    "podResourcesSocket",
    "`/var/lib/kubelet/pod-resources/kubelet.sock`",
    { podResourcesSocket: "/var/lib/kubelet/pod-resources/kubelet.sock" },
  ],
  ["dataDir", "`/var/lib/cni/genie`", { dataDir: "/var/lib/cni/genie" }],
  [
    "runtimeCacheDir",
    "`/var/lib/cni/results`",
    { runtimeCacheDir: "/var/lib/cni/results" },
  ],
  ["multusDir", "`/var/lib/cni/multus`", { multusDir: "/var/lib/cni/multus" }],
  ["apiTimeout", "10", { apiTimeoutMs: 10_000 }],
  ["delegateTimeout", "120", { delegateTimeoutMs: 120_000 }],
  ["deleteGiveUp", "300", { deleteGiveUpMs: 300_000 }],
  ["log_level", "warn", { logLevel: "warn" }],
  ["logFile", "none", { logFile: undefined }],
];

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

  test.each(pages)("links and paths of %s, all are there", (page) => {
    const text = textOf(page);
    expect(
      filesNamedIn(text, page).filter((path) => !existsSync(join(root, path))),
    ).toEqual([]);
  });

  test.each(pages)("anchors in links of %s, all are headings", (page) => {
    const links = textOf(page)
      .replaceAll(fence, "")
      .matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g);
    const missing = [...links].filter(([, path = "", anchor = ""]) => {
      const target = path === "" ? page : join(dirname(page), path);
      return !anchorsOf(target).has(anchor);
    });
    expect(missing.map(([link]) => link)).toEqual([]);
  });

  test.each(pages)("make targets in %s, all are in the Makefile", (page) => {
    const text = textOf(page);
    const makefile = textOf("Makefile");
    const named = [...text.matchAll(/(?:^|`)make ([a-z-]+)/gm)].map(
      ([, target = ""]) => target,
    );
    expect(
      named.filter((target) => !makefile.includes(`\n${target}:`)),
    ).toEqual([]);
  });

  test.each(pages)(
    `tables of %s, no row over ${maxTableRow} characters`,
    (page) => {
      const rows = textOf(page)
        .split("\n")
        .filter((line) => line.startsWith("|"));
      expect(rows.filter((row) => row.length > maxTableRow)).toEqual([]);
    },
  );

  test("README.md, its reference has every configuration key", () => {
    const documented = spansOf("Configuration");
    expect(schemaKeys().filter((key) => !documented.has(key))).toEqual([]);
  });

  test.each(documentedDefaults)(
    "README.md, default of %s is %j",
    (key, text, value) => {
      expect(documentedDefault(key)).toBe(text);
      expect(readConfig({ type: "genie" })).toMatchObject(value);
    },
  );

  test("README.md, its reference has every key of an element", () => {
    const documented = spansOf("Annotations");
    const ignored = new Set([
      "interfaceRequest",
      "ipam-claim-reference",
      "resourceClaim",
    ]);
    expect(
      elementKeys.filter((key) => !documented.has(key) && !ignored.has(key)),
    ).toEqual([]);
  });

  test("docs/troubleshooting.md, its findings are those of genie doctor", () => {
    const [, list = ""] =
      /^## Findings.*?\n(.*?)^## /ms.exec(textOf("docs/troubleshooting.md")) ??
      [];
    const entries = [...list.matchAll(/^- (.*?):(?: |$)/gms)];
    const findings = entries.flatMap(([, names = ""]) => codeSpans(names));
    expect(findings.length).toBeGreaterThan(20);
    const sources = sourcesOfLib();
    expect(findings.filter((finding) => !sources.includes(finding))).toEqual(
      [],
    );
  });

  test("docs/troubleshooting.md, its messages are those of the sources", () => {
    const bold = textOf("docs/troubleshooting.md").matchAll(
      /^- \*\*(.*?)\*\*/gms,
    );
    const messages = [...bold].flatMap(([, names = ""]) => codeSpans(names));
    // Without what a message quotes.
    const parts = messages.flatMap((message) =>
      message
        .split(/"[^"]*"|…|^failed to |net1|code 1|\[|\/etc\/cni\/net\.d/)
        .map((part) => part.trim()),
    );
    const words = parts.filter((part) => part.length > 3);
    expect(words.length).toBeGreaterThan(10);
    const sources = sourcesOfLib();
    expect(words.filter((part) => !sources.includes(part))).toEqual([]);
  });

  test.each(typedCommands())(
    "$where: $line, it can be typed",
    async ({ name, options }) => {
      const entry = commands.get(name);
      if (!entry) throw new Error(`no command "${name}"`);
      const command = await entry.load();
      const known = new Set(
        Object.entries(command.options).flatMap(([option, { short }]) => [
          `--${option}`,
          `-${short}`,
        ]),
      );
      expect(options.filter((option) => !known.has(option))).toEqual([]);
    },
  );

  test("docs/performance.md, its bounds are those of make bench", () => {
    const [, rows = ""] =
      /^Rows.*?\n(.*?)^- Floors/ms.exec(textOf("docs/performance.md")) ?? [];
    const bounds = [...rows.matchAll(/\((\d+(?:\.\d+)?)(?=\)| beyond)/g)].map(
      ([, bound]) => Number(bound),
    );
    expect(bounds).toEqual([...Object.values(ratios), failureRatio]);
    expect(rows).toContain(`${rssMiB} MiB at its peak`);
  });

  test("docs/architecture.md, its identifiers are those of the sources", () => {
    const spans = codeSpans(
      textOf("docs/architecture.md").replaceAll(fence, ""),
    );
    const identifiers = spans.filter((span) =>
      /^[a-z]+(?:[A-Z][a-z]+)+$/.test(span),
    );
    expect(identifiers.length).toBeGreaterThan(10);
    const sources = sourcesOfLib();
    expect(identifiers.filter((name) => !sources.includes(name))).toEqual([]);
  });

  test("docs/architecture.md, its time limits are those of the phases", () => {
    const text = textOf("docs/architecture.md");
    const seconds = Object.fromEntries(
      [
        ...text.matchAll(/\b(ADD|rollback|DEL|GC|CHECK|STATUS):? (\d+) s\b/g),
      ].map(([, phase = "", limit]) => [
        phase.toLowerCase(),
        Number(limit) * 1000,
      ]),
    );
    expect(seconds).toEqual({ ...phases });
  });

  test.each(["README.md", "docs/architecture.md"])(
    "%s, it has every command",
    (page) => {
      const text = textOf(page);
      const visible = [...commands].filter(([, { hidden }]) => !hidden);
      expect(
        visible
          .map(([name]) => name)
          .filter((name) => !new RegExp(`\\b${name}\\b`).test(text)),
      ).toEqual([]);
    },
  );
});

function textOf(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = textOf(page)
    .replaceAll(fence, "")
    .matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

function sourcesOfLib(): string {
  const paths = [...new Bun.Glob("lib/**/*.ts").scanSync(root)];
  return paths.map(textOf).join("\n");
}

function codeSpans(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span = ""]) =>
    span.replaceAll(/\s+/g, " "),
  );
}

interface TypedCommand {
  where: string;
  line: string;
  name: string;
  options: string[];
}

/** The commands of genie in blocks of shell and in code spans, up to a pipe or a comment. */
function typedCommands(): TypedCommand[] {
  const shell = blocks()
    .filter(({ language }) => language === "sh")
    .flatMap(({ where, text }) =>
      text
        .replaceAll("\\\n", " ")
        .split("\n")
        .map((line) => ({ where, line })),
    );
  const spans = pages.flatMap((page) =>
    codeSpans(textOf(page).replaceAll(fence, "")).map((line) => ({
      where: page,
      line,
    })),
  );
  const typed = [...shell, ...spans].flatMap(({ where, line }) => {
    const [, words] =
      /(?:^|sudo |[\w/]\/|-- \S*\/)genie ([a-z-]+(?!\S)(?: [^|#<>]*)?)/.exec(
        line,
      ) ?? [];
    if (words === undefined) return [];
    const [name = "", ...rest] = words.trim().split(/\s+/);
    const options = rest
      .filter((word) => word.startsWith("-") && word.length > 1)
      .map((word) => word.replace(/=.*/, ""));
    return [
      { where, line: line.replaceAll(/\s+/g, " ").trim(), name, options },
    ];
  });
  // Each line once.
  return [...new Map(typed.map((one) => [one.line, one])).values()];
}

function checkedBlocks(): Block[] {
  return blocks().filter(
    ({ language, mark }) => mark !== "" || mustBeMarked.has(language),
  );
}

function blocks(): Block[] {
  return pages.flatMap((page) => {
    const text = textOf(page);
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

/** The text of a section of README.md, up to the next of its level. */
function sectionOf(heading: string): string {
  const text = textOf("README.md");
  const [, section = ""] =
    new RegExp(`^## ${heading}\\n(.*?)^## `, "ms").exec(text) ?? [];
  return section;
}

/** The code spans of a section of README.md. */
function spansOf(heading: string): ReadonlySet<string> {
  const spans = sectionOf(heading)
    .replaceAll(fence, "")
    .matchAll(/`([^`]+)`/g);
  return new Set([...spans].map(([, span = ""]) => span));
}

/** The last part of `key` (type, default). */
function documentedDefault(key: string): string | undefined {
  const [, described] =
    new RegExp(`\`${RegExp.escape(key)}\`\\s\\(([^)]+)\\)`).exec(
      sectionOf("Configuration"),
    ) ?? [];
  return described?.replaceAll(/\s+/g, " ").split(/[,;] /).at(-1);
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
