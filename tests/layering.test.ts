/**
 * The direction of imports: genie → cli → agent → attach → state → select → kube, kubelet →
 * http → cni → linux, never back, never across, never in a circle. Slow packages are lazy, because a pod
 * would pay milliseconds for loading them; lib/cni is a library that knows nothing of
 * genie.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, normalize, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");

/**
 * From the outermost to the innermost: a directory may import itself and the layers
 * below. Directories of one layer do not import each other.
 */
const layers = [
  ["genie.ts"],
  ["lib/cli"],
  ["lib/agent"],
  ["lib/attach"],
  ["lib/state"],
  ["lib/select"],
  ["lib/kube", "lib/kubelet"],
  ["lib/http"],
  ["lib/cni"],
  ["lib/linux"],
];

/** Directories that a pod rarely needs: other directories load them behind import(). */
const lazyDirectories = new Set(["lib/kubelet"]);

interface PackageRule {
  directories: readonly string[];
  /** Slow: only as types or behind an import(). */
  lazy?: true;
}

/** Packages by the first part of their names; whatever is not here may not be imported. */
const packages: Readonly<Record<string, PackageRule>> = {
  bun: { directories: layers.flat() },
  valibot: { directories: layers.flat() },
  "@kubernetes": {
    directories: ["lib/cli", "lib/agent", "lib/attach", "lib/kube"],
    lazy: true,
  },
  // For the kubelet's gRPC; the directory is loaded as a whole.
  "@connectrpc": { directories: ["lib/kubelet"] },
  "@bufbuild": { directories: ["lib/kubelet"] },
};

/** Slow to load, and Bun has better: what an operator types may wait for them. */
const slow = /^(?:node:)?(?:http|https|http2|stream|child_process)(?:\/|$)/;

type Kind = "static" | "type" | "dynamic";

interface Import {
  kind: Kind;
  from: string;
}

/** Module → what it imports, both as paths below the root; packages by name. */
type Graph = ReadonlyMap<string, readonly Import[]>;

const graph: Graph = new Map(
  ["genie.ts", ...new Bun.Glob("lib/**/*.ts").scanSync(root)]
    .toSorted()
    .map((path) => [path, importsOf(path, sourceOf(path))]),
);

describe("layering", () => {
  test("modules, every one is in a directory that has a layer, and no directory is empty", () => {
    expect(new Set([...graph.keys()].map(directoryOf))).toEqual(
      new Set(layers.flat()),
    );
  });

  test("imports, none against the direction or too slow", () => {
    expect(violations(graph)).toEqual([]);
  });

  test("imports, no circle", () => {
    expect(circles(graph)).toEqual([]);
  });

  test("a pod with one default route loads nothing that changes routes", () => {
    const loaded = loadedWith("lib/attach/default-route.ts");
    expect(loaded).toContain("lib/linux/pod-network.ts");
    expect(
      loaded.filter((path) =>
        /linux\/(?:route|rtnetlink)|default-route-moves/.test(path),
      ),
    ).toEqual([]);
  });

  test("importsOf, finds whatever Bun's own parser finds", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    const missed = [...graph].flatMap(([path, imports]) => {
      const found = new Set(imports.map(({ from }) => from));
      return transpiler
        .scanImports(sourceOf(path))
        .map((scanned) => resolved(path, scanned.path))
        .filter((from) => !found.has(from))
        .map((from) => `${path} → ${from}`);
    });
    expect(missed).toEqual([]);
  });
});

