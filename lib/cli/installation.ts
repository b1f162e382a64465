/**
 * Installs genie on a node, the story: everything is checked, then the
 * executable, the credential, and last the configuration that makes the runtime
 * use it (container-runtimes.md K-1). Run again, it changes what has changed.
 */
import { join } from "node:path";
import { readConfDir } from "../cni/confdir.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { own, parseJson } from "../cni/json.ts";
import { type GenieConfig, readConfig } from "../select/config.ts";
import { Binary } from "./binary.ts";
import {
  type Credential,
  type Wishes,
  chooseCredential,
  requireUsable,
  writeCredential,
} from "./credential.ts";
import {
  type DefaultNetwork,
  chooseDefault,
  requireDefaultPlugins,
} from "./default-network.ts";
import { executableMemoryProblems } from "./executable-memory.ts";
import { type Directories, defaultDirectories } from "./directories.ts";
import type { Host } from "./host.ts";
import { whileInstalling } from "./install-lock.ts";
import {
  configuredConfDir,
  networksIn,
  refuseEarlier,
  refuseHazards,
} from "./install-networks.ts";
import { listWarnings } from "./list-warnings.ts";
import { type Base, OwnFile } from "./own-file.ts";
import { ownListText, ownPlugin } from "./own-list.ts";
import { nodeNameOf } from "./node-name.ts";
import { runtimesOf } from "./runtime.ts";
import type { Terminal } from "./terminal.ts";

export interface InstallRequest {
  directories: Directories;
  host: Host;
  wishes: Wishes;
  /** The default network instead of the one that is configured or first. */
  defaultPlugin: string | undefined;
  /** Overwrites files that cannot be read; a copy of each is kept. */
  force: boolean;
}

export interface Step {
  outcome: "changed" | "unchanged" | "warning";
  text: string;
}

/** Where the credential is, beside the networks: runtimes do not read directories. */
export function credentialDirectory({ confDir }: Directories): string {
  return join(confDir, "genie.d");
}

export class Installation {
  readonly #request: InstallRequest;
  readonly #terminal: Pick<Terminal, "env" | "self" | "version">;
  readonly #binary: Binary;
  readonly #file: OwnFile;

  constructor(
    request: InstallRequest,
    terminal: Pick<Terminal, "env" | "self" | "version">,
  ) {
    const { directories, host } = request;
    this.#request = request;
    this.#terminal = terminal;
    this.#binary = new Binary(directories.binDir, host, terminal);
    this.#file = new OwnFile(directories, host);
  }

  /**
   * What was done. Throws CniError with nothing changed when a check fails, and
   * 11 while another installer is at work for too long.
   */
  run(): Promise<Step[]> {
    const { directories, host } = this.#request;
    return whileInstalling(directories.confDir, host, async () => {
      for (let i = 0; i < mostAttempts; i++) {
        const steps = await this.#attempt();
        if (steps) return steps;
      }
      throw new CniError(
        Code.tryAgainLater,
        `${this.#file.path}: another program changes it all the time`,
      );
    });
  }

  /** undefined when another program changed our file meanwhile: then its change is to be kept. */
  async #attempt(): Promise<Step[] | undefined> {
    const { directories, host, force } = this.#request;
    const { env, version } = this.#terminal;
    this.#requireMemory();
    const base = this.#file.read(force);
    const chosen = this.#checkNetworks(base);
    const credential = this.#credential(base);
    const directory = credentialDirectory(directories);
    await requireUsable(credential, { directory, force }, host, env);
    // Validates what an operator wrote into the file before anything changes.
    const checked = this.#listText(base, chosen, "");
    this.#config(ownPlugin(parseJson(checked)), base);
    const copied = await this.#binary.put();
    const { kubeconfig, changed } = writeCredential(
      credential,
      directory,
      host,
      force,
    );
    if (this.#file.hasChanged(base)) return undefined;
    const text = this.#listText(base, chosen, kubeconfig);
    const written = this.#file.write(base, text);
    return [
      step(copied, `${this.#binary.path}: version ${version}`),
      kubeconfig === undefined
        ? { outcome: "warning", text: noCredential }
        : step(changed, credentialText(credential, kubeconfig)),
      step(
        written.changed,
        `${this.#file.path}: default network ${quote(chosen.plugin)}`,
      ),
      ...this.#restoredSteps(base, chosen, kubeconfig, text),
      ...(written.kept === undefined
        ? []
        : [step(true, `${written.kept}: the file that could not be read`)]),
      ...listWarnings(parseJson(text)).map(({ found }): Step => ({
        outcome: "warning",
        text: `${this.#file.path}: ${found}`,
      })),
      ...this.#keepCopy(text),
    ];
  }

