// The page's configuration, written by the server into <script id="vigil-config">.
import type { Right } from "./protocol";

export interface Config {
  lang: string;
  now: number;
  exam: { id: string; title: string; course?: string };
  you?: { name?: string };
  tokenEndpoint: string;
  api: string;
  links: { report?: string; settings?: string; open?: string };
  framed?: boolean;
  members?: boolean; // the LMS tells who is enrolled
  rights?: Right[] | null; // what this person may do; everything where it is not said
}

export function readConfig<T>(): T {
  const element = document.getElementById("vigil-config");
  return JSON.parse(element?.textContent || "{}") as T;
}

/** What the server said went wrong, in its words; else the status. */
export async function problemOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { detail?: string; title?: string };
    return body.detail || body.title || String(response.status);
  } catch {
    return String(response.status);
  }
}
