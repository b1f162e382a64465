/**
 * An attachment record (state.md "The record"): its identity, its executions, the keys of
 * its results, and its errors. DEL, CHECK and GC use nothing else; `record-text` has its
 * text, `records` its files.
 */
import { CniError, Code } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { Attachment } from "../select/attachment.ts";
import type { AttachmentRecord } from "./record-schema.ts";

export type {
  Abandonment,
  AttachmentRecord,
  AttachmentRouting,
  DeleteFailures,
  PodReference,
} from "./record-schema.ts";

/** The keys that identify an ADD. */
type AddIdentity = Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "bootId" | "uptimeMs"
>;

/** Whether two records are of the same ADD; their attachments may differ. */
export function isSameAdd(a: AddIdentity, b: AddIdentity): boolean {
  return (
    a.containerId === b.containerId &&
    a.ifname === b.ifname &&
    a.bootId === b.bootId &&
    a.uptimeMs === b.uptimeMs
  );
}

/**
 * Everything that was executed, in order: the auxiliary chain is no attachment and comes
 * last (selection.md §11).
 */
export function executedIn({
  attachments,
  auxiliary,
}: Pick<AttachmentRecord, "attachments" | "auxiliary">): Attachment[] {
  return auxiliary ? [...attachments, auxiliary] : attachments;
}

/** The record with these attachments in place of {@link executedIn}. */
export function withExecuted(
  record: AttachmentRecord,
  left: readonly Attachment[],
): AttachmentRecord {
  const attachments: Attachment[] = [];
  let auxiliary: Attachment | undefined;
  for (const one of left) {
    if (one.origin === "auxiliary") auxiliary = one;
    else attachments.push(one);
  }
  return record.auxiliary || auxiliary
    ? { ...record, attachments, auxiliary }
    : { ...record, attachments };
}

/** The name of an attachment's result: its interface; "" for the auxiliary chain, which is on the primary's. */
export function resultKey(
  attachment: Pick<Attachment, "ifname" | "origin">,
): string {
  return attachment.origin === "auxiliary" ? auxiliaryKey : attachment.ifname;
}

/** No interface has this name. */
const auxiliaryKey = "";

/** The results of an ADD by {@link resultKey}, beside `others` that a running pod has. */
export function resultsByKey(
  {
    attachments,
    auxiliaryResult,
  }: { attachments: readonly Attachment[]; auxiliaryResult?: Result },
  /** In the order of the attachments. */
  results: readonly Result[],
  others?: ReadonlyMap<string, Result>,
): ReadonlyMap<string, Result> {
  const byKey = new Map(others);
  let i = 0;
  for (const { ifname } of attachments) {
    const result = results[i++];
    if (result) byKey.set(ifname, result);
  }
  if (auxiliaryResult) byKey.set(auxiliaryKey, auxiliaryResult);
  return byKey;
}

/** An attachment as it is recorded. */
export function withoutExtras({
  extras: _extras,
  ...attachment
}: Attachment): Attachment {
  return attachment;
}

/** Our own disk failed, or a file on it is unreadable: always code 5, and never a delegate's error. */
export class RecordError extends CniError {
  constructor(message: string, cause: unknown) {
    super(Code.io, message, { cause });
  }
}

/** A record that cannot be understood; it is moved aside and never silently dropped. */
export class CorruptRecord extends Error {}
