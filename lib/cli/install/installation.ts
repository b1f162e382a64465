/**
 * Installs genie on a node: checks everything, then writes the executable, the
 * credential, and last the configuration that makes the runtime use genie
 * (container-runtimes.md K-1). A second run writes only changes.
 */
import { join } from "node:path";
import { readConfDir } from "../../cni/confdir.ts";
import { Code, CniError, invalidConfig } from "../../cni/error.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { own, parseJson } from "../../cni/json.ts";
import { type GenieConfig, readConfig } from "../../select/config.ts";
import { Binary } from "./binary.ts";
import {
  chooseCredential,
  requireUsable,
  writeCredential,
} from "./credential.ts";
import type { Credential, CredentialRequest } from "./credential-options.ts";
import {
  type DefaultNetwork,
  chooseDefault,
  requireDefaultPlugins,
  configuredConfDir,
  networksIn,
  refuseEarlier,
  refuseHazards,
} from "./default-network.ts";
import { type Directories, defaultDirectories } from "../node/directories.ts";
import { nodeNameOf } from "../node/node-name.ts";
import { executableMemoryProblems } from "./executable-memory.ts";
import type { Host } from "../node/host.ts";
import { whileInstalling } from "./installer-lock.ts";
import { listWarnings, ownListText, ownPlugin } from "./own-list.ts";
import { type Base, OwnFile } from "./own-file.ts";
import {
  binDirProblem,
  confDirProblem,
  runtimeSettings,
  runtimesOf,
} from "./runtime.ts";
import { type Settings, withSettings } from "./settings.ts";
import type { Terminal } from "../command/terminal.ts";

export interface InstallRequest {
  directories: Directories;
  host: Host;
  credential: CredentialRequest;
  /** Keys of the configuration to set, read for each run. Throws Error. */
  settings: () => Settings;
  /** The default network, in place of the configured or first one. */
  defaultPlugin: string | undefined;
  /** Overwrites unreadable files and keeps a copy of each. */
  force: boolean;
}

export interface Step {
  outcome: "changed" | "unchanged" | "warning";
  text: string;
}

/** The credential's directory, beside the networks: runtimes ignore subdirectories. */
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
   * Returns the changes. Throws CniError if a check fails (nothing has changed),
   * and 11 if another installer runs for too long.
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
        `${this.#file.path}: another program keeps changing it`,
      );
    });
  }

  /** undefined if another program changed our file meanwhile: that change stays. */
  async #attempt(): Promise<Step[] | undefined> {
    const { directories, host, force, settings } = this.#request;
    const { env, version } = this.#terminal;
    this.#requireMemory();
    const read = this.#file.read(force);
    const base = { ...read, list: withSettings(read.list, settings()) };
    const chosen = this.#checkNetworks(base, read.list !== undefined);
    const credential = this.#credential(base);
    const directory = credentialDirectory(directories);
    await requireUsable(credential, { directory, force }, host, env);
    // Validates the operator's keys before anything changes.
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
    const { path } = this.#file;
    const steps = [
      step(copied, `${this.#binary.path}: version ${version}`),
      kubeconfig === undefined
        ? warning(noCredential(configuredKubeconfig(base)))
        : step(changed, credentialText(credential, kubeconfig)),
      step(written.changed, `${path}: default network ${quote(chosen.plugin)}`),
    ];
    if (base.restoredFrom !== undefined)
      steps.push(
        step(true, `${path}: its keys are restored from ${base.restoredFrom}`),
      );
    if (written.kept !== undefined)
      steps.push(
        step(true, `${written.kept}: the file that could not be read`),
      );
    for (const { found } of listWarnings(parseJson(text)))
      steps.push(warning(`${path}: ${found}`));
    steps.push(...this.#runtimeWarnings());
    try {
      this.#file.keepCopy(text);
    } catch (error) {
      steps.push(warning(messageOf(error)));
    }
    return steps;
  }

  /** No refusal: the file may be of a runtime that is not used any more. */
  #runtimeWarnings(): Step[] {
    const { directories, host } = this.#request;
    return runtimeSettings(host)
      .filter((settings) => !confDirProblem(settings, directories, host))
      .flatMap((settings) => binDirProblem(settings, directories, host) ?? [])
      .map(({ found, advice }) =>
        warning(`${found}: every pod fails there: ${advice}`),
      );
  }

  /** Executes the copy here: the runtime's unit may forbid more. Throws 7. */
  #requireMemory(): void {
    const [problem] = executableMemoryProblems(this.#request.host);
    if (!problem) return;
    throw invalidConfig(
      `${problem.found}: genie could not run, and every pod would fail: ${problem.advice}`,
    );
  }

  /** Only the credential, so that it stays valid even if another step fails. */
  refreshCredential(): boolean {
    const { directories, host, force } = this.#request;
    // A damaged file must not stop the renewal of the token.
    const credential = this.#credential(this.#file.read(true));
    const directory = credentialDirectory(directories);
    return writeCredential(credential, directory, host, force).changed;
  }

  /** Throws 7 that names the file of the keys. */
  #config(plugin: object, { restoredFrom }: Base): GenieConfig {
    try {
      return readConfig(plugin);
    } catch (cause) {
      throw invalidConfig(
        `${restoredFrom ?? this.#file.path}: ${messageOf(cause)}`,
        cause,
      );
    }
  }

  #checkNetworks(base: Base, isInstalled: boolean): DefaultNetwork {
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
      refuseHazards(networks, chosen, isInstalled, host);
    return chosen;
  }

  #credential(base: Base): Credential {
    const { directories, host, credential } = this.#request;
    return chooseCredential(
      credential,
      {
        directory: credentialDirectory(directories),
        existing: configuredKubeconfig(base),
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
      throw invalidConfig(`${this.#file.path}: ${messageOf(cause)}`, cause);
    }
  }
}

/** More attempts than programs that change the directory at the start of a node. */
const mostAttempts = 20;

function step(changed: boolean, text: string): Step {
  return { outcome: changed ? "changed" : "unchanged", text };
}

function warning(text: string): Step {
  return { outcome: "warning", text };
}

function configuredKubeconfig({ list }: Base): string | undefined {
  const kubeconfig = own(
    own(ownPlugin(list?.value), "kubernetes"),
    "kubeconfig",
  );
  return typeof kubeconfig === "string" ? kubeconfig : undefined;
}

function noCredential(configured: string | undefined): string {
  const why = configured ? `${configured} does not exist` : "--kubeconfig";
  return `no credential for the API server (${why}): definitions and network status are unavailable, and the runtime must send annotations`;
}

function credentialText(credential: Credential, kubeconfig: string): string {
  const why =
    credential.kind === "given" && credential.why !== ""
      ? ` (${credential.why})`
      : "";
  return `${kubeconfig}: the credential${why}`;
}
