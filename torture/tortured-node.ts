/**
 * The tortured node: directories, networks, plugins, an API server, the disk. It
 * mounts and makes interfaces freely, so it needs namespaces of its own (see
 * `isolation`).
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type ApiServer, startApiServer } from "../tests/support/api-server.ts";
import { stdoutOf } from "../tests/support/runtime.ts";
import type { DiskFault } from "./faults.ts";
import { Plugins } from "./plugins.ts";
import type { Report } from "./report.ts";
import { auxiliaryType } from "./schedule.ts";

export const annotationsKey = "io.kubernetes.cri.pod-annotations";

/** In the API. */
export const nodeName = "node1";

/** The names of the node's two lists of genie. */
const ownNetwork = "torture-net";
export const otherNetwork = "other-net";

/** A directory below that of the networks. */
export const auxiliaryChain = "vendor";

/** Nothing of these may ever be printed or logged. */
const secrets = {
  token: "TORTURE-SECRET-token-of-the-api-server",
  wrongToken: "TORTURE-SECRET-token-that-nobody-knows",
  unknownKey: "TORTURE-SECRET-of-an-unknown-key",
};
export const secretPrefix = "TORTURE-SECRET";

export class TorturedNode implements AsyncDisposable {
  readonly report: Report;
  readonly plugins: Plugins;
  readonly api: ApiServer;
  readonly dataDir: string;
  readonly confDir: string;
  /** The runtime's own: libcni's cache. */
  readonly cacheDir: string;
  /** A directory without any configuration: all files were removed. */
  readonly emptyDir: string;
  readonly logFile: string;
  readonly agentLog: string;
  /** In this round. */
  diskFailed = false;
  readonly #directory: string;
  /**
   * `dataDir` once more, read-only, to be put over it: it cannot be made read-only
   * itself while somebody has a lock open there.
   */
  readonly #readOnly: string;
  readonly #kubeconfigs: Record<"right" | "wrong" | "down", string>;

