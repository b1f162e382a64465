/**
 * `genie agent` beside the pods: their networks follow their annotations, attachments are
 * checked and repaired, garbage is collected. It is killed, perhaps with the genie that it
 * executes, and started again.
 */
import {
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
} from "node:fs";
import { genieBinary } from "../tests/support/build.ts";
import type { AgentFault } from "./faults.ts";
import { type TorturedNode, nodeName, secretPrefix } from "./tortured-node.ts";

/** Its container has 5 s after SIGTERM. */
const endMs = 5000;

export class Agent {
  readonly #node: TorturedNode;
  /** The size of the log at the beginning, and when the last agent was started. */
  readonly #logBefore: number;
  #startedAt: number;
  #child: Bun.Subprocess | undefined;
  /** Faults come one after the other: each kill has its start. */
  #disturbing: Promise<void> = Promise.resolve();

  /** Not started yet. */
  constructor(node: TorturedNode) {
    this.#node = node;
    this.#logBefore = this.#startedAt = this.#logSize();
  }

  start(): void {
    const { confDir, dataDir, plugins } = this.#node;
    this.#startedAt = this.#logSize();
    const log = openSync(this.#node.agentLog, "a");
    this.#child = Bun.spawn({
      cmd: [
        genieBinary(),
        "agent",
        ..."--no-install --attach --repair --gc".split(" "),
        `--node=${nodeName}`,
        `--kubeconfig=${this.#node.kubeconfig("right")}`,
        `--data-dir=${dataDir}`,
        `--conf-dir=${confDir}`,
        `--bin-dir=${plugins.binDir}`,
      ],
      stdio: ["ignore", log, log],
    });
  }

  /** `withGenie`: also what it executes, whose plugins then have no parent. */
  async #kill(withGenie: boolean): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const executed = withGenie ? childrenOf(child.pid) : [];
    child.kill("SIGKILL");
    for (const pid of executed) kill(pid);
    await child.exited;
  }

  disturb(fault: AgentFault): Promise<void> {
    return (this.#disturbing = this.#disturbing.then(() =>
      this.#disturb(fault),
    ));
  }

  async #disturb(fault: AgentFault): Promise<void> {
    const { api, report } = this.#node;
    if (fault === "its watches break off") api.endWatches("destroy");
    else if (fault === "its watches are too old") api.compact();
    else {
      await this.#kill(fault === "the agent and its genie are killed");
      this.start();
    }
    report.count("faults", fault);
  }

  #logSize(): number {
    const { agentLog } = this.#node;
    return existsSync(agentLog) ? statSync(agentLog).size : 0;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const { report } = this.#node;
    const began = performance.now();
    child.kill("SIGTERM");
    const exitCode = await child.exited;
    const ms = Math.round(performance.now() - began);
    const log = readFileSync(this.#node.agentLog);
    // Before its first line it has no handler of SIGTERM, and has done nothing.
    const code = log.subarray(this.#startedAt).includes("the agent starts")
      ? 0
      : 143;
    if ((exitCode !== 0 && exitCode !== code) || ms > endMs)
      report.find(`the agent ends with ${exitCode} after ${ms} ms`);
    const text = log.subarray(this.#logBefore).toString();
    if (text.includes(secretPrefix)) report.find("the agent logs a secret");
    for (const [, change = ""] of text.matchAll(
      /"msg":"(attached|detached|repaired|failed to (?:at|de)tach a network)"/g,
    ))
      report.count("calls", `agent: ${change}`);
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
        .split(" ")
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
