/**
 * The pages of the documentation are true: links, files, make targets, commands,
 * configuration keys with their defaults, element keys, messages, limits.
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { failureRatio, ratios, rssMiB } from "../bench/budgets.ts";
import { families } from "../lib/agent/metrics/metrics.ts";
import { parts as agentParts } from "../lib/agent/parts.ts";
import { phases } from "../lib/attach/context.ts";
import { commands } from "../lib/cli/commands.ts";
import { configKeys } from "../lib/select/config-schema.ts";
import { type GenieConfig, readConfig } from "../lib/select/config.ts";
import { elementKeys } from "../lib/select/npwg-schema.ts";
import { scenarios } from "../torture/scenarios/scenarios.ts";
import {
  blocks,
  codeSpans,
  fence,
  pages,
  sectionOf,
  spansOf,
  textOf,
} from "./support/pages.ts";

const root = resolve(import.meta.dir, "..");

/** The longest row that a terminal shows in one line. */
const maxTableRow = 160;

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
  ["automatic.networks", "none", { automatic: undefined }],
  ["auxiliaryChain", "none", { auxiliaryChain: undefined }],
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
  ["apiReads", "latest", { apiReads: "latest" }],
  ["delegateTimeout", "120", { delegateTimeoutMs: 120_000 }],
  ["deleteGiveUp", "300", { deleteGiveUpMs: 300_000 }],
  ["log_level", "warn", { logLevel: "warn" }],
  ["logFile", "none", { logFile: undefined }],
];

describe("documentation", () => {
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

  test("README.md, stays short: depth goes to docs/", () => {
    expect(textOf("README.md").split("\n").length).toBeLessThanOrEqual(261);
  });

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

  test("docs/operations.md, its metrics are those of the agent, with their labels", () => {
    const bullets = textOf("docs/operations.md").matchAll(
      /^- `(genie_\w+)(?:\{([\w,]+)\})?`/gm,
    );
    const documented = [...bullets].map(
      ([, name = "", labels = ""]) => `${name} ${labels}`,
    );
    expect(documented.toSorted()).toEqual(
      families.map(({ name, labels }) => `${name} ${labels.join()}`).toSorted(),
    );
  });

  test("docs, every reason of an event is explained, and is one of the agent's", () => {
    const isReason = (text: string) =>
      /^[A-Z][a-z]+(?:[A-Z][a-z]+)+$/.test(text);
    const sources = [...new Bun.Glob("lib/agent/**/*.ts").scanSync(root)];
    const literals = sources.flatMap((path) =>
      [...textOf(path).matchAll(/"(\w+)"/g)].map(([, text = ""]) => text),
    );
    const others = new Set(["NoSchedule", "TimeoutError"]);
    const told = new Set(
      literals.filter((text) => isReason(text) && !others.has(text)),
    );
    expect(told.size).toBeGreaterThan(10);
    const spans = ["docs/operations.md", "docs/agent.md"].flatMap((page) =>
      codeSpans(textOf(page).replaceAll(fence, "")),
    );
    expect([...told].filter((reason) => !spans.includes(reason))).toEqual([]);
    const kinds = new Set(["NodeRestriction", "PrometheusRule"]);
    const unknown = spans.filter(
      (span) => isReason(span) && !told.has(span) && !kinds.has(span),
    );
    expect(unknown).toEqual([]);
  });

  test.each([
    [
      "docs/kubeconfig.md",
      "lib/kube/access/kubeconfig-schema.ts",
      /^const (?:cluster|user) = object\(\{\n(.*?)^\}\);/gms,
    ],
    [
      "docs/operations.md",
      "lib/attach/calls-log.ts",
      /^(?:export )?interface LoggedCall \{\n(.*?)^\}/gms,
    ],
  ])("%s, it has every key of %s", (page, path, objects) => {
    const bodies = [...textOf(path).matchAll(objects)].map(
      ([, body = ""]) => body,
    );
    const keys = bodies.flatMap((body) =>
      [...body.matchAll(/^ {2}"?([\w-]+)"?\??:/gm)].map(([, key = ""]) => key),
    );
    expect(keys.length).toBeGreaterThan(10);
    const spans = codeSpans(textOf(page).replaceAll(fence, ""));
    expect(keys.filter((key) => !spans.includes(key))).toEqual([]);
  });

  test("docs/agent.md, it has the switch of every part", () => {
    const spans = codeSpans(textOf("docs/agent.md").replaceAll(fence, ""));
    expect(
      [...agentParts.keys()].filter((name) => !spans.includes(`--${name}`)),
    ).toEqual([]);
  });

  test("docs/reliability.md, scenarios and numbers are those of the torture", () => {
    const text = textOf("docs/reliability.md");
    const [, section = ""] = /^### Scenarios\n(.*?)^### /ms.exec(text) ?? [];
    expect(section.match(/^- \*\*/gm)).toHaveLength(
      Object.keys(scenarios).length,
    );
    const torture = textOf("torture/torture.ts");
    for (const option of ["rounds", "seconds"]) {
      const [, number] =
        new RegExp(`\`--${option}\` \\((\\d+)\\)`).exec(text) ?? [];
      expect(torture).toContain(`values.${option} || ${number})`);
    }
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
      /(?:^|sudo |[\w/]\/|-- \S*\/)genie ([a-z][a-z-]*(?!\S)(?: [^|#<>]*)?)/.exec(
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

/** The last part of `key` (type, default). */
function documentedDefault(key: string): string | undefined {
  const [, described] =
    new RegExp(`\`${RegExp.escape(key)}\`\\s\\(([^)]+)\\)`).exec(
      sectionOf("Configuration"),
    ) ?? [];
  return described?.replaceAll(/\s+/g, " ").split(/[,;] /).at(-1);
}

function schemaKeys(): string[] {
  const parents = new Set(["kubernetes", "policy", "automatic"]);
  return configKeys.filter((key) => !parents.has(key));
}
