/** agent.md "Events": whose interface came or went, by the records as they change. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Agent, AgentEvent } from "../../lib/agent/part.ts";
import { tellInterfaces } from "../../lib/agent/report/interface-events.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { Records } from "../../lib/state/records.ts";
import { temporaryDirectory, until } from "../support/delegate.ts";
import { attachmentOf, recordOf, resultsOf } from "../support/records.ts";
import { contextOf } from "../support/context.ts";

/** The record of `web` with a UID, and a network of its own. */
const recordWith = (
  containerId: string,
  uid: string,
  more: Partial<AttachmentRecord> = {},
): AttachmentRecord =>
  recordOf(containerId, {
    pod: { namespace: "shop", name: "web", uid },
    attachments: [attachmentOf("lan", "eth0", { element: { network: "lan" } })],
    ...more,
  });

/**
 * The events of `web`, whose UID in the API is "api", while `change` changes its records;
 * those of `before` are there at the start.
 */
async function told(
  change: (records: Records) => void,
  count: number,
  { annotations = {}, before = [] as AttachmentRecord[] } = {},
): Promise<string[]> {
  using directory = temporaryDirectory();
  const dataDir = join(directory.path, "data");
  const records = new Records(dataDir);
  for (const record of before) write(records, record);
  const events: string[] = [];
  let hasBegun = false;
  const agent = {
    context: contextOf({
      command: "STATUS",
      config: { name: "genie", type: "genie", dataDir },
    }),
    pods: () => ({
      get: (name: string) =>
        name === "web" ? { metadata: { uid: "api", annotations } } : undefined,
    }),
    log: () => {},
    event(
      { uid }: AgentEvent["subject"],
      _type: string,
      reason: string,
      message: string,
    ) {
      if (uid === "marker") hasBegun = true;
      else events.push(`${reason} of ${uid}: ${message}`);
    },
  };
  const stop = new AbortController();
  const running = tellInterfaces(agent as unknown as Agent, stop.signal);
  // What is there at its first look is no news.
  let markers = 0;
  await until(() => {
    const pod = { namespace: "shop", name: "marker", uid: "marker" };
    write(records, recordWith(`m${markers++}`, "marker", { pod }));
    return hasBegun;
  }, "its first look");
  change(records);
  await until(() => events.length >= count, "the events");
  stop.abort();
  await running;
  return events;
}

function write(records: Records, record: AttachmentRecord): void {
  records.write(record).close();
  const results = [{ cniVersion: "1.0.0" }] as const;
  records.writeResults(record, resultsOf(record, results));
}

const added = (uid: string, network = "lan") =>
  `AddedInterface of ${uid}: Add eth0 [] from ${network}`;

describe("tellInterfaces", () => {
  const hash = { "kubernetes.io/config.hash": "hash" };
  test.each([
    ["the pod", "api", {}, "api"],
    ["a static pod: its mirror", "hash", hash, "api"],
    ["a former pod of that name: itself", "former", {}, "former"],
  ])("the subject, %s", async (_, uid, annotations, subject) => {
    const record = recordWith("c1", uid);
    const events = await told((records) => write(records, record), 1, {
      annotations,
    });
    expect(events).toEqual([added(subject)]);
  });

  test.each<[string, Partial<Attachment>, string[]]>([
    ["the default network", { origin: "default" }, []],
    ["a network of a record before 0.2.0", {}, []],
    ["an automatic one", { origin: "automatic" }, ["lan"]],
    ["a definition", { definition: "shop/lan" }, ["shop/lan"]],
    ["an element", { element: { network: "lan" } }, ["lan"]],
  ])("a lone network, %s", async (_, attachment, networks) => {
    const attachments = [attachmentOf("lan", "eth0", attachment)];
    const events = await told((records) => {
      write(records, recordWith("c1", "api", { attachments }));
      write(records, recordWith("c2", "next"));
    }, networks.length + 1);
    expect(events).toEqual([
      ...networks.map((network) => added("api", network)),
      added("next"),
    ]);
  });

  test("a record goes: its interfaces, but for those of an earlier boot", async () => {
    const earlier = recordWith("c1", "api", { bootId: "earlier" });
    const present = recordWith("c2", "api");
    const before = [earlier, present];
    const remove = (records: Records) => {
      for (const record of before) records.remove(record);
    };
    expect(await told(remove, 1, { before })).toEqual([
      "RemovedInterface of api: Remove eth0 [] from lan",
    ]);
  });
});
