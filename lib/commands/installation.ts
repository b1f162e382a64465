/**
 * Installs genie on a node, the story: everything is checked, then the
 * executable, the credential, and last the configuration that makes the runtime
 * use it (container-runtimes.md K-1). Run again, it changes what has changed.
 */
import { join } from "node:path";
import { readConfDir } from "../cni/confdir.ts";
import { Code, CniError, quote } from "../cni/error.ts";
import { own, parseJson } from "../cni/json.ts";
import { readConfig } from "../select/config.ts";
import { type Networks, firstNetwork, networksOf } from "../select/resolve.ts";
import { Binary } from "./binary.ts";
import {
  type Credential,
  type Wishes,
  chooseCredential,
  requireUsable,
  writeCredential,
} from "./credential.ts";
import { cachedNetworks, crioHazards, hazardText } from "./crio.ts";
import {
  type DefaultNetwork,
  chooseDefault,
  defaultAttachments,
  requirePlugins,
} from "./default-network.ts";
import { type Folders, defaultFolders } from "./folders.ts";
import type { Host } from "./host.ts";
import { ownFile, ownType } from "./node.ts";
import { ownListText, ownPlugin } from "./own-list.ts";
import { putText, textOf } from "./put.ts";
import { runtimesOf } from "./runtime.ts";
import type { Terminal } from "./terminal.ts";

export interface InstallRequest {
  folders: Folders;
  host: Host;
  wishes: Wishes;
  /** The default network instead of the one that is configured or first. */
  defaultPlugin: string | undefined;
}

export interface Step {
  outcome: "changed" | "unchanged" | "warning";
  text: string;
}

/** Where the credential is, beside the networks: runtimes do not read folders. */
export function credentialFolder({ confDir }: Folders): string {
  return join(confDir, "genie.d");
}

export class Installation {
  readonly #request: InstallRequest;
  readonly #terminal: Pick<Terminal, "env" | "self" | "version">;
  readonly #binary: Binary;

  constructor(
    request: InstallRequest,
    terminal: Pick<Terminal, "env" | "self" | "version">,
  ) {
    const { folders, host } = request;
    this.#request = request;
    this.#terminal = terminal;
    this.#binary = new Binary(folders.binDir, host, terminal);
  }

  /** What was done. Throws CniError with nothing changed when a check fails. */
  async run(): Promise<Step[]> {
    const { folders, host } = this.#request;
    const { env, version } = this.#terminal;
    const existing = this.#existing();
    const chosen = this.#checkNetworks(existing);
    const credential = this.#credential(existing);
    await requireUsable(credential, host, env);
    // Validates what an operator wrote into the file before anything changes.
    readConfig(ownPlugin(parseJson(this.#listText(existing, chosen, ""))));
    const copied = await this.#binary.put();
    const folder = credentialFolder(folders);
    const { kubeconfig, changed } = writeCredential(credential, folder, host);
    const written = putText(
      host.path(join(folders.confDir, ownFile)),
      this.#listText(existing, chosen, kubeconfig),
      0o600,
    );
    return [
      step(copied, `${this.#binary.path}: version ${version}`),
      kubeconfig === undefined
        ? { outcome: "warning", text: noCredential }
        : step(changed, credentialText(credential, kubeconfig)),
      step(
        written,
        `${join(folders.confDir, ownFile)}: default network ${quote(chosen.plugin)}`,
      ),
    ];
  }

  /** Only the credential: it must stay fresh even while something else is wrong. */
  refreshCredential(): boolean {
    const { folders, host } = this.#request;
    const credential = this.#credential(this.#existing());
    return writeCredential(credential, credentialFolder(folders), host).changed;
  }

  /** The value in our file; undefined when there is none or it is no JSON: then it is written anew. */
  #existing(): unknown {
    const { folders, host } = this.#request;
    const text = textOf(host.path(join(folders.confDir, ownFile)));
    try {
      return text === undefined ? undefined : parseJson(text);
    } catch {
      return undefined;
    }
  }

  #checkNetworks(existing: unknown): DefaultNetwork {
    const { folders, host, defaultPlugin } = this.#request;
    const { confDir, binDir } = folders;
    const files = readConfDir(host.path(confDir));
    refuseEarlier(
      files.map(({ file }) => file),
      confDir,
    );
    const networks = networksOf(confDir, files, [ownType]);
    const configured = ownPlugin(existing);
    const before = own(configured, "default_plugin");
    const requested =
      defaultPlugin ?? (typeof before === "string" ? before : "");
    const chosen = chooseDefault(requested, networks);
    const path = [binDir, ...readConfig(configured).binDirs].map((folder) =>
      host.path(folder),
    );
    for (const { list } of defaultAttachments(chosen.plugin, networks))
      requirePlugins(list, path);
    if (runtimesOf(host).includes("crio"))
      refuseHazards(networks, chosen, existing !== undefined, host);
    return chosen;
  }

  #credential(existing: unknown): Credential {
    const { folders, host, wishes } = this.#request;
    const kubeconfig = own(
      own(ownPlugin(existing), "kubernetes"),
      "kubeconfig",
    );
    return chooseCredential(
      wishes,
      {
        folder: credentialFolder(folders),
        existing: typeof kubeconfig === "string" ? kubeconfig : undefined,
      },
      host,
      this.#terminal.env,
    );
  }

  #listText(
    existing: unknown,
    { name, plugin }: DefaultNetwork,
    kubeconfig: string | undefined,
  ): string {
    const { confDir, dataDir } = this.#request.folders;
    return ownListText(existing, {
      name,
      defaultPlugin: plugin,
      kubeconfig,
      confDir: confDir === defaultFolders.confDir ? undefined : confDir,
      dataDir: dataDir === defaultFolders.dataDir ? undefined : dataDir,
    });
  }
}

/** A runtime takes the first file: `00-genie.conf` of CNI-Genie would be it. */
function refuseEarlier(files: readonly string[], confDir: string): void {
  const earlier = files.find(
    (file) => Buffer.compare(Buffer.from(file), Buffer.from(ownFile)) < 0,
  );
  if (earlier === undefined) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `${join(confDir, earlier)} comes before ${ownFile}, so the runtime would use it: rename it (a CNI-Genie's keys belong into ${ownFile})`,
  );
}

function refuseHazards(
  networks: Networks,
  { name }: DefaultNetwork,
  installed: boolean,
  host: Host,
): void {
  const { candidates } = networks;
  const hazards = crioHazards({
    candidates,
    name,
    cached: cachedNetworks(host),
    former: installed ? undefined : firstName(networks),
  });
  if (hazards.length === 0) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `running pods would lose their network: ${hazards.map(hazardText).join("; ")}`,
  );
}

function firstName(networks: Networks): string | undefined {
  try {
    return firstNetwork(networks).list.name;
  } catch {
    return undefined;
  }
}

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
