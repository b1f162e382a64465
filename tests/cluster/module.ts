/**
 * The Go modules that Kubernetes and containerd are built from. The versions
 * that are run by default are pinned in `modules/`; another one gets a module
 * of the same shape, made in the cache.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";

/** The components whose version can be chosen, by the variable of the environment that chooses it. */
export const versioned = {
  kubernetes: { variable: "KUBERNETES", path: () => "k8s.io/kubernetes" },
  containerd: {
    variable: "CONTAINERD",
    path: (version: string) =>
      version.startsWith("1.")
        ? "github.com/containerd/containerd"
        : "github.com/containerd/containerd/v2",
  },
} as const;

export type Versioned = keyof typeof versioned;

/** The version that is to be run, without a "v". Throws Error for what is no version. */
export function versionOf(name: Versioned): string {
  const { variable } = versioned[name];
  const chosen = process.env[variable]?.replace(/^v/, "");
  if (!chosen) return pinned(name);
  if (/^\d+\.\d+\.\d+(?:-[0-9a-z.]+)?$/.test(chosen)) return chosen;
  throw new Error(`${variable}=${chosen}: expected a version like 1.37.2`);
}

/** The directory of the module to build from. */
export async function moduleOf(
  name: Versioned,
  cache: string,
): Promise<string> {
  const version = versionOf(name);
  if (version === pinned(name)) return committed(name);
  const directory = join(cache, `${name}-${version}-module`);
  const done = join(directory, "go.sum");
  if (existsSync(done)) return directory;
  mkdirSync(directory, { recursive: true });
  const { path, goMod } = await download(name, version);
  writeFileSync(
    join(directory, "go.mod"),
    moduleFile(name, path, version, goMod),
  );
  await run(["go", "mod", "tidy"], {
    cwd: directory,
    env: { GOFLAGS: "-mod=mod" },
    seconds: 600,
  });
  return directory;
}

function committed(name: Versioned): string {
  return join(import.meta.dir, "modules", name);
}

/** The requirements of `modules/`. */
function pinned(name: Versioned): string {
  const file = readFileSync(join(committed(name), "go.mod"), "utf8");
  const paths = [versioned[name].path("2"), versioned[name].path("1.")];
  for (const line of file.split("\n")) {
    const [path = "", version = ""] = line
      .trim()
      .replace(/^require /, "")
      .split(" ");
    if (paths.includes(path)) return version.replace(/^v/, "");
  }
  throw new Error(
    `modules/${name}/go.mod requires none of ${paths.join(", ")}`,
  );
}

async function download(
  name: Versioned,
  version: string,
): Promise<{ path: string; goMod: string }> {
  const path = versioned[name].path(version);
  const said = await run(
    ["go", "mod", "download", "-json", `${path}@v${version}`],
    {
      env: { GOFLAGS: "-mod=mod", GO111MODULE: "on" },
      seconds: 600,
    },
  );
  const { GoMod } = JSON.parse(said) as { GoMod: string };
  return { path, goMod: readFileSync(GoMod, "utf8") };
}

/** The same tools as the committed module names, of the other version; Kubernetes' staging modules are at the version that belongs to it. */
function moduleFile(
  name: Versioned,
  path: string,
  version: string,
  goMod: string,
): string {
  const own = readFileSync(join(committed(name), "go.mod"), "utf8");
  const commands = [...own.matchAll(/^\s+\S+\/cmd\/(\S+)$/gm)].map(
    ([, command]) => `\t${path}/cmd/${command ?? ""}`,
  );
  const directive = (pattern: RegExp) => pattern.exec(goMod)?.[0] ?? "";
  const staging = [...goMod.matchAll(/^\s+(\S+) => \.\/staging\//gm)].map(
    ([, module = ""]) => `\t${module} => ${module} v0.${version.slice(2)}`,
  );
  return [
    `module genie.test/cluster/${name}`,
    directive(/^go .*$/m),
    directive(/^godebug .*$/m),
    `tool (\n${commands.join("\n")}\n)`,
    `require ${path} v${version}`,
    staging.length > 0 ? `replace (\n${staging.join("\n")}\n)` : "",
  ].join("\n");
}
