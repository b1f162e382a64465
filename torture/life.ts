/**
 * The life of one pod: ADD, disturbances, DEL until success as a runtime repeats it,
 * and the check that nothing is left.
 */
import { existsSync, readFileSync } from "node:fs";
import { own } from "../lib/cni/json.ts";
import { Netns } from "../tests/support/netns.ts";
import { disagreements, editNetworks } from "./agreement.ts";
import { type GenieCall, type Outcome, callGenie } from "./calls.ts";
import { command } from "./command.ts";
import { disturb } from "./disturb.ts";
import { type Disturbance, apiFaults, killing } from "./faults.ts";
import type {
  AddPlan,
  DelPlan,
  DelegatePlan,
  EditPlan,
  HotPlan,
  PodPlan,
} from "./schedule.ts";
import {
  type TorturedNode,
  annotationsKey,
  auxiliaryChain,
  nodeName,
} from "./tortured-node.ts";

/** In the runtime's view: only a "gone" pod is missing in GC's list, and an "attached" one must lose nothing. */
export type State = "starting" | "attached" | "ending" | "gone";

/** Milliseconds: a pod that needs more has lost an edit; plugins hang, and pauses double. */
const followMs = 40_000;

export class Pod {
  readonly plan: PodPlan;
  readonly containerId = crypto.randomUUID().replaceAll("-", "").repeat(2);
  readonly uid = crypto.randomUUID();
  state: State = "starting";
  /** The present step, for reports of a hang. */
  step = "its start";
  readonly #node: TorturedNode;
  #netns: Netns | undefined;
  #netnsPath = "/run/netns/never-made";
  /** A plugin may have been ended anywhere in its work. */
  #killed = false;
  #confDir: string;
  #annotations: Record<string, string>;
  #apiHits = 0;
  #isApiWell = false;

  constructor(plan: PodPlan, node: TorturedNode) {
    this.plan = plan;
    this.#node = node;
    this.#confDir = node.confDir;
    this.#annotations = plan.annotations;
  }

  /** Up to the end, or up to where only GC will remove it. */
  async live(): Promise<void> {
    const { plan } = this;
    await Bun.sleep(plan.startMs);
    if (plan.add.missingNetns)
      this.#node.report.count("faults", "namespace missing at ADD");
    else {
      this.step = "its namespace";
      this.#netns = await Netns.create();
      this.#netnsPath = this.#netns.path;
    }
    await this.#add(plan.add);
    if (plan.check) await this.#call("CHECK");
    const isAttached = this.state === "attached";
    this.state = "ending";
    if (plan.edits && isAttached) await this.#edit(plan.edits);
    if (plan.hot && isAttached) await this.#change(plan.hot);
    for (const disturbance of plan.disturbances)
      await this.#disturb(disturbance);
    for (const del of plan.dels) await this.#disturbedDel(del);
    this.#node.plugins.forget(this.containerId);
    if (plan.stubborn !== undefined) this.#refuseDel(plan.stubborn);
    if (plan.end === "DEL") await this.#deleteUntilSuccess();
    else await this.#removeNetns();
    this.state = "gone";
    if (plan.end === "DEL") {
      await this.#requireNothing("DEL");
      if (!this.#hasRecord()) await this.#deleteAgain();
      await this.#removeNetns();
    }
  }

  /** Its annotations; the agent must follow, however often it is killed. */
  async #edit(edits: readonly EditPlan[]): Promise<void> {
    const { name } = this.plan;
    const netns = this.#netns;
    const last = edits.at(-1);
    if (!netns || !last) return;
    this.#isApiWell = true;
    // Together with the agent and its genie.
    this.#killed = true;
    const pod = { name, containerId: this.containerId, uid: this.uid, netns };
    for (const { networks, delegates, afterMs } of edits) {
      this.step = "an edit of its annotations";
      this.#order(delegates);
      editNetworks(pod, networks, this.#node);
      this.#node.report.count("calls", "annotations edited");
      await Bun.sleep(afterMs);
    }
    this.step = "the agent to follow its annotations";
    const left = await disagreements(pod, last.networks, this.#node, followMs);
    if (left.length > 0)
      this.#node.report.find(
        `${this.label}: the agent does not follow its annotations: ${left.join("; ")}: ${this.#node.agentLines(name)}`,
      );
  }

  /** By hand, as the agent does it. What comes later covers it, whether it succeeds or not. */
  async #change(plan: HotPlan): Promise<void> {
    const { network, attachKillMs, detach, detachKillMs } = plan;
    const run = async (words: readonly string[], killMs?: number) => {
      this.step = `genie ${words.join(" ")}`;
      // Killed, a plugin may be killed by the next call, too.
      if (killMs !== undefined) this.#killed = true;
      const [name = "", ...operands] = words;
      const all = [name, `shop/${this.plan.name}`, ...operands];
      await command(this.#node, all, { killMs });
    };
    await run(["attach", `${network}@eth9`], attachKillMs);
    if (detach) await run(["detach", "eth9"], detachKillMs);
  }

  /** Lets plugins of this type refuse DEL until the end of the round. */
  #refuseDel(type: string): void {
    const fault = "delegate fails at once";
    const plan = { type, verb: "DEL", fault, ms: 0 } as const;
    this.#node.plugins.orderAlways(this.containerId, plan);
  }