describe("layering, the test itself", () => {
  test.each<[source: string, expected: Import[]]>([
    ['import { a } from "./b.ts";', [{ kind: "static", from: "lib/cni/b.ts" }]],
    [
      'import {\n  a,\n  type B,\n} from "../kube/b.ts";',
      [{ kind: "static", from: "lib/kube/b.ts" }],
    ],
    [
      'import { type A, type B } from "./b.ts";',
      [{ kind: "static", from: "lib/cni/b.ts" }],
    ],
    [
      'import type { A } from "./b.ts";',
      [{ kind: "type", from: "lib/cni/b.ts" }],
    ],
    ['import * as v from "valibot";', [{ kind: "static", from: "valibot" }]],
    ['import "bun:ffi";', [{ kind: "static", from: "bun:ffi" }]],
    ['export { a } from "./b.ts";', [{ kind: "static", from: "lib/cni/b.ts" }]],
    ['export * from "./b.ts";', [{ kind: "static", from: "lib/cni/b.ts" }]],
    [
      'export type { A } from "./b.ts";',
      [{ kind: "type", from: "lib/cni/b.ts" }],
    ],
    [
      '  const { a } = await import("./b.ts");',
      [{ kind: "dynamic", from: "lib/cni/b.ts" }],
    ],
    ['let a: import("./b.ts").A;', [{ kind: "dynamic", from: "lib/cni/b.ts" }]],
    [
      'import { a } from "a";\nimport { b } from "b";',
      [
        { kind: "static", from: "a" },
        { kind: "static", from: "b" },
      ],
    ],
    ['// import { a } from "./b.ts"\nconst text = "from";', []],
  ])("importsOf, %j", (source, expected) => {
    expect(importsOf("lib/cni/a.ts", source)).toEqual(expected);
  });

  test.each<[path: string, kind: Kind, from: string, allowed: boolean]>([
    ["genie.ts", "dynamic", "lib/cli/main.ts", true],
    ["lib/cli/a.ts", "static", "lib/attach/b.ts", true],
    ["lib/attach/a.ts", "static", "lib/cni/b.ts", true],
    ["lib/attach/a.ts", "static", "lib/cli/b.ts", false],
    ["lib/cli/a.ts", "static", "lib/agent/b.ts", true],
    ["lib/attach/a.ts", "dynamic", "lib/agent/b.ts", false],
    ["lib/agent/a.ts", "static", "lib/attach/b.ts", true],
    ["lib/agent/a.ts", "static", "lib/cli/b.ts", false],
    ["lib/attach/choice/a.ts", "static", "lib/state/b.ts", true],
    ["lib/state/a.ts", "type", "lib/attach/b.ts", false],
    ["lib/select/a.ts", "type", "lib/attach/b.ts", false],
    ["lib/kube/a.ts", "static", "lib/select/b.ts", false],
    ["lib/kube/a.ts", "static", "lib/http/b.ts", true],
    ["lib/http/a.ts", "type", "lib/kube/b.ts", false],
    ["lib/kubelet/a.ts", "static", "lib/kube/b.ts", false],
    ["lib/attach/a.ts", "static", "lib/kubelet/b.ts", false],
    ["lib/attach/a.ts", "dynamic", "lib/kubelet/b.ts", true],
    ["lib/kubelet/a.ts", "static", "lib/kubelet/b.ts", true],
    ["lib/kubelet/a.ts", "static", "@connectrpc/connect", true],
    ["lib/kube/a.ts", "dynamic", "@connectrpc/connect", false],
    ["lib/cni/a.ts", "static", "lib/cni/b.ts", true],
    ["lib/cni/a.ts", "type", "lib/kube/b.ts", false],
    ["lib/cni/a.ts", "static", "genie.ts", false],
    ["lib/cni/a.ts", "static", "tests/support/b.ts", false],
    ["lib/cni/a.ts", "static", "valibot", true],
    ["lib/cni/a.ts", "static", "node:fs", true],
    ["lib/cni/a.ts", "static", "lodash", false],
    ["lib/kube/a.ts", "type", "@kubernetes/client-node", true],
    ["lib/kube/a.ts", "dynamic", "@kubernetes/client-node", true],
    ["lib/kube/a.ts", "static", "@kubernetes/client-node", false],
    ["lib/cni/a.ts", "dynamic", "@kubernetes/client-node", false],
    ["lib/attach/a.ts", "static", "node:child_process", false],
    ["lib/attach/a.ts", "dynamic", "node:stream/promises", false],
    ["lib/attach/a.ts", "type", "node:http", true],
    ["lib/cli/a.ts", "static", "node:https", true],
  ])(
    "violations, %s by %s import of %s: allowed %p",
    (path, kind, from, allowed) => {
      const found = violations(new Map([[path, [{ kind, from }]]]));
      const edges = found.map((text) => text.split(": ")[0]);
      expect(edges).toEqual(allowed ? [] : [`${path} → ${from}`]);
    },
  );

  test("circles, found through a third module", () => {
    const three = new Map<string, Import[]>([
      ["a", [{ kind: "static", from: "b" }]],
      ["b", [{ kind: "type", from: "c" }]],
      ["c", [{ kind: "static", from: "a" }]],
      ["d", [{ kind: "static", from: "a" }]],
    ]);
    expect(circles(three)).toEqual(["a → b → c → a"]);
  });
});

