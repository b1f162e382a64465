/**
 * kubectl as a person uses it, with the administrator's credential.
 */
import { type Ended, attempt, run } from "../../scripts/run.ts";

export class Kubectl {
  readonly #command: readonly string[];

  constructor(executable: string, kubeconfig: string, ...options: string[]) {
    this.#command = [executable, `--kubeconfig=${kubeconfig}`, ...options];
  }

  /** The same in a namespace. */
  in(namespace: string): Kubectl {
    const [executable = "", kubeconfig = ""] = this.#command;
    const path = kubeconfig.replace("--kubeconfig=", "");
    return new Kubectl(executable, path, `--namespace=${namespace}`);
  }

  /** Its stdout. Throws Error with its stderr. */
  run(...args: string[]): Promise<string> {
    return run([...this.#command, ...args]);
  }

  /** However it ends. */
  attempt(...args: string[]): Promise<Ended> {
    return attempt([...this.#command, ...args]);
  }

  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run("get", ...args, "-o", "json")) as T;
  }

  create(object: object, ...options: string[]): Promise<string> {
    const stdin = JSON.stringify(object);
    return run([...this.#command, "create", "-f", "-", ...options], { stdin });
  }

  /** However it ends. */
  attemptCreate(object: object, ...options: string[]): Promise<Ended> {
    const stdin = JSON.stringify(object);
    return attempt([...this.#command, "create", "-f", "-", ...options], {
      stdin,
    });
  }

  /** Whatever of the object is not in the text goes. */
  replace(manifest: string): Promise<string> {
    const command = ["replace", "--save-config", "-f", "-"];
    return run([...this.#command, ...command], { stdin: manifest });
  }

  /** Objects, or text in YAML. */
  apply(manifest: readonly object[] | string): Promise<string> {
    const stdin =
      typeof manifest === "string"
        ? manifest
        : JSON.stringify({ apiVersion: "v1", kind: "List", items: manifest });
    return run([...this.#command, "apply", "-f", "-"], { stdin });
  }
}
