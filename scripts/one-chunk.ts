/**
 * A bundler plugin that puts one module and all its imports into one chunk. The
 * bundler makes a chunk of each set of modules that several import()s share, and
 * each chunk costs a pod 35 µs (docs/performance.md). So every module behind an
 * import() gets a reference to this one: then all of them share the same set.
 */
import type { BunPlugin } from "bun";
import { dirname, join, resolve } from "node:path";

export interface Loaded {
  /** Path of the module. */
  module: string;
  /** Something that it exports. */
  name: string;
}

/** For the program whose sources are `genie.ts` and `lib` below `root`. */
export function oneChunk(root: string, { module, name }: Loaded): BunPlugin {
  return {
    name: "one-chunk",
    async setup(build) {
      const later = await loadedLater(root);
      later.delete(module);
      build.onLoad({ filter: /\/lib\/.*\.ts$/ }, async ({ path }) => {
        const text = await Bun.file(path).text();
        const reference = `\nexport { ${name} as loadedBefore } from ${JSON.stringify(module)};\n`;
        return {
          contents: later.has(path) ? text + reference : text,
          loader: "ts",
        };
      });
    },
  };
}

const kinds: ReadonlySet<string> = new Set(["dynamic-import", "require-call"]);

/** The modules behind an import() or a require(). */
async function loadedLater(root: string): Promise<Set<string>> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const targets = new Set<string>();
  for (const pattern of ["genie.ts", "lib/**/*.ts"]) {
    for await (const file of new Bun.Glob(pattern).scan(root)) {
      const path = join(root, file);
      const text = (await Bun.file(path).text()).replace(/^#!.*/, "");
      for (const { kind, path: target } of transpiler.scanImports(text)) {
        if (kinds.has(kind) && target.startsWith("."))
          targets.add(resolve(dirname(path), target));
      }
    }
  }
  return targets;
}
