/**
 * CNI settings in the files of containerd and CRI-O. Only explicit ones: the
 * defaults are /opt/cni/bin and /etc/cni/net.d too.
 */
import { readdirSync } from "node:fs";
import { own } from "../../cni/json.ts";
import type { Host } from "../host.ts";
import { textOf } from "../put.ts";
import {
  type RuntimeProcess,
  optionOf,
  runtimeProcesses,
} from "../runtime-process.ts";
import type { Runtime } from "../runtime.ts";

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
  const text = (key: string): string | undefined => {
    const value = own(table, key);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const directories = ["bin_dirs", "bin_dir", "plugin_dirs"].flatMap((key) =>
    [own(table, key)].flat(),
  );
  const count = own(table, "max_conf_num");
  return [
    {
      runtime,
      file,
      binDirs: directories
        .filter(
          (directory): directory is string => typeof directory === "string",
        )
        .filter((directory) => directory !== "")
        .map((directory) => directory.replace(/(?<=.)\/+$/, "")),
      confDir: (text("conf_dir") ?? text("network_dir"))?.replace(
        /(?<=.)\/+$/,
        "",
      ),
      maxConfNum: typeof count === "number" ? count : undefined,
      defaultNetwork: text("cni_default_network"),
    },
  ];
}

function crioDropIns(host: Host): string[] {
  try {
    return readdirSync(host.path(crioDirectory))
      .filter((file) => !file.startsWith("."))
      .toSorted()
      .map((file) => `${crioDirectory}/${file}`);
  } catch {
    return [];
  }
}

function parsed(host: Host, file: string): unknown {
  try {
    return Bun.TOML.parse(textOf(host.path(file)) ?? "");
  } catch {
    return undefined;
  }
}