/** Without the line that makes it executable, which is no TypeScript. */
function sourceOf(path: string): string {
  return readFileSync(join(root, path), "utf8").replace(/^#!.*/, "");
}

/** By the layout that `bun fmt` gives: statements begin a line. */
function importsOf(path: string, source: string): Import[] {
  const statements = source.matchAll(
    /^(?:import|export)\s+(?:(type\s)?[^;"'`]*?\sfrom\s+)?"([^"]+)"/gm,
  );
  // In a comment a path is never quoted after the parenthesis.
  const expressions = source.matchAll(/\bimport\(\s*"([^"]+)"/g);
  return [
    ...statements.map(([, type, from = ""]) =>
      found(type ? "type" : "static", from),
    ),
    ...expressions.map(([, from = ""]) => found("dynamic", from)),
  ];

  function found(kind: Kind, from: string): Import {
    return { kind, from: resolved(path, from) };
  }
}

function resolved(path: string, from: string): string {
  return from.startsWith(".") ? normalize(join(path, "..", from)) : from;
}

/** The directory of a module; the path itself if it is in none. */
function directoryOf(path: string): string {
  const isIn = (directory: string) =>
    path === directory || path.startsWith(`${directory}/`);
  return layers.flat().find(isIn) ?? path;
}

/** -1 for a module in no directory. */
function layerOf(directory: string): number {
  return layers.findIndex((layer) => layer.includes(directory));
}

function violations(modules: Graph): string[] {
  return [...modules].flatMap(([path, imports]) =>
    imports.flatMap((one) => {
      const problem = problemOf(directoryOf(path), one);
      return problem === undefined ? [] : [`${path} → ${one.from}: ${problem}`];
    }),
  );
}

function problemOf(directory: string, one: Import): string | undefined {
  const { kind, from } = one;
  if (/^(?:genie\.ts|lib|tests|scripts|bench|demo)(?:\/|$)/.test(from)) {
    return problemOfDirectory(directory, one);
  }
  if (slow.test(from)) {
    const allowed = kind === "type" || directory === "lib/cli";
    return allowed ? undefined : "too slow for a pod's start";
  }
  if (/^(?:node|bun):/.test(from)) return undefined;
  const rule = packages[from.split("/")[0] ?? from];
  if (!rule?.directories.includes(directory))
    return "not a package of this directory";
  return rule.lazy && kind === "static" ? lazily : undefined;
}

const lazily = "only as types or behind an import()";

function problemOfDirectory(
  directory: string,
  { kind, from }: Import,
): string | undefined {
  const target = directoryOf(from);
  if (target === directory) return undefined;
  if (layerOf(target) <= layerOf(directory)) return "against the direction";
  return lazyDirectories.has(target) && kind === "static" ? lazily : undefined;
}

/** The module and all that it imports statically. */
function loadedWith(path: string, seen = new Set<string>()): string[] {
  seen.add(path);
  for (const { kind, from } of graph.get(path) ?? [])
    if (kind === "static" && !seen.has(from)) loadedWith(from, seen);
  return [...seen];
}

/** Every circle once, each from its first module in the alphabet; types count too. */
function circles(modules: Graph): string[] {
  const done = new Set<string>();
  const found = new Set<string>();
  for (const path of modules.keys()) walk(path, []);
  return [...found];

  function walk(path: string, trail: readonly string[]): void {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.add(named(trail.slice(start)));
      return;
    }
    if (done.has(path)) return;
    for (const { from } of modules.get(path) ?? [])
      walk(from, [...trail, path]);
    done.add(path);
  }
}

/** From its first module in the alphabet on. */
function named(circle: readonly string[]): string {
  const first = circle.indexOf(circle.toSorted()[0] ?? "");
  const turned = [...circle.slice(first), ...circle.slice(0, first)];
  return [...turned, turned[0]].join(" → ");
}
