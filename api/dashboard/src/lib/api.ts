import type { Chip, Fleet, Job, JobWish, LoopOrders, Page, Sled } from "./types";

const TIMEOUT_MS = 10_000;
const PAGE_LIMIT = 1000;

interface Problem {
  title?: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
}

/** Throws an Error whose message is one line for people. */
async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new Error(late ? "the server does not answer" : "the server can not be reached");
  }
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(wordsOf(body as Problem | null) ?? `${answer.status} from ${path}`);
  return body as T;
}

function wordsOf(problem: Problem | null): string | undefined {
  const parts = problem?.errors?.map((one) => `${one.pointer.replace("#/", "")}: ${one.detail}`);
  return parts?.length ? parts.join("; ") : (problem?.detail ?? problem?.title);
}

function send<T>(method: string, path: string, body: unknown, headers = {}): Promise<T> {
  return ask<T>(path, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

export const getFleet = (): Promise<Fleet> => ask("/api/v1/fleet");

export const getChip = (id: string): Promise<Chip> => ask(`/api/v1/chips/${id}`);

export const getSled = (id: string): Promise<Sled> => ask(`/api/v1/sleds/${id}`);

export async function getSleds(): Promise<Sled[]> {
  const sleds: Sled[] = [];
  let cursor: string | null = null;
  do {
    const from: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<Sled> = await ask(`/api/v1/sleds?limit=${PAGE_LIMIT}${from}`);
    sleds.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return sleds;
}

export const acknowledge = (id: string, actor: string): Promise<unknown> =>
  send("POST", `/api/v1/incidents/${id}/ack`, { actor });

export const cordon = (sled: string, reason: string, actor: string): Promise<unknown> =>
  send("PUT", `/api/v1/sleds/${sled}/cordon`, { reason, actor });

export const uncordon = (sled: string, actor: string): Promise<unknown> =>
  ask(`/api/v1/sleds/${sled}/cordon?actor=${encodeURIComponent(actor)}`, { method: "DELETE" });

export const resetGuard = (sled: string, reason: string, actor: string): Promise<unknown> =>
  send("POST", `/api/v1/sleds/${sled}/guard/reset`, { reason, actor });

export const enrol = (sled: string, reason: string, actor: string): Promise<unknown> =>
  send("POST", `/api/v1/sleds/${sled}/enrol`, { reason, actor });

export const getLoop = (id: string): Promise<LoopOrders> => ask(`/api/v1/loops/${id}`);

/** Refused when the loop is no longer at the `version` that was looked at. */
export const releaseLoop = (loop: string, reason: string, actor: string, version: string): Promise<unknown> =>
  send("POST", `/api/v1/loops/${loop}/release`, { reason, actor }, { "If-Match": `"${version}"` });

export const resetTrips = (loop: string, reason: string, actor: string): Promise<unknown> =>
  send("POST", `/api/v1/loops/${loop}/reset`, { reason, actor });

/** `key` makes it safe to send the same wish again. */
export const submitJob = (wish: JobWish, key: string): Promise<Job> =>
  send("POST", "/api/v1/jobs", wish, { "Idempotency-Key": key });

export const cancelJob = (id: string): Promise<unknown> =>
  ask(`/api/v1/jobs/${id}`, { method: "DELETE" });
