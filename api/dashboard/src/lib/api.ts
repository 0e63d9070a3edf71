import type { Chip, Fleet } from "./types";

async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await fetch(path, init);
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok) {
    const problem = body as { title?: string; detail?: string } | null;
    throw new Error(problem?.detail ?? problem?.title ?? `${answer.status} from ${path}`);
  }
  return body as T;
}

function post<T>(path: string, body: unknown): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export const getFleet = (): Promise<Fleet> => ask("/api/v1/fleet");

export const getChip = (id: string): Promise<Chip> => ask(`/api/v1/chips/${id}`);

export const acknowledge = (id: string, actor: string, comment: string): Promise<unknown> =>
  post(`/api/v1/incidents/${id}/ack`, { actor, comment });
