/**
 * What the tests of this room share: a node's directories, a terminal that keeps what
 * is written to it, records.
 */
import { mock } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runCommand } from "../../lib/cli/main.ts";
import type { Terminal } from "../../lib/cli/command/terminal.ts";
import { Host } from "../../lib/cli/node/host.ts";
import * as settings from "../../lib/cli/node/runtime-settings.ts";
import type { Result } from "../../lib/cni/result.ts";
import { RecordDirectory } from "../../lib/state/record-directory.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { directoryOptions } from "../support/node.ts";
import { attachmentOf, recordOf, resultsOf } from "../support/records.ts";

/** The configuration of a runtime that this machine has is none of a node in a directory. */
const { runtimeSettings } = settings;
await mock.module("../../lib/cli/node/runtime-settings.ts", () => ({
  ...settings,
  runtimeSettings: (host: Host) =>
    runtimeSettings(host).filter(
      ({ file }) => !host.isOwnRoot || file.startsWith(tmpdir()),
    ),
}));

/** The output of a command and its exit code. */
export interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Types the words at a terminal that nobody looks at. */
export async function type(
  words: readonly string[],
  overrides: Partial<Terminal> = {},
): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  const exitCode = await runCommand(words, {
    version: "1.2.3",
    env: { PATH: process.env["PATH"] },
    colour: false,
    stdout: async (text) => {
      stdout += text;
      await Promise.resolve();
    },
    stderr: (text) => {
      stderr += text;
    },
    ...overrides,
  });
  return { exitCode, stdout, stderr };
}

/** A plugin that speaks these versions; nothing else is asked of it here. */
export const pluginScript = (...supportedVersions: string[]): string =>
  `#!/bin/sh\ncat >/dev/null\nprintf '%s' '${JSON.stringify({ cniVersion: "1.0.0", supportedVersions })}'\n`;

export const speaksAll = pluginScript("0.3.1", "0.4.0", "1.0.0", "1.1.0");

export const bridgeList = {
  cniVersion: "1.0.0",
  name: "canal-net",
  plugins: [
    { type: "bridge", ipam: { type: "host-local", subnet: "10.1.0.0/16" } },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};

export const ptpConf = { cniVersion: "0.4.0", name: "weave-net", type: "ptp" };

/** A node in a temporary directory. `using` leaves nothing of it. */
export class NodeDirectory implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "genie-commands-"));
  readonly confDir = join(this.root, "etc/cni/net.d");
  readonly binDir = join(this.root, "opt/cni/bin");
  readonly dataDir = join(this.root, "var/lib/genie");
  readonly host = new Host();
  /** The executable that `install` copies. */
  readonly self: string;

  constructor() {
    mkdirSync(this.confDir, { recursive: true });
    mkdirSync(this.binDir, { recursive: true });
    this.self = this.write("genie-1.2.3", speaksAll, 0o755);
    for (const plugin of ["bridge", "portmap", "host-local", "ptp"])
      this.plugin(plugin);
    this.network("10-canal.conflist", bridgeList);
    this.network("20-weave.conf", ptpConf);
  }

  /** With genie, by `install` with these options. */
  static async installed(...words: string[]): Promise<NodeDirectory> {
    const node = new NodeDirectory();
    const { exitCode, stderr } = await node.type("install", words);
    if (exitCode !== 0) throw new Error(stderr);
    return node;
  }

  /** Writes a file below the root; its path. */
  write(path: string, content: string, mode = 0o644): string {
    const place = join(this.root, path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content, { mode });
    return place;
  }

  network(file: string, content: unknown): string {
    const text =
      typeof content === "string" ? content : JSON.stringify(content);
    return this.write(join("etc/cni/net.d", file), text);
  }

  plugin(name: string, script = speaksAll, mode = 0o755): string {
    return this.write(join("opt/cni/bin", name), script, mode);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  mode(path: string): number {
    return statSync(join(this.root, path)).mode & 0o777;
  }

  /** Every file below a directory with its inode: what was written anew shows. */
  inodes(directory = "."): Record<string, bigint> {
    const place = join(this.root, directory);
    return Object.fromEntries(
      readdirSync(place, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => [
          path.slice(place.length),
          statSync(path, { bigint: true }).ino,
        ]),
    );
  }

  /** The options that say where the node is. */
  get directories(): string[] {
    return directoryOptions(this);
  }

  /** The same below its root, as in a container that has mounted it. */
  get below(): string[] {
    return [
      `--root=${this.root}`,
      "--conf-dir=/etc/cni/net.d",
      "--bin-dir=/opt/cni/bin",
      "--data-dir=/var/lib/genie",
    ];
  }

  type(
    command: string,
    words: readonly string[] = [],
    overrides: Partial<Terminal> = {},
  ): Promise<Ended> {
    return type([command, ...this.directories, ...words], {
      self: this.self,
      ...overrides,
    });
  }

  /** The configuration that `install` wrote. */
  get config(): Record<string, unknown> {
    return JSON.parse(
      readFileSync(join(this.confDir, "00-genie.conflist"), "utf8"),
    ) as Record<string, unknown>;
  }

  /** Adds keys to our own plugin object. */
  configure(keys: object): void {
    const [genie, ...others] = this.config["plugins"] as object[];
    this.network("00-genie.conflist", {
      ...this.config,
      plugins: [{ ...genie, ...keys }, ...others],
    });
  }

  /** Writes a record, and its results where they are given. */
  record(
    overrides: Partial<AttachmentRecord> = {},
    results?: readonly Result[],
  ): AttachmentRecord {
    const records = new RecordDirectory(this.dataDir);
    const written = { ...record(), ...overrides };
    records.write(written).close();
    if (results) records.writeResults(written, resultsOf(written, results));
    return written;
  }

  /** Writes what could not be deleted of a container. */
  abandoned(overrides: Partial<AttachmentRecord> = {}): AttachmentRecord {
    const written = {
      ...record(),
      ...overrides,
      abandoned: {
        time: "2026-01-01T00:00:00.000Z",
        errors: [{ ifname: "eth0", network: "canal-net", error: "no" }],
      },
    };
    new RecordDirectory(this.dataDir, "abandoned").write(written).close();
    return written;
  }

  async records(): Promise<string[]> {
    return (await Array.fromAsync(new RecordDirectory(this.dataDir).all()))
      .flatMap((entry) => entry.record?.containerId ?? [])
      .toSorted();
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A namespace that is there as long as we are. */
export const liveNetns = "/proc/self/ns/net";

/** The record of a pod on the default network alone. */
export function record(): AttachmentRecord {
  return recordOf("c1", {
    netns: liveNetns,
    network: "canal-net",
    pod: { namespace: "shop", name: "web", uid: "uid-1" },
    uptimeMs: 1000,
    attachments: [attachmentOf("canal-net", "eth0")],
  });
}
