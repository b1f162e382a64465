/**
 * What the configuration files of containerd and CRI-O say about CNI. Only what
 * they say: a runtime's own defaults are /opt/cni/bin and /etc/cni/net.d too.
 */
import { readdirSync } from "node:fs";
import { own } from "../../cni/json.ts";
import type { Host } from "../host.ts";
import { textOf } from "../put.ts";
import type { Runtime } from "../runtime.ts";

export interface RuntimeSettings {
  runtime: Runtime;
  file: string;
  /** Empty: not said. */
  binDirs: string[];
  confDir: string | undefined;
  /** containerd: how many files of the folder are networks of every pod. */
  maxConfNum: number | undefined;
  /** CRI-O: the name of the network to use, whatever the order of the files. */
  defaultNetwork: string | undefined;
}

const containerdFiles = [
  "/etc/containerd/config.toml",
  "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
  "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
  "/etc/k0s/containerd.toml",
];

const crioFile = "/etc/crio/crio.conf";
const crioFolder = "/etc/crio/crio.conf.d";

/** One for each file that says something about CNI; what is no TOML says nothing. */
export function runtimeSettings(host: Host): RuntimeSettings[] {
  const containerd = containerdFiles.flatMap((file) =>
    settingsOf("containerd", file, containerdTable(parsed(host, file))),
  );
  const crio = [crioFile, ...crioDropIns(host)].flatMap((file) =>
    settingsOf("crio", file, own(own(parsed(host, file), "crio"), "network")),
  );
  return [...containerd, ...crio];
}

/** By its place in versions 1 and 2, and in version 3 of the file. */
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
  const folders = ["bin_dirs", "bin_dir", "plugin_dirs"].flatMap((key) =>
    [own(table, key)].flat(),
  );
  const count = own(table, "max_conf_num");
  return [
    {
      runtime,
      file,
      binDirs: folders
        .filter((folder): folder is string => typeof folder === "string")
        .filter((folder) => folder !== "")
        .map((folder) => folder.replace(/(?<=.)\/+$/, "")),
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
    return readdirSync(host.path(crioFolder))
      .filter((file) => !file.startsWith("."))
      .toSorted()
      .map((file) => `${crioFolder}/${file}`);
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
