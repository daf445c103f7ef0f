// What several of the server's pages want of a script.
import { accessOf, may } from "../dashboard/access";
import type { Right } from "../dashboard/protocol";

/** Whether the page's person has a right; a page that says nothing of rights is of one who has all. */
export function allowed(config: { rights?: Right[] | null }, right: Right): boolean {
  return may(accessOf(config.rights === undefined ? undefined : { rights: config.rights }), right);
}

/** Takes the links to downloads away from who may not download. */
export function downloads(config: { rights?: Right[] | null }): void {
  if (allowed(config, "export")) return;
  for (const link of document.querySelectorAll('a[href*="format=csv"]')) link.remove();
}

/** Makes the print button work. */
export function printing(): void {
  document.getElementById("print")?.addEventListener("click", () => window.print());
}

/** An element with a class and words. */
export function make<K extends keyof HTMLElementTagNameMap>(name: K, className: string, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
