/**
 * The node's plugins: the reference ones behind a script that injects the scheduled
 * faults, each once; and a plugin of spec 1.1.0 with GC and a ledger of its
 * attachments, since Debian's have none.
 */
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../tests/support/build.ts";
import { delegateFaults } from "./faults.ts";
import { type DelegatePlan, auxiliaryType } from "./schedule.ts";

/** Where Debian has the reference plugins; CNI_PLUGINS for another place. */
const referenceDirectory = process.env["CNI_PLUGINS"] ?? "/usr/lib/cni";

const tortured = ["bridge", "ptp", "macvlan"];

export class Plugins {
  readonly binDir: string;
  readonly #orders: string;
  readonly #executed: string;
  readonly #executions: string;
  readonly #ledger: string;
  readonly #auxiliary: string;

  constructor(directory: string) {
    this.binDir = join(directory, "bin");
    this.#orders = join(directory, "orders");
    this.#executed = join(directory, "executed");
    this.#executions = join(directory, "executions");
    this.#ledger = join(directory, "ledger");
    this.#auxiliary = join(directory, "auxiliary");
    const ledgers = { ledger: this.#ledger, [auxiliaryType]: this.#auxiliary };
    for (const path of [this.binDir, this.#orders, ...Object.values(ledgers)])
      mkdirSync(path);
    for (const path of [this.#executed, this.#executions])
      writeFileSync(path, "");
    // The installed genie, which the agent executes.
    symlinkSync(genieBinary(), join(this.binDir, "genie"));
    symlinkSync(
      join(referenceDirectory, "host-local"),
      join(this.binDir, "host-local"),
    );
    for (const type of tortured)
      this.#install(type, this.#script(join(referenceDirectory, type)));
    for (const [type, path] of Object.entries(ledgers)) {
      const real = `${type}.real`;
      this.#install(real, ledger(path));
      this.#install(type, this.#script(join(this.binDir, real)));
    }
  }

  /** The delegate's next call of this container does something else than its work. */
  order(containerId: string, plan: DelegatePlan): void {
    writeFileSync(this.#orderPath(containerId, plan), this.#orderText(plan));
  }

  /** The same for every call, until it is forgotten. */
  orderAlways(containerId: string, plan: DelegatePlan): void {
    const path = `${this.#orderPath(containerId, plan)}.always`;
    writeFileSync(path, this.#orderText(plan));
  }

  /** Forgets orders that were not executed. */
  forget(containerId: string): void {
    for (const file of readdirSync(this.#orders)) {
      if (file.startsWith(`${containerId}.`))
        rmSync(join(this.#orders, file), { force: true });
    }
  }

  /** Which orders were executed. */
  executed(): string[] {
    return readFileSync(this.#executed, "utf8").split("\n").filter(Boolean);
  }

  /** `<verb> <type>` of each call of a plugin for a container, or by a marked call of genie. */
  executionsOf(containerOrMark: string): string[] {
    const lines = readFileSync(this.#executions, "utf8").split("\n");
    return lines.flatMap((line) => {
      const [verb = "", type = "", ...of] = line.split(" ");
      return of.includes(containerOrMark) ? [`${verb} ${type}`] : [];
    });
  }

  /** `<container ID>:<interface>` of each attachment in the ledger, and of each auxiliary chain. */
  ledger(): string[] {
    return [this.#ledger, this.#auxiliary].flatMap((path) => readdirSync(path));
  }

  /** As an attachment of which genie knows nothing. */
  enterLedger(entry: string): void {
    writeFileSync(join(this.#ledger, entry), "");
  }

  /** Whether it was still there. */
  leaveLedger(entry: string): boolean {
    const had = this.ledger().includes(entry);
    rmSync(join(this.#ledger, entry), { force: true });
    return had;
  }

  #orderPath(containerId: string, { verb, type }: DelegatePlan): string {
    return join(this.#orders, `${containerId}.${verb}.${type}`);
  }

  #orderText({ fault, ms }: DelegatePlan): string {
    return `ms=${(ms / 1000).toFixed(3)}\necho '${fault}' >>'${this.#executed}'\n${delegateFaults[fault]}\n`;
  }

  #install(type: string, text: string): void {
    const path = join(this.binDir, type);
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  }

  #script(real: string): string {
    return `#!/bin/sh
real='${real}'
echo "$CNI_COMMAND \${0##*/} $CNI_CONTAINERID $TORTURE_MARK" >>'${this.#executions}'
failed() { printf '{"cniVersion":"1.0.0","code":%s,"msg":"ordered: %s"}' "\${2:-120}" "$1"; exit 1; }
order='${this.#orders}'/$CNI_CONTAINERID.$CNI_COMMAND.\${0##*/}
[ -n "$CNI_CONTAINERID" ] || exec "$real"
if [ -e "$order.always" ]; then . "$order.always"; exit; fi
[ -e "$order" ] && mv "$order" "$order.$$" 2>/dev/null || exec "$real"
. "$order.$$"
`;
  }
}

/** In the compact JSON that genie writes; another spelling would look like a lost attachment. */
const ledger = (directory: string) => `#!/bin/sh
config=$(cat)
key="${directory}/$CNI_CONTAINERID:$CNI_IFNAME"
case $CNI_COMMAND in
ADD) : >"$key" && printf '{"cniVersion":"1.1.0","ips":[{"address":"10.99.0.2/24"}]}' ;;
DEL) rm -f "$key" ;;
CHECK) [ -e "$key" ] || { printf '{"cniVersion":"1.1.0","code":121,"msg":"not in the ledger"}'; exit 1; } ;;
GC)
  for entry in "${directory}"/*:*; do
    name=\${entry##*/}
    case $config in
    *"{\\"containerID\\":\\"\${name%%:*}\\",\\"ifname\\":\\"\${name#*:}\\"}"*) ;;
    *) rm -f "$entry" ;;
    esac
  done ;;
esac
`;