  private constructor(directory: string, api: ApiServer, report: Report) {
    this.report = report;
    this.#directory = directory;
    this.api = api;
    this.plugins = new Plugins(directory);
    this.dataDir = join(directory, "data");
    this.confDir = join(directory, "net.d");
    this.cacheDir = join(directory, "results");
    this.emptyDir = join(directory, "empty");
    this.logFile = join(directory, "genie.log");
    this.agentLog = join(directory, "agent.log");
    this.#readOnly = join(directory, "data-read-only");
    for (const path of [
      this.dataDir,
      this.#readOnly,
      this.confDir,
      this.cacheDir,
      this.emptyDir,
    ])
      mkdirSync(path);
    this.#kubeconfigs = {
      right: api.kubeconfig(),
      wrong: api.kubeconfig({ user: { token: secrets.wrongToken } }),
      // No process listens on port 1 of this namespace.
      down: api.kubeconfig({ cluster: { server: "https://127.0.0.1:1" } }),
    };
  }

  /** `directory` must be empty and on a file system of its own. */
  static async start(directory: string, report: Report): Promise<TorturedNode> {
    const api = await startApiServer({ tokens: { [secrets.token]: "genie" } });
    const node = new TorturedNode(directory, api, report);
    for (const command of [
      `mount -t tmpfs -o size=512k,nr_inodes=1000,mode=0700 tmpfs ${node.dataDir}`,
      `mount --bind ${node.dataDir} ${node.#readOnly}`,
      `mount -o remount,bind,ro ${node.#readOnly}`,
      "ip link add trunk0 type veth peer name trunk1",
      "ip link set trunk0 up",
      "ip link set trunk1 up",
    ])
      await stdoutOf(command.split(" "));
    node.#writeNetworks();
    return node;
  }

  /** Our configuration as the runtime passes it. */
  config(overrides: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      cniVersion: "1.1.0",
      name: ownNetwork,
      type: "genie",
      capabilities: { [annotationsKey]: true },
      kubernetes: { kubeconfig: this.kubeconfig("right") },
      confDir: this.confDir,
      dataDir: this.dataDir,
      multusDir: "",
      runtimeCacheDir: this.cacheDir,
      deleteGiveUp: 1,
      logFile: this.logFile,
      log_level: "debug",
      delegateTimeout: 1.5,
      apiTimeout: 1,
      unknownSecret: secrets.unknownKey,
      ...overrides,
    };
  }

  kubeconfig(which: "right" | "wrong" | "down"): string {
    return this.#kubeconfigs[which];
  }

  /** Host-local's reservations: `<container ID> <interface>`, by file. */
  addresses(): { file: string; owner: string }[] {
    const directory = join(this.#directory, "ipam");
    return entries(directory).flatMap((network) =>
      entries(join(directory, network))
        .filter((file) => /^[0-9a-f:.]+$/.test(file))
        .map((file) => ({
          file: `${network}/${file}`,
          owner: readOrEmpty(join(directory, network, file))
            .split(/\s+/)
            .join(" ")
            .trim(),
        })),
    );
  }

  records(): string[] {
    return entries(join(this.dataDir, "attachments"));
  }

  abandoned(): string[] {
    return entries(join(this.dataDir, "abandoned"));
  }

  locks(): string[] {
    return entries(join(this.dataDir, "locks"));
  }

  recordPath(containerId: string, part: "json" | "result.json"): string {
    return join(this.dataDir, "attachments", `${containerId}:eth0.${part}`);
  }

  /** A log of its own, for a call that is not to log anything. */
  silentLog(containerId: string): string {
    return join(this.#directory, `silent-${containerId}.log`);
  }

  /** Makes the record older: GC deletes no record in its first minute. */
  age(containerId: string): void {
    this.editRecord(containerId, "json", (text) =>
      JSON.stringify({ ...(JSON.parse(text) as object), uptimeMs: 1 }),
    );
  }

  /** Replaced whole: a disk that is full must not make another fault of it. Whether there was one. */
  editRecord(
    containerId: string,
    part: "json" | "result.json",
    change: (text: string) => string,
  ): boolean {
    const path = this.recordPath(containerId, part);
    const temporary = join(this.dataDir, `edited-${containerId}`);
    try {
      writeFileSync(temporary, change(readFileSync(path, "utf8")));
      renameSync(temporary, path);
      return true;
    } catch {
      removeIfPossible(temporary);
      return false;
    }
  }

  log(): string {
    return readOrEmpty(this.logFile);
  }

  /** The last lines of the agent about a pod. */
  agentLines(pod: string): string {
    return readOrEmpty(this.agentLog)
      .split("\n")
      .filter((line) => line.includes(`"shop/${pod}"`))
      .slice(-6)
      .join(" ");
  }

  /** The disk fails until the promise of the returned function resolves. */
  async breakDisk(fault: DiskFault): Promise<() => Promise<void>> {
    this.diskFailed = true;
    if (fault === "disk full") {
      const ballast = join(this.dataDir, "ballast");
      fill(ballast);
      return async () => rmSync(ballast, { force: true });
    }
    if (fault === "disk without a free inode") {
      const names = join(this.dataDir, "names");
      fillNames(names);
      return async () => rmSync(names, { recursive: true, force: true });
    }
    await stdoutOf(["mount", "--bind", this.#readOnly, this.dataDir]);
    return async () => void (await stdoutOf(["umount", "-l", this.dataDir]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
  }

  #writeNetworks(): void {
    const ipam = (subnet: string) => ({
      type: "host-local",
      dataDir: join(this.#directory, "ipam"),
      ranges: [[{ subnet }]],
      // Each of them: a pod in several networks has rules, which must go as well.
      routes: [{ dst: "0.0.0.0/0" }],
    });
    const bridge = (name: string, subnet: string) => ({
      type: "bridge",
      bridge: name,
      isGateway: true,
      ipam: ipam(subnet),
    });
    // Two genie lists: a record's network name tells GC which of them owns it.
    const own = { ...this.config(), confDir: undefined, dataDir: undefined };
    const list = (name: string) => ({
      cniVersion: "1.1.0",
      name,
      plugins: [{ ...own, cniVersion: undefined, name: undefined }],
    });
    const files = {
      "00-genie.conflist": list(ownNetwork),
      "90-other.conflist": list(otherNetwork),
      "10-canal.conflist": {
        cniVersion: "1.0.0",
        name: "canal-net",
        plugins: [bridge("br0", "10.66.0.0/20")],
      },
      "20-weave.conf": {
        cniVersion: "0.4.0",
        name: "weave-net",
        type: "ptp",
        ipam: ipam("10.67.0.0/20"),
      },
      "30-trunk.conf": {
        cniVersion: "0.3.1",
        name: "trunk-net",
        type: "macvlan",
        master: "trunk0",
        ipam: ipam("10.68.0.0/20"),
      },
      "40-ledger.conf": {
        cniVersion: "1.1.0",
        name: "ledger-net",
        type: "ledger",
      },
      [`${auxiliaryChain}/10-auxiliary.conf`]: {
        cniVersion: "1.1.0",
        name: "auxiliary-net",
        type: auxiliaryType,
      },
    };
    mkdirSync(join(this.confDir, auxiliaryChain));
    for (const [file, config] of Object.entries(files))
      writeFileSync(join(this.confDir, file), JSON.stringify(config));
    const side = { cniVersion: "1.0.0", ...bridge("br1", "10.69.0.0/20") };
    this.api.definitions.put({
      metadata: { name: "side", namespace: "shop" },
      spec: { config: JSON.stringify(side) },
    });
    const trunk = {
      cniVersion: "1.0.0",
      type: "macvlan",
      master: "trunk0",
      ipam: ipam("10.70.0.0/20"),
    };
    this.api.definitions.put({
      metadata: { name: "trunk", namespace: "shop" },
      spec: { config: JSON.stringify(trunk) },
    });
  }
}

/** Everything that the file system has. */
function fill(path: string): void {
  for (let size = 1 << 20; size >= 512; size /= 2) {
    try {
      for (;;) writeFileSync(path, new Uint8Array(size), { flag: "a" });
    } catch {
      // ENOSPC: try a smaller piece.
    }
  }
}

/** Makes files until the disk has no inode left. */
function fillNames(directory: string): void {
  mkdirSync(directory);
  try {
    for (let i = 0; ; i++) writeFileSync(join(directory, `${i}`), "");
  } catch {
    // ENOSPC
  }
}

function removeIfPossible(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The disk has become read-only in between; it is no file of genie's.
  }
}

export function entries(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch {
    return [];
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
