import { expect, test } from "bun:test";
import { shared } from "../../lib/agent/pause.ts";

test("shared, work that lasts longer than its result is shared: one at a time, a failed one too", async () => {
  const begun: PromiseWithResolvers<string>[] = [];
  const call = shared(0, () => {
    const work = Promise.withResolvers<string>();
    begun.push(work);
    return work.promise;
  });
  const first = [call(), call()];
  begun[0]?.resolve("one");
  expect(await Promise.all(first)).toEqual(["one", "one"]);
  const second = [call(), call()];
  begun[1]?.reject(new Error("failed"));
  const [outcome] = await Promise.allSettled(second);
  expect(outcome?.status).toBe("rejected");
  const third = call();
  begun[2]?.resolve("three");
  expect([await third, begun.length]).toEqual(["three", 3]);
});
