/**
 * containerd, with a configuration for machines that lack privileges a node has:
 * no raised OOM score (CAP_SYS_RESOURCE), no AppArmor.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Daemon } from "./daemon.ts";
import { type Image, pause, writeImage } from "./image.ts";
import { type Parts, newerContainerd } from "./parts.ts";
import { type Place, daemonName, firstNode } from "./place.ts";
import { run } from "../../scripts/run.ts";

export const socket = "/run/containerd/containerd.sock";

/** The trace context that it gives to each CNI plugin: its own environment. */
export const trace = {
  id: "4bf92f3577b34da6a3ce929d0e0e4736",
  env: {
    TRACEPARENT: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    TRACESTATE: "cluster=test",
  },
} as const;

export interface Containerd {
  daemon: Daemon;
  load(image: Image): Promise<void>;
  /** An archive that is there already, as `kind load image-archive` imports it. */
  importArchive(tar: string): Promise<void>;
  ctr(...args: string[]): Promise<string>;
}

/** Debian's, or the newer one that is built from its module. */
export type Edition = "debian" | "newer";

const executables: Readonly<Record<Edition, string>> = {
  debian: "containerd",
  newer: newerContainerd,
};

/** Not started yet. One edition goes on with what the other left. */
export function containerd(
  parts: Parts,
  directory: string,
  edition: Edition = "debian",
  place: Place = firstNode(directory),
): Containerd {
  const executable = parts(executables[edition]);
  const file = "/etc/containerd/config.toml";
  mkdirSync(dirname(place.root + file), { recursive: true });
  writeFileSync(place.root + file, configuration(parts));
  const client = [parts("ctr"), "--address", socket, "--namespace", "k8s.io"];
  const ctr = (...args: string[]) => run(place.command([...client, ...args]));
  return {
    ctr,
    daemon: new Daemon(directory, {
      name: daemonName(place, `containerd-${edition}`),
      cmd: place.command([executable, "--config", file]),
      env: {
        // The shim of the same edition.
        PATH: `${dirname(executable)}:${process.env["PATH"] ?? ""}`,
        ...trace.env,
      },
      ready: async () =>
        existsSync(place.root + socket) && (await ctr("version")) !== "",
      seconds: 30,
    }),
    async load(image) {
      const tar = await writeImage(image, join(directory, "images"));
      await ctr("images", "import", tar);
    },
    async importArchive(tar) {
      await ctr(
        ..."images import --all-platforms --digests".split(" "),
        "--snapshotter=overlayfs",
        tar,
      );
    },
  };
}

function configuration(parts: Parts): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${socket}"
[debug]
  level = "debug"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pause.name}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "${parts("runc")}"
        SystemdCgroup = false
`;
}
