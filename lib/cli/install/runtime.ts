/**
 * The container runtimes of a node: the installed ones by their files, the running
 * ones from /proc (programs of PATH and files in /etc may belong to another runtime),
 * and the CNI settings in their files. Only explicit settings: the defaults are
 * /opt/cni/bin and /etc/cni/net.d too.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Host } from "../node/host.ts";
import { type Directories, defaultDirectories } from "../node/directories.ts";
import { own } from "../../cni/json.ts";
import { namesIn, textOf } from "../node/replace-file.ts";

const runtimes = ["containerd", "crio"] as const;

export type Runtime = (typeof runtimes)[number];

const traces: Readonly<Record<Runtime, readonly string[]>> = {
  containerd: [
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
  ],
  crio: [
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d",
  ],
};

/** The installed runtimes, in this order. */
export function runtimesOf(host: Host): Runtime[] {
  return runtimes.filter((runtime) =>
    traces[runtime].some((path) => existsSync(host.path(path))),
  );
}

/** A setting of the node that stops genie, and what to do. */
export interface Problem {
  found: string;
  advice: string;
}

export interface RuntimeProcess {
  runtime: Runtime;
  pid: number;
  /** Its executable, even if the file was replaced. */
  program: string;
  argv: readonly string[];
}

/** Sorted by pid. `proc` is a parameter for tests. */
export function runtimeProcesses(proc = "/proc"): RuntimeProcess[] {
  return readdirSync(proc)
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .toSorted((a, b) => a - b)
    .flatMap((pid) => processOf(`${proc}/${pid}`, pid) ?? []);
}

function processOf(directory: string, pid: number): RuntimeProcess | undefined {
  try {
    // `containerd-shim` is another program.
    const name = readFileSync(`${directory}/comm`, "utf8").trim();
    const runtime = runtimes.find((one) => one === name);
    if (runtime === undefined) return undefined;
    const program = readlinkSync(`${directory}/exe`).replace(
      / \(deleted\)$/,
      "",
    );
    const argv = readFileSync(`${directory}/cmdline`, "utf8").split("\0");
    return { runtime, pid, program, argv: argv.slice(0, -1) };
  } catch {
    // It ended, or is a kernel thread.
    return undefined;
  }
}

/** The value of an option in Go's notations: `-c x`, `--config x`, `--config=x`. */
export function optionOf(
  { argv }: RuntimeProcess,
  option: RegExp,
): string | undefined {
  for (const [i, word] of argv.entries()) {
    const [name = "", ...value] = word.split("=");
    if (!option.test(name)) continue;
    return value.length > 0 ? value.join("=") : argv[i + 1];
  }
  return undefined;
}

/** The version of a running program, from a second execution; undefined if it prints none. */
export function versionOf({
  pid,
  argv,
}: RuntimeProcess): Promise<string | undefined> {
  // Not by its path: the file may be another version. k3s has several names.
  return printedVersion(`/proc/${pid}/exe`, argv[0]);
}

/** The first version in an output such as `containerd github.com/… v2.1.4 75cb…`. */
export async function printedVersion(
  program: string,
  argv0 = program,
): Promise<string | undefined> {
  try {
    const child = Bun.spawn([program, "--version"], {
      argv0,
      stdin: "ignore",
      stderr: "ignore",
      timeout: 5000,
      killSignal: "SIGKILL",
    });
    return /\d+\.\d+\.\d+/.exec(await child.stdout.text())?.[0];
  } catch {
    return undefined;
  }
}

export interface RuntimeSettings {
  runtime: Runtime;
  file: string;
  /** Empty: not set. */
  binDirs: string[];
  confDir: string | undefined;
  /** containerd: the number of files that are networks of every pod. */
  maxConfNum: number | undefined;
  /** CRI-O: the name of the network, regardless of the order of files. */
  defaultNetwork: string | undefined;
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

/** One entry for each file with a CNI setting; invalid TOML has none. */
export function runtimeSettings(host: Host): RuntimeSettings[] {
  const running = host.isOurs ? runtimeProcesses() : [];
  const containerd = filesOf(running, host).flatMap((file) =>
    settingsOf("containerd", file, containerdTable(parsed(host, file))),
  );
  const crio = [crioFile, ...crioDropIns(host)].flatMap((file) =>
    settingsOf("crio", file, own(own(parsed(host, file), "crio"), "network")),
  );
  return [...containerd, ...crio];
}

/** The runtime does not find genie's executable. */
export function binDirProblem(
  { file, binDirs }: RuntimeSettings,
  { binDir }: Directories,
  host: Host,
): Problem | undefined {
  if (binDirs.length === 0) return undefined;
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
  host: Host,
): Problem | undefined {
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

/** Its position in versions 1 and 2, and in version 3 of the file. */
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
  const count = own(table, "max_conf_num");
  return [
    {
      runtime,
      file,
      binDirs: directories("bin_dirs", "bin_dir", "plugin_dirs"),
      confDir: directories("conf_dir", "network_dir")[0],
      maxConfNum: typeof count === "number" ? count : undefined,
      defaultNetwork: texts("cni_default_network")[0],
    },
  ];
}

function crioDropIns(host: Host): string[] {
  return namesIn(host.path(crioDirectory))
    .filter((file) => !file.startsWith("."))
    .toSorted()
    .map((file) => `${crioDirectory}/${file}`);
}

function parsed(host: Host, file: string): unknown {
  try {
    return Bun.TOML.parse(textOf(host.path(file)) ?? "");
  } catch {
    return undefined;
  }
}
