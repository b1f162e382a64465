/**
 * The schema of an attachment record (state.md "The record"), which gives its types and
 * validates a file that is not as it was written: of an earlier genie, damaged, or
 * edited. Loaded for such a file; the types cost nothing.
 */
import * as v from "valibot";
import { jsonObject, object, parse } from "../cni/schema.ts";
import type { Attachment } from "../select/attachment.ts";

const string = v.string();
const number = v.number("a number");
const boolean = v.boolean();

const pod = object({ namespace: string, name: string, uid: string });

const failures = object({
  count: number,
  /** The time of the first failure: milliseconds since a boot. */
  bootId: string,
  uptimeMs: number,
});

const abandonment = object({
  time: string,
  errors: v.array(object({ ifname: string, network: string, error: string })),
});

const element = object({
  network: string,
  namespace: v.exactOptional(string),
  interface: v.exactOptional(string),
  requests: v.exactOptional(jsonObject),
});

const attachment: v.GenericSchema<Attachment> = object({
  list: object({
    name: string,
    cniVersion: string,
    disableCheck: boolean,
    disableGC: boolean,
    loadOnlyInlinedPlugins: boolean,
    plugins: v.array(object({ type: string })),
  }),
  ifname: string,
  args: string,
  capabilityArgs: jsonObject,
  definition: v.exactOptional(string),
  requested: v.exactOptional(string),
  element: v.exactOptional(element),
  origin: v.exactOptional(
    v.picklist(["default", "automatic", "logical", "auxiliary", "hand"]),
  ),
  device: v.exactOptional(
    object({
      id: string,
      resource: v.exactOptional(string),
      source: v.exactOptional(string),
      identity: v.exactOptional(string),
    }),
  ),
  time: v.exactOptional(string),
  detaching: v.exactOptional(v.literal(true)),
});

const record = object({
  formatVersion: number,
  containerId: string,
  /** CNI_IFNAME of the request. */
  ifname: string,
  netns: string,
  /**
   * `"device:inode"` of that namespace: a path of a process leads to another one when its
   * number is used again.
   */
  netnsId: v.optional(string),
  /** The inode of the mount namespace in which that path was valid; 0.1.0 wrote none. */
  mountNamespace: v.optional(string),
  /** The name of our own network configuration, by which the runtime asks for GC. */
  network: string,
  /** For messages and lists; absent outside of Kubernetes. */
  pod: v.optional(pod),
  /** The time of the ADD, for messages and by the monotonic clock. */
  time: string,
  bootId: string,
  /** Milliseconds since that boot. */
  uptimeMs: number,
  /** The directories of plugins. */
  path: v.array(string),
  /** In the order of execution; those that could not be deleted, in the order of `DeleteOutcome`. */
  attachments: v.array(attachment),
  /** The auxiliary chain, executed after them on the primary's interface (selection.md §11). */
  auxiliary: v.optional(attachment),
  /** The DELs that failed, of an ADD that completed (state.md "Never stuck, never forgotten"). */
  failures: v.optional(failures),
  /** A container that Multus attached: the record is made from its file, without results. */
  adopted: v.optional(boolean),
  /** In `<dataDir>/abandoned` only: the reason. */
  abandoned: v.optional(abandonment),
});

/** Everything that DEL, CHECK and GC need, written before the first delegate is executed. */
export type AttachmentRecord = v.InferInput<typeof record>;
export type PodReference = v.InferInput<typeof pod>;
export type DeleteFailures = v.InferInput<typeof failures>;
export type Abandonment = v.InferInput<typeof abandonment>;

/**
 * The record itself. Throws `fail(problem)` for the first problem, which quotes no value:
 * it may be a delegate's secret.
 */
export function validateRecord(
  value: unknown,
  fail: (problem: string) => Error,
): AttachmentRecord {
  return parse(record, value, fail, { secret: true });
}

const removedRoute = object({
  family: v.picklist(["4", "6"]),
  message: string,
});

const routing = object({
  table: number,
  addresses: v.array(string),
  removed: v.optional(v.array(removedRoute)),
});

/**
 * A table that ADD made in the pod so that an attachment that does not own the default
 * route answers by its own interface (selection.md §8), and the sources of the rules
 * that look there. Table 0, which the kernel does not have: its default routes were removed.
 */
export type AttachmentRouting = v.InferInput<typeof routing>;

const resultEntry = object({
  ifname: string,
  /** null of an attachment that ADD did not complete; trusted after `parseResult`. */
  result: v.unknown(),
  routing: v.fallback(v.optional(routing), undefined),
});

/** One attachment in the file of results. */
export type ResultEntry = v.InferInput<typeof resultEntry>;

/** The valid entries of a file of results whose length is wrong. */
export function validEntries(entries: readonly unknown[]): ResultEntry[] {
  return entries.flatMap((entry) => {
    const { success, output } = v.safeParse(resultEntry, entry);
    return success ? [output] : [];
  });
}
