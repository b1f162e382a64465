import { describe, expect, test } from "bun:test";
import { linesOf } from "../../lib/agent/watch/api-response.ts";
import { messageOf } from "../../lib/linux/errno.ts";

describe("linesOf", () => {
  test("lines that come in pieces, a character too; not the rest without an end", async () => {
    const pieces = ["a", "b\n\nc", "\nd\xc3", "\xa9\ne"];
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces)
          controller.enqueue(Buffer.from(piece, "latin1"));
        controller.close();
      },
    });
    const lines = await Array.fromAsync(linesOf(new Response(body)));
    expect(lines).toEqual(["ab", "c", "dé"]);
  });

  test("a line without an end is given up", async () => {
    const response = new Response("x".repeat((16 << 20) + 1));
    const lines = Array.fromAsync(linesOf(response));
    expect(await lines.catch(messageOf)).toBe("an event is larger than 16 MiB");
  });
});