  /** The second DEL of a runtime: nothing is executed, nothing logged. */
  async #deleteAgain(): Promise<void> {
    const { report, plugins } = this.#node;
    report.count("calls", "second DEL");
    const mark = crypto.randomUUID();
    const logFile = this.#node.silentLog(this.containerId);
    const { exitCode } = await this.#call("DEL", {
      netns: "",
      config: { logFile, log_level: "info" },
      mark,
    });
    const executed = plugins.executionsOf(mark);
    if (executed.length > 0)
      report.find(
        `${this.label}: a second DEL executes ${executed.join(", ")}`,
      );
    // The disk may fail just then.
    if (exitCode === 0 && existsSync(logFile))
      report.find(
        `${this.label}: a second DEL logs ${readFileSync(logFile, "utf8")}`,
      );
  }

  /** Reports leaks as findings; never throws. */
  async #requireNothing(after: string): Promise<void> {
    const { report } = this.#node;
    this.step = "looking for what is left";
    if (this.#isLeftToGc()) return report.count("faults", "DEL gave up");
    for (const remains of await this.#remains())
      report.find(`${this.label}: left after ${after}: ${remains}`);
  }

  /** Abandoned records, and a record or its temporary file that the disk fault kept from being removed. */
  #isLeftToGc(): boolean {
    const isOwn = (name: string) => this.#isOwn(name);
    return (
      this.#node.abandoned().some(isOwn) ||
      (this.#node.diskFailed && this.#node.records().some(isOwn))
    );
  }

  /** A temporary file of a record begins with a dot. */
  #isOwn(entry: string): boolean {
    return entry.replace(/^\./, "").startsWith(this.containerId);
  }

  async #remains(): Promise<string[]> {
    const isOwn = (entry: string) => this.#isOwn(entry);
    return [
      ...this.#node
        .addresses()
        .filter(({ owner }) => isOwn(owner))
        .map(({ file, owner }) => `address ${file} (${owner})`),
      ...this.#node.plugins
        .ledger()
        .filter(isOwn)
        .map((entry) => `ledger ${entry}`),
      ...this.#node
        .records()
        .filter((entry) => isOwn(entry) && !entry.endsWith(".corrupt")),
      ...(await this.#interfaces()),
      ...(await this.#rules()),
    ];
  }

  /** Our rules for the addresses of several networks: only the result file knows them, else they end with the namespace. */
  async #rules(): Promise<string[]> {
    const isTorn = this.plan.disturbances.some((one) =>
      one.endsWith("truncated"),
    );
    if (isTorn || !this.#netns?.exists()) return [];
    const rules = await this.#netns.ip("rule");
    return rules
      .split("\n")
      .filter((rule) => / lookup 1\d{3}/.test(rule))
      .map((rule) => `rule ${rule.replaceAll("\t", " ").trim()}`);
  }

  /** The pod's interfaces; those of a killed plugin only with their final names, which it gives last. */
  async #interfaces(): Promise<string[]> {
    if (!this.#netns?.exists()) return [];
    const names = (await this.#netns.links()).map(({ name }) => name);
    const unnamed = names.filter((name) => !/^(?:eth|net)\d+$/.test(name));
    if (!this.#killed) return names.map((name) => `interface ${name}`);
    this.#node.report.count(
      "upstream",
      "interface without its final name, of a killed plugin",
      unnamed.length,
    );
    return names
      .filter((name) => !unnamed.includes(name))
      .map((name) => `interface ${name}`);
  }

  async #add(plan: AddPlan): Promise<void> {
    this.#order([...plan.delegates, ...(this.plan.auxiliary ?? [])]);
    this.#publish();
    const config = this.#applyApiFault(plan);
    if (plan.killMs !== undefined) this.#killed = true;
    const first = this.#call("ADD", { config, killMs: plan.killMs });
    if (plan.raceMs !== undefined) {
      this.#node.report.count("faults", "DEL races ADD");
      await Bun.sleep(plan.raceMs);
      await Promise.all([first, this.#call("DEL")]);
    }
    let outcome = await first;
    if (plan.again) {
      this.#node.report.count("faults", "ADD repeated without DEL");
      outcome = await this.#call("ADD", { config });
    }
    this.#requireCodeOf(outcome);
    if (outcome.exitCode === 0 && (plan.raceMs === undefined || plan.again))
      this.state = "attached";
  }

  /** Code 3 tells a runtime that no DEL is needed (state.md "ADD"). */
  #requireCodeOf({ json }: Outcome): void {
    if (own(json, "code") === 3 && this.#hasRecord())
      this.#node.report.find(`${this.label}: code 3, and a record is left`);
  }

  #hasRecord(): boolean {
    return this.#node.records().includes(`${this.containerId}:eth0.json`);
  }

  #order(delegates: readonly DelegatePlan[]): void {
    for (const delegate of delegates) {
      this.#node.plugins.order(this.containerId, delegate);
      if (killing.has(delegate.fault)) this.#killed = true;
    }
  }

  #publish(): void {
    const { name, annotations } = this.plan;
    this.#node.api.pods.put({
      metadata: { name, namespace: "shop", uid: this.uid, annotations },
      spec: { nodeName },
    });
  }

  /** Overrides of genie's configuration. */
  #applyApiFault({ api }: AddPlan): Record<string, unknown> {
    const usesApi =
      this.plan.source === "API server" ||
      Object.keys(this.plan.annotations).length > 1;
    if (api === undefined || !usesApi) return {};
    const { report, api: server } = this.#node;
    const fault = apiFaults[api];
    if (fault === undefined) {
      report.count("faults", api);
      return {
        kubernetes: {
          kubeconfig: this.#node.kubeconfig(
            api === "wrong token" ? "wrong" : "down",
          ),
        },
      };
    }
    const match = ({ path }: { path: string }) => {
      const hit = !this.#isApiWell && path.endsWith(`/${this.plan.name}`);
      if (hit && this.#apiHits++ === 0) report.count("faults", api);
      return hit;
    };
    server.inject({ ...fault, match });
    return {};
  }

  async #disturb(disturbance: Disturbance): Promise<void> {
    this.step = disturbance;
    const happened = await disturb(
      {
        node: this.#node,
        name: this.plan.name,
        containerId: this.containerId,
        uid: this.uid,
        removeNetns: () => this.#removeNetns(),
        annotate: (annotations) => (this.#annotations = annotations),
        configureFrom: (confDir) => (this.#confDir = confDir),
      },
      disturbance,
    );
    if (happened) this.#node.report.count("faults", disturbance);
  }

  async #removeNetns(): Promise<boolean> {
    if (!this.#netns?.exists()) return false;
    this.step = "the end of its namespace";
    await this.#netns.remove();
    return true;
  }

  async #disturbedDel({ delegates, killMs, twice }: DelPlan): Promise<void> {
    this.#order(delegates);
    if (killMs !== undefined) this.#killed = true;
    const calls = [this.#call("DEL", { killMs })];
    if (twice) {
      this.#node.report.count("faults", "two DELs at once");
      calls.push(this.#call("DEL"));
    }
    await Promise.all(calls);
  }

  async #deleteUntilSuccess(): Promise<void> {
    let last: Outcome | undefined;
    for (let tries = 0; tries < 12; tries++) {
      last = await this.#call("DEL");
      if (succeeded(last)) return;
      await Bun.sleep(100 + 50 * tries);
    }
    this.#node.report.find(`${this.label}: DEL never succeeds: ${last?.text}`);
  }

  #call(
    verb: GenieCall["verb"],
    more: {
      config?: Record<string, unknown>;
      killMs?: number | undefined;
      netns?: string;
      mark?: string;
    } = {},
  ) {
    const { source, name, automatic, auxiliary } = this.plan;
    this.step = verb;
    const args = {
      IgnoreUnknown: "1",
      K8S_POD_NAMESPACE: "shop",
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: this.containerId,
      K8S_POD_UID: this.uid,
    };
    return callGenie(this.#node, {
      verb,
      containerId: this.containerId,
      netns: more.netns ?? this.#netnsPath,
      args: Object.entries(args)
        .map((pair) => pair.join("="))
        .join(";"),
      killMs: more.killMs,
      mark: more.mark,
      config: this.#node.config({
        confDir: this.#confDir,
        ...(automatic && { automatic: { networks: automatic } }),
        ...(auxiliary && { auxiliaryChain }),
        ...(source === "runtime" && {
          runtimeConfig: { [annotationsKey]: this.#annotations },
        }),
        ...more.config,
      }),
    });
  }

  /** For messages: enough to find it in the schedule. */
  get label(): string {
    const { name, types, source, end } = this.plan;
    return `${name} ${this.containerId.slice(0, 8)} (${types.join(",")}; ${source}; ${end})`;
  }
}

/** As containerd decides it. */
export function succeeded({ exitCode, text }: Outcome): boolean {
  return (
    exitCode === 0 ||
    (exitCode !== null && /not found|no such file or directory/.test(text))
  );
}
