/** The checks of every refused ADD. */
import { expect } from "bun:test";
import { type CallOptions, type Pod, nothing } from "./node.ts";
import { callPlugin } from "./runtime.ts";
import type { ScriptedNode } from "./scripted-node.ts";

/** In every credential of these tests. */
export const secret = "TOPSECRET";

export interface Refusal {
  code: number;
  msg: string | RegExp;
  details?: string;
}

/** One error, nothing executed, nothing left, no secret said. */
export async function expectRefusal(
  node: ScriptedNode,
  request: { pod: Pod; options?: CallOptions; stdin?: string },
  { code, msg, ...details }: Refusal,
): Promise<void> {
  const { pod, options, stdin } = request;
  const call = node.request("ADD", pod, options);
  const answer = await callPlugin(
    stdin === undefined ? call : { ...call, config: stdin },
  );
  expect({ exitCode: answer.exitCode, json: answer.json }).toEqual({
    exitCode: 1,
    json: {
      cniVersion: expect.any(String),
      code,
      msg:
        typeof msg === "string"
          ? expect.stringContaining(msg)
          : expect.stringMatching(msg),
      ...details,
    },
  });
  expect(node.delegates.events()).toEqual([]);
  expect(await node.remains()).toEqual(nothing);
  expect(`${answer.stdout}${answer.stderr}${node.log()}`).not.toContain(secret);
}