  /** The executable is tried by us, and not by the runtime, which may forbid it more. Throws 7. */
  #requireMemory(): void {
    const [problem] = executableMemoryProblems(this.#request.host);
    if (!problem) return;
    throw new CniError(
      Code.invalidNetworkConfig,
      `${problem.found}: genie could not run, and every pod would fail: ${problem.advice}`,
    );
  }

  /** Only the credential: it must stay fresh even while something else is wrong. */
  refreshCredential(): boolean {
    const { directories, host, force } = this.#request;
    // A damaged file must not keep the token from being renewed.
    const credential = this.#credential(this.#file.read(true));
    const directory = credentialDirectory(directories);
    return writeCredential(credential, directory, host, force).changed;
  }

  /** Said where a restored file has keys that a new one would not have. */
  #restoredSteps(
    { restoredFrom }: Base,
    chosen: DefaultNetwork,
    kubeconfig: string | undefined,
    text: string,
  ): Step[] {
    if (restoredFrom === undefined) return [];
    const anew = this.#listText({ list: undefined }, chosen, kubeconfig);
    if (Bun.deepEquals(parseJson(text), parseJson(anew))) return [];
    return [
      step(
        true,
        `${this.#file.path}: its keys are restored from ${restoredFrom}`,
      ),
    ];
  }

  #keepCopy(text: string): Step[] {
    try {
      this.#file.keepCopy(text);
      return [];
    } catch (error) {
      return [{ outcome: "warning", text: messageOf(error) }];
    }
  }

  /** Throws 7 naming the file that the keys are in. */
  #config(plugin: object, { restoredFrom }: Base): GenieConfig {
    try {
      return readConfig(plugin);
    } catch (cause) {
      throw new CniError(
        Code.invalidNetworkConfig,
        `${restoredFrom ?? this.#file.path}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  #checkNetworks(base: Base): DefaultNetwork {
    const { list } = base;
    const { directories, host, defaultPlugin } = this.#request;
    const { confDir, binDir } = directories;
    const files = readConfDir(host.path(confDir));
    refuseEarlier(
      files.map(({ file }) => file),
      confDir,
    );
    const configured = ownPlugin(list?.value);
    const networks = networksIn(configured, { confDir, files }, host);
    const before = own(configured, "default_plugin");
    const requested =
      defaultPlugin ?? (typeof before === "string" ? before : "");
    const chosen = chooseDefault(requested, networks);
    const path = [binDir, ...this.#config(configured, base).binDirs].map(
      (directory) => host.path(directory),
    );
    requireDefaultPlugins(chosen.plugin, networks, path);
    if (runtimesOf(host).includes("crio"))
      refuseHazards(networks, chosen, list !== undefined, host);
    return chosen;
  }

  #credential({ list }: Base): Credential {
    const { directories, host, wishes } = this.#request;
    const kubeconfig = own(
      own(ownPlugin(list?.value), "kubernetes"),
      "kubeconfig",
    );
    return chooseCredential(
      wishes,
      {
        directory: credentialDirectory(directories),
        existing: typeof kubeconfig === "string" ? kubeconfig : undefined,
      },
      host,
      this.#terminal.env,
    );
  }

  #listText(
    { list }: Pick<Base, "list">,
    { name, plugin }: DefaultNetwork,
    kubeconfig: string | undefined,
  ): string {
    const { directories, host } = this.#request;
    const { confDir, dataDir } = directories;
    const isKnown =
      confDir === defaultDirectories.confDir ||
      configuredConfDir(ownPlugin(list?.value)) !== undefined;
    try {
      return ownListText(list, {
        name,
        defaultPlugin: plugin,
        kubeconfig,
        nodeName: nodeNameOf(kubeconfig, host, this.#terminal.env),
        confDir: isKnown ? undefined : confDir,
        dataDir: dataDir === defaultDirectories.dataDir ? undefined : dataDir,
      });
    } catch (cause) {
      throw new CniError(
        Code.invalidNetworkConfig,
        `${this.#file.path}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
}

/** More than programs that write the directory at the start of a node. */
const mostAttempts = 20;

function step(changed: boolean, text: string): Step {
  return { outcome: changed ? "changed" : "unchanged", text };
}

const noCredential =
  "no credential for the API server (--kubeconfig): definitions cannot be used, pods are not told their addresses, and a runtime that does not hand over annotations cannot be served";

function credentialText(credential: Credential, kubeconfig: string): string {
  const why =
    credential.kind === "given" && credential.why !== ""
      ? ` (${credential.why})`
      : "";
  return `${kubeconfig}: the credential${why}`;
}
