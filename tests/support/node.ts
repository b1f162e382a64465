/**
 * A Kubernetes node for tests: the directories that genie reads and writes, a
 * network namespace in which the plugins work instead of the machine's, pods,
 * and the calls that a container runtime makes for them. `await using` leaves
 * nothing of it.
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { genieBinary } from "./build.ts";
import { Netns } from "./netns.ts";
import {
  type Answer,
  type Output,
  type PluginCall,
  callPlugin,
} from "./runtime.ts";

export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS";

/** A pod's sandbox, as a runtime knows it. */
export interface Pod {
  containerId: string;
  netns: Netns;
  namespace: string;
  name: string;
  uid: string;
}

export interface CallOptions {
  /** The annotations that the runtime passes; absent: it passes none. */
  annotations?: Record<string, string> | null | undefined;
  /** More of `runtimeConfig`. */
  runtimeConfig?: Record<string, unknown>;
  /** Replaces keys of the node's configuration of genie; undefined removes. */
  config?: Record<string, unknown>;
  /** Replaces variables. */
  env?: Record<string, string>;
}

/** Everything that an attachment can leave behind. */
export interface Remains {
  records: string[];
  /** Attachments that could not be deleted. */
  abandoned: string[];
  locks: string[];
  /** Reserved by host-local. */
  addresses: string[];
  /** In the namespaces of the pods that still have one, with their pod's name. */
  interfaces: string[];
}

export const nothing: Remains = {
  records: [],
  abandoned: [],
  locks: [],
  addresses: [],
  interfaces: [],
};

/** The configuration of a GC to which no attachment is valid. */
export const gcOfNone = {
  cniVersion: "1.1.0",
  "cni.dev/valid-attachments": [],
};

export const annotationsKey = "io.kubernetes.cri.pod-annotations";

/** Where Debian has the reference plugins; CNI_PLUGINS for another place. */
const pluginDirectory = process.env["CNI_PLUGINS"] ?? "/usr/lib/cni";

export class Node implements AsyncDisposable {
  readonly directory: string;
  /** The namespace of bridges, host ends and firewall rules. */
  readonly netns: Netns;
  readonly confDir: string;
  readonly binDir: string;
  readonly dataDir: string;
  /** The cache of the runtime's `libcni`. */
  readonly cacheDir: string;
  readonly logFile: string;
  /** CNI_PATH of the calls. */
  readonly path: string[];
  readonly #pods: Pod[] = [];

  protected constructor(netns: Netns) {
    this.netns = netns;
    this.directory = mkdtempSync(join(tmpdir(), "genie-node-"));
    this.confDir = join(this.directory, "net.d");
    this.binDir = join(this.directory, "bin");
    this.dataDir = join(this.directory, "data");
    this.cacheDir = join(this.directory, "results");
    this.logFile = join(this.directory, "genie.log");
    this.path = [this.binDir];
    mkdirSync(this.confDir);
    mkdirSync(this.binDir);
    for (const type of readdirSync(pluginDirectory))
      this.#installReference(type);
  }

  static async start(): Promise<Node> {
    return new Node(await Netns.create());
  }

  /** Writes a network into `confDir`; the path. */
  network(file: string, config: unknown): string {
    const path = join(this.confDir, file);
    writeFileSync(
      path,
      typeof config === "string" ? config : JSON.stringify(config),
    );
    return path;
  }

