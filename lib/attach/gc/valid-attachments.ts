/**
 * The attachments that the request of a GC calls valid (CNI spec 1.1.0 §"GC", cni-plugin.md
 * P-GC-1).
 */
import * as v from "valibot";
import { invalidConfig } from "../../cni/error.ts";
import { own } from "../../cni/json.ts";
import type { ValidAttachment } from "../../cni/network-upkeep.ts";
import { object, parse, text } from "../../cni/schema.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import { Records } from "../../state/records.ts";

type Pair = Pick<AttachmentRecord, "containerId" | "ifname">;

export class ValidAttachments {
  readonly #pairs: readonly ValidAttachment[];
  /** The names of their records' files: a hashed name does not contain the pair. */
  readonly #names: ReadonlySet<string>;

  /** Throws 7 when the key is absent: `null` is an empty list, absent has no meaning (P-GC-2). */
  constructor(config: object) {
    this.#pairs = validPairs(config);
    this.#names = new Set(this.#pairs.map(nameOfPair));
  }

  has({ containerId, ifname }: Pair): boolean {
    return this.hasName(Records.nameOf(containerId, ifname));
  }

  hasName(name: string): boolean {
    return this.#names.has(name);
  }

  /** The valid attachments without a record: pods that are older than genie. */
  without(recorded: readonly Pair[]): ValidAttachment[] {
    const names = new Set(
      recorded.map(({ containerId, ifname }) =>
        Records.nameOf(containerId, ifname),
      ),
    );
    return this.#pairs.filter((pair) => !names.has(nameOfPair(pair)));
  }
}

function nameOfPair({ containerID, ifname }: ValidAttachment): string {
  return Records.nameOf(containerID, ifname);
}

const validKeys = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/** The first key that is there counts, also with an empty list: nothing is valid (P-GC-2). */
function validPairs(config: object): readonly ValidAttachment[] {
  const key = validKeys.find((name) => own(config, name) !== undefined);
  if (key === undefined)
    throw invalidConfig(
      `refusing GC without a list of valid attachments: "${validKeys[0]}" is missing`,
    );
  // Go programs write "" for a key that was missing: nothing would be valid.
  const name = text((value) => value !== "", "a name");
  const pair = object({ containerID: name, ifname: name });
  const request = object({ [key]: v.nullable(v.array(pair)) });
  const valid = parse(request, config, (problem) =>
    invalidConfig(`invalid configuration: ${problem}`),
  );
  return valid[key] ?? [];
}
