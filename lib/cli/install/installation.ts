/**
 * Installs genie on a node: the executable, the credential, and last the configuration
 * that makes the runtime use genie (container-runtimes.md K-1). A second run writes only
 * changes.
 */
import { CniError, Code } from "../../cni/error.ts";
import { parseJson } from "../../cni/json.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Terminal } from "../command/terminal.ts";
import { ownFile } from "../node/directories.ts";
import { namesIn } from "../node/read-file.ts";
import { renamedAdvice, renamedFiles } from "../node/renamed-files.ts";
import {
  binDirProblem,
  confDirProblem,
  runtimeSettings,
} from "../node/runtime-settings.ts";
import { Executable } from "./executable.ts";
import type { Credential } from "./credential-options.ts";
import { writeCredential } from "./credential.ts";
import { keepInstalled, whileInstalling } from "./installer-lock.ts";
import { OwnFile } from "./own-file.ts";
import { listWarnings } from "./own-list.ts";
import {
  type InstallRequest,
  configuredKubeconfig,
  credentialOf,
  planInstallation,
} from "./plan.ts";

export interface Step {
  outcome: "changed" | "unchanged" | "warning";
  text: string;
}

/** More attempts than programs that change the directory at the start of a node. */
const mostAttempts = 20;

export class Installation {
  readonly #request: InstallRequest;
  readonly #terminal: Pick<Terminal, "env" | "self" | "version">;
  readonly #executable: Executable;
  readonly #file: OwnFile;

  constructor(
    request: InstallRequest,
    terminal: Pick<Terminal, "env" | "self" | "version">,
  ) {
    const { directories } = request;
    this.#request = request;
    this.#terminal = terminal;
    this.#executable = new Executable(directories, terminal);
    this.#file = new OwnFile(directories);
  }

  /**
   * Returns the changes. Throws CniError if a check fails (nothing has changed),
   * and 11 if another installer runs for too long.
   */
  run(): Promise<Step[]> {
    return whileInstalling(this.#request.directories, async () => {
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

  /** Calls {@link keepInstalled}, for a process that installs genie repeatedly. */
  keep(): boolean {
    return keepInstalled(this.#request.directories);
  }

  /** Writes only the credential, so that it stays valid even if another step fails. Whether it changed. */
  refreshCredential(): boolean {
    // A damaged file must not stop the renewal of the token.
    const base = this.#file.read(true);
    const credential = credentialOf(this.#request, base, this.#terminal.env);
    return this.#writeCredential(credential).changed;
  }

  /** undefined if another program changed our file meanwhile: that change stays. */
  async #attempt(): Promise<Step[] | undefined> {
    const { env, version } = this.#terminal;
    const { path } = this.#file;
    const plan = await planInstallation(this.#request, this.#file, env);
    const { base, network, credential } = plan;
    const copied = await this.#executable.put();
    const { kubeconfig, changed } = this.#writeCredential(credential);
    if (this.#file.hasChanged(base)) return undefined;
    const text = plan.listText(kubeconfig);
    const list = this.#file.write(base, text);
    const steps = [
      step(copied, `${this.#executable.path}: version ${version}`),
      kubeconfig === undefined
        ? warning(noCredential(configuredKubeconfig(base)))
        : step(changed, credentialText(credential, kubeconfig)),
      step(list.changed, `${path}: default network ${quote(network.plugin)}`),
    ];
    if (base.restoredFrom !== undefined)
      steps.push(
        step(true, `${path}: its keys are restored from ${base.restoredFrom}`),
        ...this.#renameWarnings(),
      );
    if (list.kept !== undefined)
      steps.push(step(true, `${list.kept}: the file that could not be read`));
    for (const { found } of listWarnings(parseJson(text)))
      steps.push(warning(`${path}: ${found}`));
    return [...steps, ...this.#runtimeWarnings(), ...this.#keepCopy(text)];
  }

  /** Another CNI that removes our file does it again. */
  #renameWarnings(): Step[] {
    const { host, confDir } = this.#request.directories;
    const files = renamedFiles(namesIn(host.path(confDir)));
    const ours = files.filter((file) => file.startsWith(ownFile));
    if (ours.length === 0) return [];
    const names = ours.join(", ");
    const advice = renamedAdvice(ours, `remove ${names}`);
    return [warning(`another CNI renamed ${ownFile} to ${names}: ${advice}`)];
  }

  #writeCredential(credential: Credential) {
    return writeCredential(credential, this.#request.directories);
  }

  /** No refusal: the file may be of a runtime that is not used any more. */
  #runtimeWarnings(): Step[] {
    const { directories } = this.#request;
    return runtimeSettings(directories.host)
      .filter((settings) => !confDirProblem(settings, directories))
      .flatMap((settings) => binDirProblem(settings, directories) ?? [])
      .map(({ found, advice }) =>
        warning(`${found}: every pod fails there: ${advice}`),
      );
  }

  #keepCopy(text: string): Step[] {
    try {
      this.#file.copy.write(text);
      return [];
    } catch (error) {
      return [warning(messageOf(error))];
    }
  }
}

function step(changed: boolean, text: string): Step {
  return { outcome: changed ? "changed" : "unchanged", text };
}

function warning(text: string): Step {
  return { outcome: "warning", text };
}

function noCredential(configured: string | undefined): string {
  const why = configured ? `${configured} does not exist` : "--kubeconfig";
  return `no credential for the API server (${why}): definitions and network status are unavailable, and the runtime must send annotations`;
}

function credentialText(credential: Credential, kubeconfig: string): string {
  const why = credential.kind === "given" ? credential.why : "";
  return `${kubeconfig}: the credential${why && ` (${why})`}`;
}