  /** Writes an executable into `binDir`, under the type's name; the path. */
  plugin(type: string, text: string, mode = 0o755): string {
    const path = join(this.binDir, type);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  /** `ipam` of a network: host-local, which keeps its addresses in our directory. */
  ipam(subnet: string, extra: object = {}): object {
    return {
      type: "host-local",
      dataDir: join(this.directory, "ipam"),
      ranges: [[{ subnet }]],
      ...extra,
    };
  }

  /** A new sandbox with a namespace of its own. */
  async pod(name = "web"): Promise<Pod> {
    const pod = {
      containerId: new Bun.CryptoHasher("sha256")
        .update(crypto.randomUUID())
        .digest("hex"),
      netns: await Netns.create(),
      namespace: "shop",
      name,
      uid: crypto.randomUUID(),
    };
    this.#pods.push(pod);
    return pod;
  }

  /** A new pod, attached. */
  async attach(options?: CallOptions): Promise<Pod> {
    const pod = await this.pod();
    await this.succeed("ADD", pod, options);
    return pod;
  }

  /** The configuration of genie. */
  config(overrides: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      cniVersion: "1.0.0",
      name: "genie-net",
      type: "genie",
      capabilities: { [annotationsKey]: true, portMappings: true },
      confDir: this.confDir,
      dataDir: this.dataDir,
      runtimeCacheDir: this.cacheDir,
      logFile: this.logFile,
      log_level: "debug",
      ...overrides,
    };
  }

  /**
   * What the runtime's libcni keeps of a successful ADD (cni-runtime.md §2.4), with
   * keys replaced; undefined removes. The path.
   */
  cache(
    { containerId, netns }: Pod,
    config: unknown,
    more: Record<string, unknown> = {},
    network = "old-net",
  ): string {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    const entry = {
      kind: "cniCacheV1",
      containerId,
      config: Buffer.from(text).toString("base64"),
      ifName: "eth0",
      networkName: network,
      netns: netns.path,
      cniArgs: [
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAME", "web"],
      ],
      ...more,
    };
    return this.cacheText(
      `${network}-${containerId}-eth0`,
      JSON.stringify(entry),
    );
  }

