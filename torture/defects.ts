/**
 * Defects that the torture must find, as edits of the sources: one for each rule that
 * keeps pods from leaking, from being stuck, or from being deleted while they live.
 */
import type { ScenarioName } from "./scenarios/scenarios.ts";

export interface Edit {
  /** Once in the file; otherwise the sources have moved on and this row must follow. */
  before: string;
  after: string;
}

export interface Defect {
  what: string;
  file: string;
  edits: readonly Edit[];
  /** The one that must find it; absent: crash points, scenarios and rounds together. */
  scenario?: ScenarioName;
}

export const defects: readonly Defect[] = [
  // The control: these sources as they are must not be blamed.
  { what: "no defect", file: "lib/attach/add.ts", edits: [] },
  {
    what: "the record is written after the delegates",
    file: "lib/attach/add-attachments.ts",
    edits: [
      {
        before: "const file = await withSharedRecords(",
        after: "const late = () => withSharedRecords(",
      },
      {
        before: "const sync = syncOnce(file);",
        after:
          "const sync = () => undefined; writeLate = async () => syncOnce(await late())();",
      },
      {
        before: "const problem = run.sync();",
        after: "const problem = await writeLate();",
      },
      {
        before: "interface AddOutcome {",
        after:
          "let writeLate: () => Promise<unknown>;\n\ninterface AddOutcome {",
      },
    ],
  },
  {
    what: "an orphaned delegate does not keep the lock",
    file: "lib/attach/delegates.ts",
    edits: [
      {
        before: "inherit: lock ? [lock.fd] : [],",
        after: "inherit: lock ? [] : [],",
      },
    ],
  },
  {
    what: "DEL forgets what it could not delete",
    file: "lib/attach/del.ts",
    edits: [
      {
        before: "if (outcome.remaining.length > 0)",
        after: "if (outcome.remaining.length < 0)",
      },
    ],
  },
  {
    what: "a DEL that never succeeds is never given up",
    file: "lib/attach/abandoned/failed-delete.ts",
    scenario: "a DEL that never succeeds",
    edits: [
      { before: "count >= enoughFailures &&", after: "count >= 1000 &&" },
    ],
  },
  {
    what: "DEL gives up after its first failure",
    file: "lib/attach/abandoned/failed-delete.ts",
    scenario: "a DEL that never succeeds",
    edits: [
      {
        before: "if (known && isEnough(context, known))",
        after: "if (known)",
      },
    ],
  },
  {
    what: "what is given up is forgotten",
    file: "lib/attach/abandoned/failed-delete.ts",
    scenario: "a DEL that never succeeds",
    edits: [
      {
        before: "abandon(context, record, failures);",
        after: "",
      },
    ],
  },
  {
    what: "what is abandoned is never tried again",
    file: "lib/attach/abandoned/retry-abandoned.ts",
    scenario: "a DEL that never succeeds",
    edits: [
      {
        before:
          "if (record && network !== undefined && record.network !== network) continue;",
        after: "if (record) continue;",
      },
    ],
  },
  {
    what: "the DEL of a failed ADD counts like any other",
    file: "lib/attach/abandoned/failed-delete.ts",
    scenario: "a failed ADD that cannot be deleted",
    edits: [
      {
        before: "reached && !hasCompleted(resultKey(attachment));",
        after: "false;",
      },
    ],
  },
  {
    what: "a second DEL executes the default network",
    file: "lib/attach/del.ts",
    scenario: "a second DEL",
    edits: [
      {
        before: "const foreign = foreignRecords(context);",
        after:
          "const foreign = foreignRecords(context) ?? { multusFile: '/nowhere', cacheEntries: [] };",
      },
    ],
  },
  {
    what: "code 3 although something is left",
    file: "lib/attach/rollback.ts",
    scenario: "code 3",
    edits: [
      {
        before: "code === Code.unknownContainer ?",
        after: "code === Code.noRecord ?",
      },
    ],
  },
  {
    what: "a flock that fails counts as held",
    file: "lib/linux/flock.ts",
    scenario: "a flock that fails",
    edits: [
      { before: "if (result !== -EWOULDBLOCK) checked(result);", after: "" },
    ],
  },
  {
    what: "who merely reads a lock's file is ended",
    file: "lib/linux/lock-recovery.ts",
    scenario: "a reader of a lock's file",
    edits: [
      {
        before: "const owner = flockIn(info, inode);",
        after: "const owner = flockIn(info, inode) ?? 0;",
      },
    ],
  },
  {
    what: "an orphan of a lazily removed mount is not found",
    file: "lib/linux/lock-recovery.ts",
    scenario: "an orphan of a read-only disk",
    edits: [
      {
        before: 'return a.startsWith("/") && (a.endsWith(b) || b.endsWith(a));',
        after: "return a === b;",
      },
    ],
  },
  {
    what: "a lock on the directory does not outlast a read-only disk",
    file: "lib/state/lock-file.ts",
    scenario: "an orphan of a read-only disk",
    edits: [
      {
        before: 'if (status(fd).kind === "directory") return undefined;',
        after: "if (path) return undefined;",
      },
    ],
  },
  {
    what: "the auxiliary chain is executed and never deleted",
    file: "lib/state/record.ts",
    edits: [
      {
        before: "return auxiliary ? [...attachments, auxiliary] : attachments;",
        after: "return attachments;",
      },
    ],
  },
  {
    what: "GC deletes the records of another list",
    file: "lib/attach/gc/stale-records.ts",
    scenario: "GC of another list",
    edits: [{ before: "record.network === request.config.name &&", after: "" }],
  },
  {
    what: "GC tells the networks of another list what is valid",
    file: "lib/attach/gc/gc-networks.ts",
    scenario: "GC of another list",
    edits: [
      {
        before:
          "return !network || [...network.owners].every((owner) => owner === name);",
        after: "return name !== network;",
      },
    ],
  },
  {
    what: "GC deletes a record that its runtime cannot know of yet",
    file: "lib/attach/gc/stale-records.ts",
    scenario: "a young record",
    edits: [{ before: "settledMs = 60_000", after: "settledMs = 0" }],
  },
  {
    what: "genie gc deletes what it cannot see",
    file: "lib/cli/gc.ts",
    scenario: "another mount namespace",
    edits: [
      {
        before: "if (why !== undefined) throw",
        after: 'if (why === "") throw',
      },
    ],
  },
  {
    what: "a configuration that attachments share is stored for each",
    file: "lib/state/record-text.ts",
    scenario: "a shared configuration",
    edits: [
      {
        before: "return configurations.length < attachments.length",
        after: "return configurations.length < 0",
      },
    ],
  },
  {
    what: "a request may be nested as deep as Go takes it",
    file: "lib/cni/json.ts",
    scenario: "a request out of bounds",
    edits: [
      {
        before: "export const maxDepth = 100;",
        after: "export const maxDepth = 10_000;",
      },
    ],
  },
  {
    what: "a record that is written again is not synced",
    file: "lib/attach/abandoned/failed-delete.ts",
    scenario: "a rewritten record",
    edits: [
      {
        before: "context.records.write(withExecuted(record, left)).sync();",
        after: "context.records.write(withExecuted(record, left)).close();",
      },
    ],
  },
  {
    what: "each attachment gets an equal share of the time, however small",
    file: "lib/attach/delete-attachments.ts",
    scenario: "shares of the time",
    edits: [{ before: "leastShareMs = 5000", after: "leastShareMs = 0" }],
  },
  {
    what: "for the agent, an attachment without a result is there",
    file: "lib/agent/pods/difference.ts",
    scenario: "a running pod",
    edits: [
      {
        before: "hasResult(ifname) && !attachment.detaching",
        after: "!attachment.detaching",
      },
    ],
  },
  {
    what: "a detach is not marked before its DEL",
    file: "lib/attach/running/detach-network.ts",
    scenario: "a running pod",
    edits: [{ before: ", detaching: true as const }", after: " }" }],
  },
  {
    what: "the agent forgets a change that failed",
    file: "lib/agent/pods/pod-steps.ts",
    scenario: "a running pod",
    edits: [{ before: "retries.later(keyOf(step));", after: "" }],
  },
];
