/**
 * What the runtime says is still valid, in the request of a GC (CNI spec 1.1.0
 * §"GC", cni-plugin.md P-GC-1).
 */
import { Code, CniError } from "../cni/error.ts";
import { isObject, jsonKind, own } from "../cni/json.ts";
import type { ValidAttachment } from "../cni/network.ts";
import { type AttachmentRecord, Records } from "./record.ts";

type Attached = Pick<AttachmentRecord, "containerId" | "ifname">;

export class ValidAttachments {
  readonly pairs: readonly ValidAttachment[];
  /** Of their records' files; one may be hashed, and then does not tell the pair. */
  readonly #names: ReadonlySet<string>;

  /** Throws 7 when the key is absent: `null` is an empty list, absent is nothing that could be meant (P-GC-2). */
  constructor(config: object) {
    this.pairs = pairsOf(config);
    this.#names = new Set(
      this.pairs.map(({ containerID, ifname }) =>
        Records.nameOf(containerID, ifname),
      ),
    );
  }

  has({ containerId, ifname }: Attached): boolean {
    return this.hasName(Records.nameOf(containerId, ifname));
  }

  hasName(name: string): boolean {
    return this.#names.has(name);
  }

  /** Those of which nothing is recorded: pods that are older than we are. */
  without(recorded: Iterable<Attached>): ValidAttachment[] {
    const names = new Set<string>();
    for (const { containerId, ifname } of recorded)
      names.add(Records.nameOf(containerId, ifname));
    return this.pairs.filter(
      ({ containerID, ifname }) =>
        !names.has(Records.nameOf(containerID, ifname)),
    );
  }
}

const keys = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const;

function pairsOf(config: object): ValidAttachment[] {
  const key = keys.find((name) => own(config, name) !== undefined);
  if (key === undefined) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `refusing GC without a list of valid attachments: "${keys[0]}" is missing`,
    );
  }
  const value = own(config, key);
  if (value === null) return [];
  if (!Array.isArray(value))
    throw invalid(`${key}: expected a list, got ${jsonKind(value)}`);
  return value.map((entry: unknown, i) => {
    const containerID = own(entry, "containerID");
    const ifname = own(entry, "ifname");
    if (
      !isObject(entry) ||
      typeof containerID !== "string" ||
      typeof ifname !== "string"
    ) {
      throw invalid(`${key}.${i}: expected "containerID" and "ifname"`);
    }
    return { containerID, ifname };
  });
}

function invalid(problem: string): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${problem}`,
  );
}
