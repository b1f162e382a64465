/**
 * The CNI settings in the files of container runtimes. Only explicit ones: the defaults
 * are /opt/cni/bin and /etc/cni/net.d too.
 */
import { basename, dirname, join, resolve } from "node:path";
import { omitUndefined, own } from "../../cni/json.ts";
import { attempt } from "./attempt.ts";
import { type Directories, defaultDirectories } from "./directories.ts";
import type { Host } from "./host.ts";
import { namesIn, readTextIfAny } from "./read-file.ts";
import {
  type Runtime,
  type RuntimeProcess,
  optionOf,
  runtimeProcesses,
} from "./runtimes.ts";

/** A setting of the node that stops genie, and what to do. */
export interface Problem {
  found: string;
  advice: string;
}

interface RuntimeSettings {
  runtime: Runtime;
  /** Several that have CNI settings are separated by commas. */
  file: string;
  binDirs?: string[];
  confDir?: string;
  /** containerd: the number of files that are networks of every pod. */
  maxConfNum?: number;
  /** CRI-O: the name of the network, regardless of the order of files. */
  defaultNetwork?: string;
}

const containerdFile = "/etc/containerd/config.toml";
const containerdFiles = [
  containerdFile,
  "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
  "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
  "/etc/k0s/containerd.toml",
  "/var/snap/microk8s/current/args/containerd.toml",
];

const crioFile = "/etc/crio/crio.conf";
const crioDirectory = "/etc/crio/crio.conf.d";

/**
 * One entry for each configuration with a CNI setting: a containerd's file with its
 * `imports`, CRI-O's file with its drop-ins. Invalid TOML has none.
 */
export function runtimeSettings(host: Host): RuntimeSettings[] {
  const running = host.isOwnRoot ? runtimeProcesses() : [];
  const containerd = filesOf(running, host).flatMap((main) =>
    effective(
      withImports(host, main).flatMap((file) =>
        settingsOf("containerd", file, containerdTable(parsed(host, file))),
      ),
    ),
  );
  const crio = effective(
    [crioFile, ...crioDropIns(host)].flatMap((file) =>
      settingsOf("crio", file, own(own(parsed(host, file), "crio"), "network")),
    ),
  );
  return [...containerd, ...crio];
}

/** A later file overrides an earlier one, key by key. */
function effective(settings: readonly RuntimeSettings[]): RuntimeSettings[] {
  const [first, ...others] = settings;
  if (!first) return [];
  const merged = { ...first };
  for (const next of others) Object.assign(merged, next);
  return [{ ...merged, file: settings.map(({ file }) => file).join(", ") }];
}

/** The file and those that it imports, by name or pattern, relative to its directory. */
function withImports(
  host: Host,
  file: string,
  seen = new Set<string>(),
): string[] {
  if (seen.has(file)) return [];
  seen.add(file);
  const imports = [own(parsed(host, file), "imports")].flat();
  return [
    file,
    ...imports
      .filter((pattern) => typeof pattern === "string")
      .flatMap((pattern) => matching(host, resolve(dirname(file), pattern)))
      .flatMap((imported) => withImports(host, imported, seen)),
  ];
}

function matching(host: Host, pattern: string): string[] {
  const directory = dirname(pattern);
  const glob = new Bun.Glob(basename(pattern));
  return namesIn(host.path(directory))
    .filter((name) => glob.match(name))
    .toSorted()
    .map((name) => join(directory, name));
}

/** The runtime does not find genie's executable. */
export function binDirProblem(
  { file, binDirs }: RuntimeSettings,
  { host, binDir }: Directories,
): Problem | undefined {
  if (!binDirs) return undefined;
  if (binDirs.some((one) => host.target(one) === host.target(binDir)))
    return undefined;
  return {
    found: `${file}: plugins are looked for in ${binDirs.join(", ")}, not in ${binDir}`,
    advice: `genie install --bin-dir ${binDirs[0]}`,
  };
}

/** The runtime does not read genie's configuration. */
export function confDirProblem(
  { file, confDir = defaultDirectories.confDir }: RuntimeSettings,
  directories: Directories,
): Problem | undefined {
  const { host } = directories;
  if (host.target(confDir) === host.target(directories.confDir))
    return undefined;
  return {
    found: `${file}: networks are read from ${confDir}, not from ${directories.confDir}`,
    advice: `genie install --conf-dir ${confDir}`,
  };
}

/** The files of running containerds; else all known files. */
function filesOf(running: readonly RuntimeProcess[], host: Host): string[] {
  const used = running
    .filter((process) => process.runtime === "containerd")
    .filter((process) => usesCri(process, host))
    .map((process) => configFile(process));
  return used.length > 0 ? [...new Set(used)] : containerdFiles;
}

/** Docker's containerd has no CRI plugin, so Kubernetes does not use it. */
export function usesCri(process: RuntimeProcess, host: Host): boolean {
  if (process.runtime !== "containerd") return true;
  const disabled = own(parsed(host, configFile(process)), "disabled_plugins");
  return ![disabled]
    .flat()
    .some((name) => name === "cri" || name === "io.containerd.grpc.v1.cri");
}

function configFile(process: RuntimeProcess): string {
  return optionOf(process, /^--?(?:c|config)$/) ?? containerdFile;
}

/** The table is in another place in each version (1, 2, 3) of the file. */
function containerdTable(config: unknown): unknown {
  const plugins = own(config, "plugins");
  const names = [
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "cri",
  ];
  return names
    .map((name) => own(own(plugins, name), "cni"))
    .find((table) => table !== undefined);
}

function settingsOf(
  runtime: Runtime,
  file: string,
  table: unknown,
): RuntimeSettings[] {
  if (table === undefined) return [];
  const texts = (...keys: string[]) =>
    keys
      .flatMap((key) => [own(table, key)].flat())
      .filter((value) => typeof value === "string")
      .filter((value) => value !== "");
  const directories = (...keys: string[]) =>
    texts(...keys).map((path) => path.replace(/(?<=.)\/+$/, ""));
  const binDirs = directories("bin_dirs", "bin_dir", "plugin_dirs");
  const count = own(table, "max_conf_num");
  return [
    omitUndefined<RuntimeSettings>({
      runtime,
      file,
      binDirs: binDirs.length > 0 ? binDirs : undefined,
      confDir: directories("conf_dir", "network_dir")[0],
      maxConfNum: typeof count === "number" ? count : undefined,
      defaultNetwork: texts("cni_default_network")[0],
    }),
  ];
}

function crioDropIns(host: Host): string[] {
  return namesIn(host.path(crioDirectory))
    .filter((file) => !file.startsWith("."))
    .toSorted()
    .map((file) => `${crioDirectory}/${file}`);
}

function parsed(host: Host, file: string): unknown {
  return attempt(() => Bun.TOML.parse(readTextIfAny(host.path(file)) ?? ""));
}
