/**
 * Waiting for what others do: asked again and again, within a limit.
 */
import { messageOf } from "../../lib/linux/errno.ts";

const pauseMs = 100;

/**
 * The first answer that is neither false, undefined nor null. What the question
 * throws counts as "not yet", except an error whose `final` is true.
 * Throws Error with the last one's words after `seconds`.
 */
export async function until<T>(
  what: string,
  seconds: number,
  ask: () => T | Promise<T>,
): Promise<Exclude<T, false | undefined | null>> {
  const deadline = performance.now() + seconds * 1000;
  let last = "";
  for (;;) {
    try {
      const answer = await ask();
      if (isAnswer(answer)) return answer;
      last = "";
    } catch (error) {
      if (error instanceof Error && "final" in error) throw error;
      last = `: ${messageOf(error)}`;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${seconds} s for ${what}${last}`);
    await Bun.sleep(pauseMs);
  }
}

function isAnswer<T>(
  answer: T,
): answer is Exclude<T, false | undefined | null> {
  return answer !== false && answer !== undefined && answer !== null;
}
