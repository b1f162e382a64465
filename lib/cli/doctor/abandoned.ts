/**
 * Attachments that could not be deleted; `genie gc` tries them again.
 */
import { abandonedOnNode } from "../abandoned.ts";
import type { Check } from "./check.ts";
import { unsafe } from "./records.ts";

export const checkAbandoned: Check = async ({ context }) => {
  if (!context || unsafe(context.config.dataDir) !== undefined) return [];
  const check = "abandoned attachments";
  const { attachments, unreadable } = await abandonedOnNode(context);
  const count = attachments.length + unreadable.length;
  if (count === 0) return [];
  const [first] = attachments;
  const example = first
    ? `, as ${first.ifname} of ${first.containerId.slice(0, 12)} in network ${first.network}: ${first.error || "no error is known"}`
    : "";
  return [
    {
      check,
      verdict: "warn",
      found: `${count} could not be deleted${example}`,
      advice:
        "correct the cause and run `genie gc`, which tries again; `genie list --abandoned` lists all, `genie gc --drop CONTAINER` forgets one",
    },
  ];
};
