/**
 * The pod of a scenario or crash point: its calls, traced if requested, and its
 * leftovers.
 */
import { genieBinary } from "../tests/support/build.ts";
import { Netns } from "../tests/support/netns.ts";
import { startPlugin } from "../tests/support/runtime.ts";
import { type Networks, disagreements, editNetworks } from "./agreement.ts";
import { type Outcome, callGenie } from "./calls.ts";
import { heldBy } from "./collect.ts";
import { type TorturedNode, annotationsKey } from "./tortured-node.ts";

/** A verb of the runtime, or a command for the running pod: weave comes, or what eth1 is goes. */
export type Operation = "ADD" | "DEL" | "attach" | "detach";

export interface VictimOptions {
  /** The networks of its annotation `cni`. */
  cni?: string;
  /** More annotations. */
  annotations?: Readonly<Record<string, string>>;
  /** Keys of our configuration. */
  config?: Readonly<Record<string, unknown>>;
}

/** Milliseconds: two pauses after failures, and the time limit of a plugin. */
const soonMs = 12_000;

export class Victim implements AsyncDisposable {
  readonly containerId = crypto.randomUUID().replaceAll("-", "").repeat(2);
  readonly #netns: Netns;
  readonly #node: TorturedNode;
  readonly #options: VictimOptions;
  #networks: Networks = { definitions: [] };

  private constructor(
    netns: Netns,
    node: TorturedNode,
    options: VictimOptions,
  ) {
    this.#netns = netns;
    this.#node = node;
    this.#options = options;
  }

  static async create(
    node: TorturedNode,
    options: VictimOptions = {},
  ): Promise<Victim> {
    return new Victim(await Netns.create(), node, options);
  }

  call(verb: "ADD" | "DEL"): Promise<Outcome> {
    return callGenie(this.#node, {
      verb,
      containerId: this.containerId,
      netns: this.#netns.exists() ? this.#netns.path : "",
      args: this.#args(),
      config: this.#config(),
    });
  }

  /** Ended by SIGKILL as soon as this holds. */
  async killed(verb: "ADD" | "DEL", when: () => boolean): Promise<void> {
    const child = startPlugin({
      binary: genieBinary(),
      env: this.#env(verb),
      config: this.#config(),
    });
    const end = performance.now() + 10_000;
    while (!when() && performance.now() < end) await Bun.sleep(5);
    child.kill("SIGKILL");
    await child.exited;
  }

  /** As if its ADD were long ago. */
  age(): void {
    this.#node.age(this.containerId);
  }

  /** Under strace, which ends as genie does. */
  traced(operation: Operation, options: readonly string[]) {
    return this.run(operation, ["strace", "-qq", ...options]);
  }

  /** By another program. */
  async run(operation: Operation, by: readonly string[] = []) {
    const words = {
      ADD: [],
      DEL: [],
      attach: ["attach", this.pod, "weave", ...this.#commandOptions()],
      detach: ["detach", this.pod, "eth1", ...this.#commandOptions()],
    }[operation];
    const isVerb = words.length === 0;
    const child = Bun.spawn({
      cmd: [...by, genieBinary(), ...words],
      env: {
        PATH: process.env["PATH"] ?? "",
        ...(isVerb && this.#env(operation)),
      },
      stdin: new Blob([isVerb ? JSON.stringify(this.#config()) : ""]),
      stdout: "pipe",
      stderr: "ignore",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    const text = await child.stdout.text();
    return { text, exitCode: await child.exited };
  }

  /** Its annotations in the API, which the agent follows. */
  edit(networks: Networks): void {
    this.#networks = networks;
    editNetworks({ name: this.pod }, networks, this.#node);
  }

  /** The networks of the last edit that the agent does not follow soon. */
  disagreements(): Promise<string[]> {
    const { containerId, pod: name } = this;
    const pod = { name, containerId, netns: this.#netns };
    return disagreements(pod, this.#networks, this.#node, soonMs);
  }

  /** The names of its interfaces. */
  links(): string[] {
    const shown = Bun.spawnSync(["ip", "-n", this.#netns.name, "-br", "link"]);
    const lines = shown.stdout.toString().trim().split("\n");
    return lines.map((line) => line.split(/[\s@]/, 1)[0] ?? "");
  }

  removeNetns(): Promise<void> {
    return this.#netns.remove();
  }

  /** Everything of it that is left on the node, abandoned records included. */
  remains(): string[] {
    return [
      ...this.held(),
      ...[...this.#node.records(), ...this.#node.locks()].filter((name) =>
        this.#owns(name),
      ),
      ...this.abandoned().map((name) => `abandoned ${name}`),
    ];
  }

  /** Its addresses, and its entries in the ledger. */
  held(): string[] {
    return heldBy(this, this.#node);
  }

  abandoned(): string[] {
    return this.#node.abandoned().filter((name) => this.#owns(name));
  }

  hasRecord(): boolean {
    return this.#node.records().includes(`${this.containerId}:eth0.json`);
  }

  /** A temporary file of a record begins with a dot. */
  #owns(text: string): boolean {
    return text.replace(/^\./, "").startsWith(this.containerId);
  }

  #env(verb: string): Record<string, string> {
    return {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: this.containerId,
      CNI_NETNS: this.#netns.path,
      CNI_IFNAME: "eth0",
      CNI_ARGS: this.#args(),
      CNI_PATH: this.#node.plugins.binDir,
    };
  }

  get pod(): string {
    return `victim-${this.containerId.slice(0, 8)}`;
  }

  #args(): string {
    return `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${this.pod}`;
  }

  #commandOptions(): string[] {
    const { confDir, dataDir, plugins } = this.#node;
    return [
      "--namespace=shop",
      `--conf-dir=${confDir}`,
      `--data-dir=${dataDir}`,
      `--bin-dir=${plugins.binDir}`,
    ];
  }

  #config(): Record<string, unknown> {
    const { cni = "canal,weave,ledger", annotations, config } = this.#options;
    return this.#node.config({
      runtimeConfig: { [annotationsKey]: { cni, ...annotations } },
      ...config,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#node.plugins.forget(this.containerId);
    await this.#netns.remove();
  }
}