  /** Any file of the cache; the path. */
  cacheText(name: string, text: string): string {
    mkdirSync(this.cacheDir, { recursive: true, mode: 0o700 });
    const path = join(this.cacheDir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** The call as containerd makes it; for GC and STATUS the pod says nothing. */
  request(
    command: Command,
    pod: Pod | undefined,
    options: CallOptions = {},
  ): PluginCall {
    const { annotations, runtimeConfig = {}, config, env } = options;
    const args = {
      ...runtimeConfig,
      ...(annotations !== undefined && { [annotationsKey]: annotations }),
    };
    return {
      binary: genieBinary(),
      env: {
        CNI_COMMAND: command,
        CNI_PATH: this.path.join(":"),
        ...(pod && podVariables(pod)),
        ...env,
      },
      config: this.config({
        ...(Object.keys(args).length > 0 && { runtimeConfig: args }),
        ...config,
      }),
    };
  }

  call(
    command: Command,
    pod: Pod | undefined,
    options?: CallOptions,
  ): Promise<Answer> {
    return callPlugin(this.request(command, pod, options));
  }

  /** A call that must succeed. Throws Error with its output. */
  async succeed(
    command: Command,
    pod: Pod | undefined,
    options?: CallOptions,
  ): Promise<unknown> {
    const { exitCode, stdout, stderr, json } = await this.call(
      command,
      pod,
      options,
    );
    if (exitCode === 0) return json;
    throw new Error(`${command}: exit code ${exitCode}: ${stdout}${stderr}`);
  }

  /** A call that must fail. Throws Error with its output. */
  async fail(
    command: Command,
    pod: Pod | undefined,
    options?: CallOptions,
  ): Promise<Failure> {
    const { exitCode, stdout, stderr, json } = await this.call(
      command,
      pod,
      options,
    );
    if (exitCode !== 1)
      throw new Error(`${command}: exit code ${exitCode}: ${stdout}${stderr}`);
    return json as Failure;
  }

  /** Runs a command of genie with the directories of this node. */
  command(name: string, ...words: string[]): Output {
    return this.commandBy([], name, ...words);
  }

  /** The same, executed by another program. */
  commandBy(by: readonly string[], name: string, ...words: string[]): Output {
    const { exitCode, stdout, stderr } = Bun.spawnSync({
      cmd: [...by, genieBinary(), name, ...directoryOptions(this), ...words],
      env: { PATH: process.env["PATH"] ?? "" },
      cwd: "/",
    });
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  /** The content of the only record of a pod. */
  record(pod: Pod, ifname = "eth0"): Record<string, unknown> {
    return JSON.parse(
      readFileSync(this.recordPath(pod, ifname), "utf8"),
    ) as Record<string, unknown>;
  }

  recordPath(pod: Pod, ifname = "eth0"): string {
    return join(
      this.dataDir,
      "attachments",
      `${pod.containerId}:${ifname}.json`,
    );
  }

  /** The file of results beside a record. */
  resultPath(pod: Pod): string {
    return this.recordPath(pod).replace(/json$/, "result.json");
  }

  /** The content of that file. */
  results(pod: Pod): {
    results: { ifname: string; result?: object }[];
    status?: { annotations: Record<string, string> };
  } {
    return JSON.parse(readFileSync(this.resultPath(pod), "utf8")) as ReturnType<
      Node["results"]
    >;
  }

  /** Replaces keys of a pod's record. */
  changeRecord(pod: Pod, changes: Record<string, unknown>): void {
    const record = { ...this.record(pod), ...changes };
    writeFileSync(this.recordPath(pod), JSON.stringify(record));
  }

  /** Makes the records older, by default as GC deletes them: none in its first minute. */
  attachedEarlier(pods: readonly Pod[], ms = 61_000): void {
    for (const pod of pods) {
      const uptimeMs = Number(this.record(pod)["uptimeMs"]) - ms;
      this.changeRecord(pod, { uptimeMs });
    }
  }

  log(): string {
    return Bun.file(this.logFile).size > 0
      ? readFileSync(this.logFile, "utf8")
      : "";
  }

  async remains(): Promise<Remains> {
    const interfaces: string[] = [];
    for (const { name, netns } of this.#pods) {
      if (!netns.exists()) continue;
      for (const link of await netns.links())
        interfaces.push(`${name}:${link.name}`);
    }
    return {
      records: entries(join(this.dataDir, "attachments")),
      abandoned: entries(join(this.dataDir, "abandoned")),
      locks: entries(join(this.dataDir, "locks")),
      addresses: this.addresses(),
      interfaces,
    };
  }

  /** The addresses that host-local has reserved in all networks. */
  addresses(): string[] {
    const directory = join(this.directory, "ipam");
    return entries(directory)
      .flatMap((network) => entries(join(directory, network)))
      .filter((file) => /^[0-9a-f:.]+$/.test(file))
      .toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { netns } of this.#pods) await netns.remove();
    await this.netns.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Runs in the node's namespace; genie itself stays in that of the API server. */
  #installReference(type: string): void {
    this.plugin(
      type,
      `#!/bin/sh\nexec nsenter --net=${this.netns.path} ${join(pluginDirectory, type)}\n`,
    );
  }
}

/** CNI spec 1.1.0 §"Error". */
export interface Failure {
  cniVersion: string;
  code: number;
  msg: string;
  details?: string;
}

function podVariables({
  containerId,
  netns,
  namespace,
  name,
  uid,
}: Pod): Record<string, string> {
  const args = {
    K8S_POD_NAMESPACE: namespace,
    K8S_POD_INFRA_CONTAINER_ID: containerId,
    IgnoreUnknown: "1",
    K8S_POD_NAME: name,
    K8S_POD_UID: uid,
  };
  return {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns.path,
    CNI_IFNAME: "eth0",
    CNI_ARGS: Object.entries(args)
      .map(([key, value]) => `${key}=${value}`)
      .join(";"),
  };
}

/** The options of every command of genie for the directories of a node. */
export function directoryOptions({
  confDir,
  binDir,
  dataDir,
}: Pick<Node, "confDir" | "binDir" | "dataDir">): string[] {
  return [
    `--conf-dir=${confDir}`,
    `--bin-dir=${binDir}`,
    `--data-dir=${dataDir}`,
  ];
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch {
    return [];
  }
}
